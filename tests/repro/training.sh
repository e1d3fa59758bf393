#!/bin/sh
# Two trainings in one place, as docs/cli.md shows them: the CNN on MNIST to 99.0 % of the test rows or more, and the GPT
# on Shakespeare to 1.75 nats a letter or less on text it has not seen. Minutes of two cores; time is shown, not judged.
#
# Needs WHIST_DATA/mnist and WHIST_DATA/tinyshakespeare, and `whist` on the PATH.
set -u
data=${WHIST_DATA:-}
here=$(cd "$(dirname "$0")/../.." && pwd)
if [ ! -f "$data/mnist/t10k-images-idx3-ubyte.gz" ] || [ ! -f "$data/tinyshakespeare/input.txt" ]; then
    echo "skipped: no MNIST or no Shakespeare in WHIST_DATA"
    exit 77
fi

bad=0
# one NAME SET METRIC LEAST|MOST BOUND
one() {
    json=$(whist train "$here/examples/$1.yaml" --data "$data/$2" --json -q 2>/dev/null) || { bad=1; return; }
    value=$(printf '%s' "$json" | sed "s/.*\"test\":{[^}]*\"$3\":\([0-9.eE+-]*\).*/\1/")
    seconds=$(printf '%s' "$json" | sed 's/.*"seconds":\([0-9.]*\),.*/\1/')
    awk -v n="$1" -v m="$3" -v v="$value" -v s="$seconds" -v k="$4" -v b="$5" 'BEGIN {
        good = k == "least" ? v >= b : v <= b
        printf "%-22s test %-9s %.4f  at %s %s  %s  %.0f s\n", n, m, v, k, b, good ? "good" : "NOT GOOD", s
        exit !good }' || bad=1
}
one mnist/cnn mnist accuracy least 0.990
one tinyshakespeare/gpt tinyshakespeare logloss most 1.75
exit $bad
