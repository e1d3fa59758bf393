#!/bin/sh
# account.sh SOURCE WHIST: whist dp account|calibrate: answers with their unit, refusals with their reason.
. "$(dirname "$0")/common.sh"

run="--mechanism gaussian --noise 1 --sampling poisson --rate 0.01 --count 1000"
# shellcheck disable=SC2086 # a list of words
account() { code=$1; shift; ends "$code" "$whist" dp account $run "$@"; }

account 0 --delta 1e-5 && says out 'protects one record, relation add_remove' && says out 'certified interval'
account 0 --delta 1e-5 --method all && says out 'APPROXIMATION' && says out 'refused: zcdp is not amplified'
account 0 --delta 1e-5 --unit site --relation zero_out && says out 'protects one site, relation zero_out'
account 0 --epsilon 2 --json && says out '"asked":"delta"' && says out '"unit":"record"' && says out '"certified":true'
account 0 --delta 1e-5 --plot curve.svg && ends 0 grep -q '<svg' curve.svg
account 2 --delta 0 && says err 'delta is 0' && silent
account 2 --delta nan && silent
account 2 --epsilon 0 && says err 'epsilon is 0' && silent
account 2 && says err 'ask for one'
account 2 --delta 1e-5 --epsilon 1 && says err 'ask for one'
account 2 --delta 1e-3 --public-n 5000 && says err 'not below 1/5000' && silent
account 2 --delta 1e-5 --method prv && says err "no method 'prv'"
adaptive='--mechanism gaussian --noise 20 --count 100 --delta 1e-5'
ends 0 "$whist" dp account $adaptive --method rdp --json
planned=$(sed 's/.*"upper":\([0-9.]*\).*/\1/' out)
ends 0 "$whist" dp account $adaptive --method rdp --adaptive --json
awk -v a="$planned" -v b="$(sed 's/.*"upper":\([0-9.]*\).*/\1/' out)" 'BEGIN { exit !(b > a && b < 2 * a) }' ||
    { echo 'FAILED: what is chosen on the way costs no more than a plan'; cat out; bad=1; }
ends 0 "$whist" dp account $adaptive --method zcdp --adaptive --budget 4 && says out 'odometer'
ends 1 "$whist" dp account $adaptive --method gdp --adaptive && says err 'fixed in advance' && silent
ends 3 "$whist" dp account $adaptive --method rdp --adaptive --budget 2 && says err 'would pass epsilon 2' && silent
ends 2 "$whist" dp account $adaptive --budget 2 && says err 'is for --adaptive runs' && silent
ends 2 "$whist" dp account --mechanism gaussian --noise 20 --epsilon 2 --method rdp --adaptive && says err 'told at a --delta' && silent
ends 2 "$whist" dp account --mechanism gaussian --noise 20 --epsilon 1e9 && says err 'up to 1e6' && silent
ends 2 "$whist" dp account --mechanism gaussian --noise 20 --delta 1e-5 --count 9223372036854775807 && says err 'at most 2^40' && silent
ends 1 "$whist" dp account $run --delta 1e-5 --adaptive || true
says err 'schedules fixed in advance'
ends 2 "$whist" dp account --mechanism gaussian --delta 1e-5 && says err 'noise is missing'
ends 2 "$whist" dp account --mechanism gauss --noise 1 --delta 1e-5 && says err "mechanism 'gauss' is not known: gaussian, laplace, "
ends 2 "$whist" dp account --mechanism gaussian --noise nan --delta 1e-5
ends 2 "$whist" dp account --mechanism gaussian --noise 1 --rate 0.1 --delta 1e-5 && says err 'rate means nothing'
ends 0 "$whist" dp calibrate --mechanism gaussian --epsilon 1 --delta 1e-6 && says out 'noise 4.2'
ends 2 "$whist" dp calibrate --mechanism gaussian --epsilon -1 --delta 1e-6 && silent
ends 2 "$whist" dp calibrate --mechanism gaussian --epsilon 1 --delta 1e-6 --find luck && says err "not 'luck'"
ends 0 "$whist" dp calibrate --mechanism gaussian --noise 1e9 --find count --epsilon 1 --delta 1e-5 && says out 'short of the target'
ends 2 "$whist" dp calibrate --mechanism pure --mechanism-epsilon 1 --epsilon 2 --delta 1e-6 && says err 'has no noise to choose' && silent
ends 2 "$whist" dp calibrate --mechanism gaussian --epsilon 1e-6 --delta 1e-30 --find count --noise 1 && says err 'no count between 1 and' && silent
ends 2 "$whist" dp calibrate --mechanism gaussian --epsilon 1 --delta 1e-6 --event 2 && says err 'there is 1 event' && silent
ends 2 "$whist" dp calibrate --mechanism gaussian --epsilon 1 --delta 1e-6 --method all && says err "there is no method 'all': pld, rdp, zcdp or gdp"
ends 1 "$whist" dp account --mechanism approximate --mechanism-epsilon 1 --mechanism-delta 0.5 --delta 1e-5 --method all && says out 'refused: no finite epsilon'
ends 0 "$whist" dp account --mechanism randomised_response --p 1 --k 2 --delta 1e-6 --method all && says out 'certified interval'
ends 0 "$whist" dp account --mechanism gaussian --noise 1 --group 1000000 --delta 1e-6 --method all && says out 'refused: the events come to rho 5e+11'
# What a plan may do is more than what an adaptive run may: the count that is found is one that the odometer lets pass.
ends 0 "$whist" dp calibrate --mechanism gaussian --noise 20 --epsilon 1 --delta 1e-5 --find count --adaptive --method rdp && says out 'odometer'
count=$(awk 'NR == 1 { print $2 }' out)
ends 0 "$whist" dp account --mechanism gaussian --noise 20 --count "$count" --delta 1e-5 --method rdp --adaptive --budget 1
ends 3 "$whist" dp account --mechanism gaussian --noise 20 --count $((count + 1)) --delta 1e-5 --method rdp --adaptive --budget 1
ends 1 "$whist" dp calibrate --mechanism gaussian --noise 20 --epsilon 1 --delta 1e-5 --find count --adaptive && says err 'fixed in advance' && silent
exit $bad
