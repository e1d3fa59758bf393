#!/bin/sh
# demo.sh SOURCE WHIST: the main job with real processes: made-up rows, and the hospitals where WHIST_DATA has them.
. "$(dirname "$0")/common.sh"
TMPDIR=$work
export TMPDIR

have=${WHIST_DATA:-}
unset WHIST_DATA
ends 0 "$whist" demo --offline --json --keep kept && json out && says out '"same_bits_as_simulation":true'
says out '"synthetic":true'
says err '--offline forbids'
[ "$(ls kept/federation/sites | wc -l)" -eq 4 ] && [ -s kept/federated.safetensors ] || bad=1
ends 0 "$whist" log verify kept/federation/sites/va/state --study kept/federation/study.yaml \
    --certificate kept/federation/sites/va/cert.pem
ends 1 "$whist" demo --offline --keep kept && says err 'there already'

# A study that promises privacy: the ledgers are verified by the demo, and by whoever looks.
ends 0 "$whist" demo --offline --dp --json --keep private && json out && says out '"ledgers_verified":5'
says out '"unit":"site"'
ledger=private/federation/sites/va/state/ledger/data certificate=private/federation/sites/va/cert.pem
ends 0 "$whist" ledger show "$ledger" --certificate "$certificate" && says out 'the coordinator adds the noise and sees'
ends 0 "$whist" ledger show "$ledger" --certificate "$certificate" --json && json out
ends 0 "$whist" ledger export "$ledger" --certificate "$certificate" --out ledger.bin
ends 0 "$whist" ledger verify ledger.bin --certificate "$certificate" --json && json out && says out '"entries":5'
ends 3 "$whist" ledger verify ledger.bin --certificate private/federation/sites/hungarian/cert.pem
ends 3 "$whist" ledger verify ledger.bin --certificate "$certificate" --head 2:00
ends 0 "$whist" ledger prove "$ledger" --certificate "$certificate" --key private/federation/sites/va/key.pem \
    --entry 3 --out proof.json
ends 0 "$whist" ledger verify proof.json --proof --certificate "$certificate" && says out 'entry 3 is in the ledger'
sed 's/"seq":3/"seq":2/' proof.json >other.json
ends 3 "$whist" ledger verify other.json --proof --certificate "$certificate"
ends 2 "$whist" ledger prove "$ledger" --certificate "$certificate" --key private/federation/sites/va/key.pem --out x

# Another study on the same data finds the budget spent, at the sites and at the coordinator, whose ledger lies beside the
# states of its studies: nothing is charged, and the reason is told.
F=private/federation
sed 's/^name: .*/name: second/' $F/study.yaml >second.yaml
sed 's/^state: .*/state: state2/' $F/coordinator/coordinator.yaml >$F/coordinator/second.yaml
entries() { "$whist" ledger verify "$1" --dataset "$2" --certificate "$3" --json | sed 's/.*"entries":\([0-9]*\).*/\1/'; }
owned=$(ls $F/coordinator/ledger)
[ "$(entries $F/coordinator/ledger "$owned" $F/coordinator/cert.pem)" = 5 ] || { echo 'FAILED: no ledger beside the state'; bad=1; }
pids=
for site in cleveland hungarian switzerland va; do
    "$whist" site approve $F/sites/$site/site.yaml --study second.yaml --as 'Dr Example' --yes >/dev/null 2>&1
    "$whist" site run $F/sites/$site/site.yaml --study second.yaml -q --log off >/dev/null 2>&1 &
    pids="$pids $!"
done
ends 3 timeout 60 "$whist" coordinator $F/coordinator/second.yaml --study second.yaml -q --log off && silent
says err 'the budget of this data set is spent: with the 5 rounds still planned'
for pid in $pids; do kill "$pid" 2>/dev/null; wait "$pid"; done
[ "$(entries $F/sites/va/state data "$certificate")" = 5 ] || { echo "FAILED: a refused study was charged"; bad=1; }
[ "$(entries $F/coordinator/ledger "$owned" $F/coordinator/cert.pem)" = 5 ] || { echo "FAILED: … at the coordinator"; bad=1; }

# A run that the coordinator has kept, made again: the same model.
ends 0 "$whist" simulate kept/federation/study.yaml --replay kept/federation/coordinator/state --model again -q
ends 0 "$whist" simulate kept/federation/study.yaml --model fresh -q
cmp again fresh || bad=1
ends 0 "$whist" state backup kept/federation/coordinator/state backup
ends 1 "$whist" state backup kept/federation/coordinator/state backup
ends 0 "$whist" state restore backup restored --json && json out

if [ -n "$have" ] && [ -f "$have/heart/flamby_split.csv" ]; then
    WHIST_DATA=$have ends 0 "$whist" demo
    says out 'bit for bit' && says out 'switzerland' && says out 'federated'
    says err 'WHIST_DATA'
fi

# Stopped in the middle: nothing runs on, nothing is left behind.
"$whist" demo --offline --quiet >out 2>err </dev/null &
demo=$!
has_folder() { ls "$work" | grep -q whist-demo; }
wait_for has_folder && wait_for catches $demo || bad=1
kill -TERM $demo
wait $demo
code=$?
[ $code -eq 4 ] || { echo "FAILED: a stopped demo ended with $code"; cat err; bad=1; }
ls "$work" | grep whist-demo && { echo 'FAILED: a folder is left behind'; bad=1; }
exit $bad
