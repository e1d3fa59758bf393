#!/bin/sh
# The whole story of a private meta-model, with real processes on this machine:
#
#   1  three hospitals meta-train under differential privacy; every release is charged to their ledgers before it leaves
#   2  the coordinator seals the meta-model for a fourth hospital, which was not in the study
#   3  only that hospital can open it; another one, and anybody who changed the file, cannot
#   4  it adapts the model on five patients of its own and predicts for others
#   5  what it cost the patients of the three is in their ledgers
#
#   examples/private-meta/run.sh [DATA]     DATA: folder of the heart data (WHIST_DATA/heart)
# `whist` is taken from the PATH, or from WHIST. Half a minute; nothing is left behind.
set -eu
here=$(cd "$(dirname "$0")" && pwd)
whist=${WHIST:-whist}
data=${1:-${WHIST_DATA:?says where the heart data lie}/heart}
[ -f "$data/flamby_split.csv" ] || { echo "no heart data in $data (whist data get heart)" >&2; exit 1; }
data=$(cd "$data" && pwd)
port=${PORT:-$((20000 + $$ % 10000))}
work=$(mktemp -d)
cd "$work"
pids=
trap 'kill $pids 2>/dev/null || :; wait; rm -rf "$work"' EXIT

# refused WORDS COMMAND…: ends with exit code 3 and these words, or the story is no good.
refused() {
    words=$1
    shift
    code=0
    "$@" >out 2>&1 || code=$?
    if [ $code -ne 3 ] || ! grep -q "$words" out; then
        echo "should have been refused with '$words': $*" >&2
        cat out >&2
        exit 1
    fi
    sed 's/^/   /; s|/[^ ]*/||' out
}

echo "== 1. Three hospitals meta-train under differential privacy"
"$whist" provision demo "$here/train.yaml" --out fed --data "$data" --port "$port" >/dev/null
study=fed/study.yaml
for site in cleveland hungarian switzerland; do
    "$whist" site approve fed/sites/$site/site.yaml --study $study --as "Dr Example" --yes >/dev/null
    "$whist" site run fed/sites/$site/site.yaml --study $study -q --log off >/dev/null &
    pids="$pids $!"
done
"$whist" coordinator fed/coordinator/coordinator.yaml --study $study --model meta.safetensors -q --log off >trained
sed -n '1p; /^privacy/p; /^ *local:/p' trained

echo "== 2. The meta-model is sealed for a hospital that comes later"
"$whist" provision request va --role site --out fed/sites/va >/dev/null
"$whist" provision sign fed/sites/va/request.pem --ca fed/ca --role site --yes --out fed/sites/va/cert.pem >/dev/null 2>&1
cp fed/ca/ca.pem fed/ca/crl.pem fed/sites/va/
sed 's/^name: cleveland/name: va/' fed/sites/cleveland/site.yaml >fed/sites/va/site.yaml
"$whist" site recipient fed/sites/va/site.yaml --out va.notice
"$whist" site recipient fed/sites/cleveland/site.yaml --out cleveland.notice >/dev/null
"$whist" model seal meta.safetensors --config fed/coordinator/coordinator.yaml --study $study --to va.notice \
    --pin "$("$whist" provision pin fed/sites/va/cert.pem)" --out meta.sealed | head -n 1

echo "== 3. It opens there and nowhere else"
open_at() { echo "$whist model open $2 --config fed/sites/$1/site.yaml --study $study --out $1.safetensors"; }
refused 'none of its recipients' $(open_at cleveland meta.sealed)
size=$(wc -c <meta.sealed)
{ head -c $((size - 1)) meta.sealed; printf '!'; } >changed.sealed
refused 'not the one that was signed' $(open_at va changed.sealed)
head -c $((size - 20)) meta.sealed >cut.sealed
refused 'cut short' $(open_at va cut.sealed)
[ ! -e cleveland.safetensors ] && [ ! -e va.safetensors ] || exit 1
$(open_at va meta.sealed) | head -n 1
cmp meta.safetensors va.safetensors

echo "== 4. Adapted on five patients of va, used for the others"
# Complete rows, by the published split: the first five of the training fold, both outcomes among them; those of the test fold.
awk -F, 'NR == FNR { if ($2 == "va") fold[$3] = $4; next }
    { whole = 1; for (c = 1; c <= 10; c++) if ($c == "?") whole = 0 }
    whole && fold[FNR] == "test" { print >"test.csv" }
    whole && fold[FNR] == "train" && n[$14 > 0]++ < ($14 > 0 ? 3 : 2) { print >"five.csv" }' \
    "$data/flamby_split.csv" "$data/processed.va.data"
accuracy() { # of predictions with targets
    awk -F, 'NR > 1 { right += ($2 > .5) == ($3 > .5); n++ } END { printf "%s: %d of %d right\n", what, right, n }' what="$1" "$2"
}
"$whist" predict va.safetensors $study --input test.csv --out start.csv >/dev/null
accuracy "the start as it came" start.csv
# The study without its promise: a personal model is made at home, of patients who stay there.
awk '/^learner:/ { print "learner: {name: fomaml, inner_lr: 0.1, inner_steps: 2}"
        print "episodes: {tasks: sites, shots: 5, queries: 10}"; skip = 1; next }
    /^strategy:/ { skip = 0 } /^privacy:/ { skip = 1 } /^rounds:/ { skip = 0 } !skip && !/^evaluate_every/' \
    "$here/train.yaml" >personal.yaml
if "$whist" meta adapt --help >/dev/null 2>&1; then
    "$whist" meta adapt va.safetensors personal.yaml --force --support five.csv --input test.csv >personal.csv
    accuracy "after five patients  " personal.csv
fi

echo "== 5. What it cost: the ledgers, at the end"
for site in cleveland hungarian switzerland; do
    "$whist" ledger verify fed/sites/$site/state/ledger/data --certificate fed/sites/$site/cert.pem >/dev/null
    "$whist" ledger show fed/sites/$site/state/ledger/data --certificate fed/sites/$site/cert.pem |
        sed -n '$s/^[0-9]* *[^ ]* *\(.* delta [0-9.]* for one [a-z]*\).*/'$site': \1/p'
done
