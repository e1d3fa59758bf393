#!/bin/sh
# What docs/meta.md says under "Against attacks": MAML on Omniglot trained plainly, against attacks on the query (AQ) and on
# both sides (ADML), measured clean, attacked and with noise; which tasks were in training; poisoned tasks. Fails where a
# number lies outside the bound it states. Needs `whist` on the PATH and WHIST_DATA/omniglot, /heart; some twenty minutes.
set -u
data=${WHIST_DATA:-}
here=$(cd "$(dirname "$0")/../.." && pwd)
if [ ! -f "$data/omniglot/omniglot28-images-idx3-ubyte.gz" ] || [ ! -f "$data/heart/flamby_split.csv" ]; then
    echo 'skipped: no Omniglot or no heart data in WHIST_DATA'
    exit 77
fi
work=$(mktemp -d) || exit 1
trap 'rm -rf "$work"' EXIT
cd "$work" || exit 1
bad=0

number() { printf '%s' "$2" | sed "s/.*\"$1\":\([0-9.eE+-]*\).*/\1/"; }
# judge WHAT VALUE LOW HIGH
judge() {
    awk -v w="$1" -v v="$2" -v l="$3" -v h="$4" 'BEGIN {
        good = v >= l && v <= h
        printf "%-58s %.4f  from %s to %s: %s\n", w, v, l, h, good ? "good" : "NOT GOOD"; exit !good }' || bad=1
}

sed '/^learner:/,$d; s/^model:.*/model: {name: conv4, width: 16, down: stride, readout: mean, norm: transductive}/' \
    "$here/examples/omniglot/maml.yaml" >plain.yaml
cat >>plain.yaml <<Y
learner: {name: maml, tasks: 4, inner_lr: 0.4, inner_steps: 1}
training: {optimizer: {name: adam, lr: 0.003}, steps: 800}
episodes: {ways: 5, shots: 1, queries: 5, turns: 4, validate: 0}
metrics: [accuracy]
Y
sed 's/validate: 0/validate: 0, adversary: query, epsilon: 0.05, attack_steps: 3/' plain.yaml >aq.yaml
sed 's/validate: 0/validate: 0, adversary: both, epsilon: 0.05, attack_steps: 3/' plain.yaml >adml.yaml
measure() { # STUDY LOW HIGH ATTACK…
    name=$1 low=$2 high=$3
    shift 3
    json=$(whist meta eval "$name.safetensors" "$name.yaml" --episodes 200 --json "$@") || { bad=1; return; }
    judge "$name $*" "$(number accuracy "$json")" "$low" "$high"
}
while read -r name clean query support both; do
    whist meta train $name.yaml --out $name.safetensors -q --log off >/dev/null || { bad=1; continue; }
    measure $name "$clean" 1
    measure $name "${query%-*}" "${query#*-}" --attack query --epsilon 0.05
    measure $name "$support" 1 --attack support --epsilon 0.05
    measure $name "${both%-*}" "${both#*-}" --attack both --epsilon 0.05
done <<TABLE
plain .78 0-.33 .70 0-.35
aq .77 .63-1 .77 .63-1
adml .77 .63-1 .77 .63-1
TABLE

json=$(whist meta membership plain.safetensors plain.yaml -n 400 --json) || bad=1
judge 'membership: Omniglot, auc' "$(number auc "$json")" .57 .75
whist meta train "$here/examples/heart/few.yaml" --data "$data/heart" --leave-out va --out va.safetensors -q --log off >/dev/null || bad=1
json=$(whist meta membership va.safetensors "$here/examples/heart/few.yaml" --data "$data/heart" --json) || bad=1
judge 'membership: heart without va, auc' "$(number auc "$json")" .82 .90
sed 's/steps: 15000/steps: 300/' "$here/examples/sinusoid/maml.yaml" >sine.yaml
whist meta train sine.yaml --out sine.safetensors -q --log off >/dev/null || bad=1
json=$(whist meta membership sine.safetensors sine.yaml --json) || bad=1
judge 'membership: sinusoids, auc' "$(number auc "$json")" .44 .56

json=$(whist meta backdoor "$here/examples/heart/few.yaml" --data "$data/heart" --queries 16 --trigger 1 --value 4 --poison 0.2 -q --json) || bad=1
judge 'backdoor: heart, taken for the target' "$(number success "$json")" .93 1
judge 'backdoor: heart, unpoisoned' "$(number success_unpoisoned "$json")" 0 .06
json=$(whist meta backdoor plain.yaml -q --json) || bad=1
judge 'backdoor: Omniglot, taken for the target' "$(number success "$json")" .15 .5
judge 'backdoor: Omniglot, unpoisoned' "$(number success_unpoisoned "$json")" 0 .12
exit $bad
