#!/bin/sh
# What docs/learn.md says of private training: heart disease at record level at four budgets (5 seeds each, mean accuracy
# over the hospitals), on MNIST the CNN of the tutorials by DP-SGD and by DP-FTRL, and a linear model over fixed features (the
# median of five seeds). Fails below the accuracies that are promised there.
#
# Needs WHIST_DATA/heart and WHIST_DATA/mnist, and `whist` on the PATH. Half an hour.
set -u
data=${WHIST_DATA:-}
here=$(cd "$(dirname "$0")/../.." && pwd)
if [ ! -f "$data/heart/flamby_split.csv" ] || [ ! -d "$data/mnist" ]; then
    echo "skipped: no heart and mnist data in WHIST_DATA"
    exit 77
fi
work=$(mktemp -d) || exit 1
trap 'rm -rf "$work"' EXIT

accuracy() { # study data seeds
    whist simulate "$1" --data "$2" --seeds "$3" --json 2>/dev/null | sed 's/.*"accuracy":{"mean":\([0-9.eE+-]*\).*/\1/'
}
bad=0
check() { # what mean least
    awk -v what="$1" -v m="$2" -v least="$3" 'BEGIN {
        printf "%-44s %.4f  %s\n", what, m, (m >= least ? "" : "BELOW " least); exit m < least }' || bad=1
}

while read -r epsilon delta least; do
    noise=$(whist dp calibrate --mechanism gaussian --noise 1 --count 15 --epsilon "$epsilon" --delta "$delta" --json |
        sed 's/.*"value":\([0-9.]*\).*/\1/')
    sed "s/noise: 10 .*/noise: $noise/; s/epsilon: 1.7/epsilon: 100/" "$here/examples/heart/dp-record.yaml" >"$work/heart.yaml"
    check "heart, epsilon $epsilon at $delta, noise $noise" "$(accuracy "$work/heart.yaml" "$data/heart" 5)" "$least"
done <<TABLE
1 1e-3 .69
10 1e-3 .70
1 1e-5 .69
10 1e-5 .70
TABLE
check "mnist, epsilon 2.4 at 1e-5" "$(accuracy "$here/examples/mnist/dp-cnn.yaml" "$data/mnist" 1)" .97
check "mnist in a fixed order, epsilon 2.4 at 1e-5" \
    "$(accuracy "$here/examples/mnist/dp-ftrl.yaml" "$data/mnist" 1)" .97
for seed in 0 1 2 3 4; do
    whist simulate "$here/examples/mnist/dp-scatter.yaml" --data "$data/mnist" --seed $seed --json 2>/dev/null |
        sed 's/.*"accuracy":{"mean":\([0-9.eE+-]*\).*/\1/'
done | sort -g >"$work/five"
[ "$(wc -l <"$work/five")" -eq 5 ] || bad=1
echo "mnist by fixed features, five seeds: $(tr '\n' ' ' <"$work/five")"
check "mnist by fixed features, epsilon 2.93 at 1e-5" "$(sed -n 3p "$work/five")" .980
exit $bad
