#!/bin/sh
# Kills the processes of a networked federation at random and starts them again, 50 times in all, over as many runs
# as that takes. Each run ends at every process, with the bits of the undisturbed simulation.
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

# Long enough to be hit often; SCAFFOLD, because its sites remember something between rounds.
sed -e 's/^rounds: .*/rounds: 400/' "$here/examples/heart/scaffold.yaml" >"$work/study.yaml"

# Kills until there were enough or the run is over.
kill_at_random() {
    set -- coordinator $sites
    while [ "$n" -lt "$kills" ]; do
        sleep "0.$(od -An -tu1 -N1 /dev/urandom | awk '{printf "%03d", 50 + $1 * 2}')"
        alive coordinator || return
        pick=$(($(od -An -tu1 -N1 /dev/urandom) % 5 + 1))
        eval "name=\$$pick"
        alive "$name" || continue
        kill -9 "$(cat "$work/$name.pid")"
        wait "$(cat "$work/$name.pid")" 2>/dev/null
        start "$name"
        n=$((n + 1))
    done
}

# One federation from its keys to its model.
run_once() {
    rm -rf "$work/fed" "$work/model.safetensors"
    world "$work/study.yaml"
    for name in coordinator $sites; do start "$name"; done
    kill_at_random
    await || fail "the coordinator ended with status $? after $n kills"
    for name in $sites; do
        wait "$(cat "$work/$name.pid")" || fail "$name ended with status $? after $n kills"
    done
    "$WHIST" simulate "$work/fed/study.yaml" --data "$WHIST_DATA/heart" --model "$work/simulated.safetensors" --json \
        >"$work/simulated.json" 2>/dev/null || fail "the simulation failed"
    [ "$(model "$work/model.safetensors")" = "$(model "$work/simulated.safetensors")" ] ||
        fail "after $n kills the model has other bits"
    for name in $sites; do
        "$WHIST" log verify "$work/fed/sites/$name/state" --study "$work/fed/study.yaml" \
            --certificate "$work/fed/sites/$name/cert.pem" >"$work/verify" 2>&1 ||
            fail "the log of $name: $(cat "$work/verify")"
    done
    runs=$((runs + 1))
}

n=0 runs=0
while [ "$n" -lt "$kills" ]; do run_once; done
echo "$n kills in $runs runs, the same bits"
