#!/bin/sh
# A site vanishes in the middle and never comes back: the rounds go on with those who are there, the record says who
# was, and the simulation that replays the record gives the same bits.
set -u
. "$(dirname "$0")/federation.sh"
need_data
fail() {
    echo "FAILED: $1"
    show_logs
    exit 1
}

sed -e 's/^rounds: .*/rounds: 4000/' "$here/examples/heart/scaffold.yaml" >"$work/study.yaml"
printf 'sampling: {min_sites: 3}\ntimeouts: {round: 2s}\nevaluate_every: 0\n' >>"$work/study.yaml"
world "$work/study.yaml"
for name in coordinator $sites; do start "$name"; done
wait_for logged coordinator 'step.closed.* round 3,' || fail "no round is done"
kill -9 "$(cat "$work/hungarian.pid")"
# Each round now waits its two seconds for the lost one; a stop shortens the test.
wait_for logged coordinator 'step.closed.* 3 of 4 sites' || fail "no round is done without the lost site"
kill -TERM "$(cat "$work/coordinator.pid")"
await
[ $? -eq 4 ] || fail "SIGTERM: exit code"
"$WHIST" simulate "$work/fed/study.yaml" --data "$WHIST_DATA/heart" --replay "$work/fed/coordinator/state" \
    --model "$work/replayed.safetensors" --json >"$work/replayed.json" 2>"$work/err" || fail "replay: $(cat "$work/err")"
rounds=$(sed 's/.*"rounds":\([0-9]*\).*/\1/' "$work/replayed.json")
[ "$rounds" -gt 0 ] && [ "$rounds" -lt 4000 ] || fail "the record holds $rounds rounds"
grep -q 'site is gone\|of 4 sites' "$work/coordinator.log" || fail "the log does not say that a site is missing"

# The record's last model is the state's.
newest=$(ls "$work/fed/coordinator/state/model" | sort | tail -n 1)
size=$(od -An -tu8 -N8 "$work/replayed.safetensors" | tr -d ' ')
tail -c "+$((9 + size))" "$work/replayed.safetensors" >"$work/replayed.bin"
head -c "$(wc -c <"$work/replayed.bin")" "$work/fed/coordinator/state/model/$newest" | cmp -s - "$work/replayed.bin" ||
    fail "the replay has other bits after $rounds rounds"
echo "$rounds rounds, some without the lost site: the replay has the same bits"
