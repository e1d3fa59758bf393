#!/bin/sh
# Kills the processes of a networked federation at random and starts them again, 50 times, and then compares the
# model with the undisturbed simulation, bit for bit.
#
#   demo_kill.sh [KILLS]
set -u
. "$(dirname "$0")/../e2e/federation.sh"
need_data
kills=${1:-50}
fail() {
    echo "FAILED: $1"
    show_logs
    exit 1
}

# Long enough to be hit 50 times; SCAFFOLD, because its sites remember something between rounds.
sed -e 's/^rounds: .*/rounds: 400/' "$here/examples/heart/scaffold.yaml" >"$work/study.yaml"
world "$work/study.yaml"
for name in coordinator $sites; do start "$name"; done

set -- coordinator $sites
n=0
while [ "$n" -lt "$kills" ]; do
    sleep "0.$(od -An -tu1 -N1 /dev/urandom | awk '{printf "%03d", 50 + $1 * 2}')"
    alive coordinator || break # it is over
    pick=$(($(od -An -tu1 -N1 /dev/urandom) % 5 + 1))
    eval "name=\$$pick"
    alive "$name" || continue
    kill -9 "$(cat "$work/$name.pid")"
    wait "$(cat "$work/$name.pid")" 2>/dev/null
    start "$name"
    n=$((n + 1))
done
await || fail "the coordinator ended with status $? after $n kills"
"$WHIST" simulate "$work/fed/study.yaml" --data "$WHIST_DATA/heart" --model "$work/simulated.safetensors" --json \
    >"$work/simulated.json" 2>/dev/null || fail "the simulation failed"
[ "$(model "$work/model.safetensors")" = "$(model "$work/simulated.safetensors")" ] ||
    fail "after $n kills the model has other bits"
for name in $sites; do
    "$WHIST" log verify "$work/fed/sites/$name/state" --study "$work/fed/study.yaml" \
        --certificate "$work/fed/sites/$name/cert.pem" >"$work/verify" 2>&1 ||
        fail "the log of $name: $(cat "$work/verify")"
done
echo "$n kills, the same bits"
[ "$n" -ge "$kills" ] || echo "(the run ended before the kill number $kills)"
