#!/bin/sh
# examples/private-meta tells its whole story, and what it says is true: epsilon within the budget, both numbers there.
set -u
here=$(cd "$(dirname "$0")/../.." && pwd)
. "$here/tests/waiting.sh"
if [ ! -f "${WHIST_DATA:-}/heart/flamby_split.csv" ]; then
    echo "skipped: no heart data in WHIST_DATA"
    exit 77
fi
trap give_ports_back EXIT
take_port
told=$(PORT=$port sh "$here/examples/private-meta/run.sh" "$WHIST_DATA/heart" 2>&1) || { echo "$told"; exit 1; }
echo "$told"
bad=0
says() { echo "$told" | grep -qE -- "$1" || { echo "FAILED: it does not say '$1'"; bad=1; }; }
says 'none of its recipients'
says 'not the one that was signed'
says 'cut short'
says 'start as it came: [0-9]* of 45 right$'
if "$WHIST" meta adapt --help >/dev/null 2>&1; then says 'after five patients .* of 45 right$'; fi
for site in cleveland hungarian switzerland; do
    last=$(echo "$told" | sed -n "s/^$site: .*epsilon [0-9.]* to \([0-9.]*\) at delta.*/\1/p")
    awk -v e="${last:-9}" 'BEGIN { exit !(e > 1 && e <= 2) }' || { echo "FAILED: epsilon '$last' of $site"; bad=1; }
done
exit $bad
