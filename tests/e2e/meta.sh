#!/bin/sh
# Every meta-learner by its name, over real processes: two sites and a coordinator end with the bits of the simulation,
# without a file of data: rows are made up; dp-meta, whose noise is not the study's, ends with a charged ledger and a model
# that adapts. Reptile and dp-meta are also stopped by kill -9 of a site in the middle and go on.
set -u
: "${WHIST:?}"
here=$(cd "$(dirname "$0")/../.." && pwd)
. "$here/tests/waiting.sh"
work=$(mktemp -d "${TMPDIR:-/tmp}/whist-e2e.XXXXXX")
pids=
bad=0
trap 'kill -9 $pids 2>/dev/null; give_ports_back; rm -rf "$work"' EXIT
trap 'exit 130' INT TERM
take_port
attack=
cd "$work" || exit 1

# prototypes are of the study's classes and not of tasks
study() {
    tasks="episodes: {ways: 3, shots: 1, queries: 3${attack:+, adversary: $attack, epsilon: 0.1, attack_steps: 2}}"
    options=', tasks: 2' norm=transductive
    [ "$1" != prototypes ] || tasks='' options=', learn: 1, lr: 0.1, updates: 2' norm=none
    cat <<Y
whist: 1
name: few
data:
  format: synthetic
  task: classes
  classes: 4
  synthetic: {rows: 120}
  images: {height: 6, width: 6}
  split: {test_fraction: 0.5}
model: {name: conv4, width: 4, depth: 1, norm: $norm}
learner: {name: $1$options}
strategy: {name: fedavg}
$tasks
rounds: ${2:-2}
metrics: [accuracy, logloss]
sites: [{name: a}, {name: b}]
Y
}

# The data part of a safetensors file.
bits() {
    size=$(od -An -tu8 -N8 "$1" | tr -d ' ')
    tail -c "+$((9 + size))" "$1" | sha256sum | cut -d' ' -f1
}

site() { "$WHIST" site run "fed/sites/$1/site.yaml" --study fed/study.yaml -q --log off >>"$1.out" 2>&1; }

third_round() {
    "$WHIST" log show fed/sites/a/state --study fed/study.yaml --certificate fed/sites/a/cert.pem | grep -q '"round":3'
}

# begin: provisions the study few.yaml, approves it at both sites, starts the coordinator.
begin() {
    "$WHIST" provision demo few.yaml --out fed --port "$port" >provision.out 2>&1 || { cat provision.out; return 1; }
    for s in a b; do
        "$WHIST" site approve fed/sites/$s/site.yaml --study fed/study.yaml --as 'Dr Test' --yes >>provision.out 2>&1 ||
            return 1
    done
    "$WHIST" coordinator fed/coordinator/coordinator.yaml --study fed/study.yaml --model model.safetensors -q --log off \
        >coordinator.out 2>&1 &
    coordinator=$!
    pids=$coordinator
}

# interrupted: site a, killed in the middle of the training.
interrupted() {
    "$WHIST" site run fed/sites/a/site.yaml --study fed/study.yaml -q --log off >>a.out 2>&1 &
    victim=$!
    wait_for third_round || return 1
    kill -9 $victim
    wait $victim 2>/dev/null
    [ $? -eq 137 ] || { echo "FAILED: over before it was killed"; return 1; }
}

# end WHAT: waits for everybody.
end() {
    wait $coordinator || { echo "FAILED: the coordinator of $1"; cat ./*.out; return 1; }
    # shellcheck disable=SC2086 # a list
    wait $pids
}

federate() { # LEARNER [ROUNDS] [kill]
    rm -rf fed ./*.safetensors ./*.out
    study "$1" "${2:-2}" >few.yaml
    begin || return 1
    site b &
    pids="$pids $!"
    [ -z "${3:-}" ] || interrupted || return 1
    site a &
    pids="$pids $!"
    end "$1" || return 1
    "$WHIST" simulate fed/study.yaml --model simulated.safetensors -q --log off >simulated.out 2>&1 ||
        { cat simulated.out; return 1; }
    [ "$(bits model.safetensors)" = "$(bits simulated.safetensors)" ] || { echo "FAILED: $1: other bits"; return 1; }
    grep -q 'mean over 2 sites' coordinator.out || { echo "FAILED: $1: no metrics"; cat coordinator.out; return 1; }
}

for learner in maml fomaml reptile anil boil per-fedavg meta-sgd maml++ imaml cavia meta-lstm abml protonet matching \
    relation r2d2; do
    federate "$learner" || bad=1
done
federate prototypes 3 || bad=1
attack=both
federate protonet || bad=1
attack=
federate reptile 40 kill || bad=1

# Tasks that are persons, hidden by noise of the system's: a model with what its rule brings along, a ledger that was
# charged for tasks, and inner steps of the rule on somebody new.
hide() { # RULE [ROUNDS] [kill]
    rounds=${2:-2}
    rm -rf fed ./*.safetensors ./*.out
    sed "s/rule: cavia/rule: $1/; /context: 3/d; s/^rounds: 10/rounds: $rounds/; s/noise: 2$/noise: 6/" \
        "$here/examples/private-meta/persons.yaml" >few.yaml
    begin || return 1
    site b &
    pids="$pids $!"
    [ -z "${3:-}" ] || interrupted || return 1
    site a &
    pids="$pids $!"
    end "dp-meta by $1" || return 1
    for s in a b; do
        "$WHIST" ledger show fed/sites/$s/state/ledger/data --certificate fed/sites/$s/cert.pem >ledger.out 2>&1
        grep -q 'round 1: epsilon .* for one task' ledger.out || { echo "FAILED: $1: the ledger"; cat ledger.out; return 1; }
        # Every round charged, and none twice, whoever was killed.
        [ "$(sed -n 's/.*, round \([0-9]*\): .*/\1/p' ledger.out | tr '\n' ' ')" = "$(seq -s ' ' 0 $((rounds - 1))) " ] ||
            { echo "FAILED: $1: rounds of the ledger of $s"; cat ledger.out; return 1; }
        "$WHIST" ledger verify fed/sites/$s/state/ledger/data --certificate fed/sites/$s/cert.pem >verify.out 2>&1 ||
            { echo "FAILED: $1: ledger verify"; cat verify.out; return 1; }
    done
    "$WHIST" meta eval model.safetensors fed/study.yaml -n 20 >eval.out 2>&1 && grep -q '^dp-meta, 2 shots' eval.out ||
        { echo "FAILED: $1: measuring"; cat eval.out; return 1; }
}
for rule in cavia maml++ abml meta-sgd; do
    hide $rule || bad=1
done
hide maml 40 kill || bad=1
exit $bad
