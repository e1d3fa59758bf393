#!/bin/sh
# What a federation of real processes refuses, with which words and which exit code; and that after each refusal
# or interruption the same commands still end with the bits of the simulation.
set -u
. "$(dirname "$0")/federation.sh"
need_data
bad=0

# expect CODE WORDS COMMAND…: runs it, bounded, and compares exit code and standard error.
expect() {
    code=$1 words=$2
    shift 2
    timeout 300 "$@" >"$work/out" 2>"$work/err"
    got=$?
    if [ $got -ne "$code" ] || ! grep -qiF -- "$words" "$work/err"; then
        echo "FAILED: exit $got (wanted $code), wanted '$words': $*"
        tail -n 4 "$work/err"
        bad=1
    fi
}

world
study=$work/fed/study.yaml
site() { echo "$work/fed/sites/$1/site.yaml"; }
va="$WHIST site run $(site va) --study $study"

# ---- At the site, before anything is sent ----
sed 's/^rounds: 15/rounds: 16/' "$study" >"$work/other.yaml"
expect 3 'approve' "$WHIST" site run "$(site va)" --study "$work/other.yaml"
cp "$(site va)" "$work/fed/sites/va/strict.yaml"
sed -i '/^policy:/,$d' "$work/fed/sites/va/strict.yaml"
printf 'policy:\n  min_sites: 10\n' >>"$work/fed/sites/va/strict.yaml"
expect 3 'sites' "$WHIST" site run "$work/fed/sites/va/strict.yaml" --study "$study"
printf 'policy:\n  learners: [adam]\n' >"$work/tail"
sed -i '/^policy:/,$d' "$work/fed/sites/va/strict.yaml"
cat "$work/tail" >>"$work/fed/sites/va/strict.yaml"
expect 3 'learner' "$WHIST" site run "$work/fed/sites/va/strict.yaml" --study "$study"
sed 's/^learner:/lerner:/' "$study" >"$work/typo.yaml"
expect 1 "did you mean 'learner'" "$WHIST" study check "$work/typo.yaml"
chmod 644 "$work/fed/sites/va/key.pem"
expect 3 'chmod 600' $va
chmod 600 "$work/fed/sites/va/key.pem"

# ---- Between site and coordinator ----
start coordinator
"$WHIST" site approve "$(site va)" --study "$work/other.yaml" --as "Dr Test" --yes >/dev/null
expect 3 'study' "$WHIST" site run "$(site va)" --study "$work/other.yaml"
sed 's/^state: .*/state: elsewhere/' "$work/fed/coordinator/coordinator.yaml" >"$work/fed/coordinator/second.yaml"
expect 1 'in use' "$WHIST" coordinator "$work/fed/coordinator/second.yaml" --study "$study"
expect 1 "$(cat "$work/coordinator.pid")" "$WHIST" coordinator "$work/fed/coordinator/coordinator.yaml" \
    --study "$study" --listen 127.0.0.1:0
# A site of the right name from another authority.
"$WHIST" provision demo "$study" --out "$work/foreign" --data "$WHIST_DATA/heart" --port "$port" >/dev/null
cp "$(site va)" "$work/fed/sites/va/foreign.yaml"
for file in cert.pem key.pem; do cp "$work/foreign/sites/va/$file" "$work/fed/sites/va/foreign-$file"; done
chmod 600 "$work/fed/sites/va/foreign-key.pem"
sed -i 's/^certificate: .*/certificate: foreign-cert.pem/; s/^key: .*/key: foreign-key.pem/' "$work/fed/sites/va/foreign.yaml"
expect 3 '' "$WHIST" site run "$work/fed/sites/va/foreign.yaml" --study "$study"
# Revoked while the coordinator runs: it reads the list again by itself.
"$WHIST" provision revoke "$work/fed/sites/switzerland/cert.pem" --ca "$work/fed/ca" >/dev/null || bad=1
cp "$work/fed/coordinator/crl.pem" "$work/crl.before"
cp "$work/fed/ca/crl.pem" "$work/fed/coordinator/crl.pem"
reloads() { [ "$(grep -c certificate.reloaded "$work/coordinator.log")" -eq "$1" ]; }
wait_for reloads 1 || bad=1
expect 3 'revoked' "$WHIST" site run "$(site switzerland)" --study "$study"
cp "$work/crl.before" "$work/fed/coordinator/crl.pem"
wait_for reloads 2 || bad=1
# A clock that is an hour off (test builds turn it).
if "$WHIST" version --json | grep -q '"test_hooks":true'; then
    expect 1 'clock' env WHIST_TEST_CLOCK_OFFSET=3600 $va
fi

# ---- Interruptions: everything goes on and ends with the right bits ----
for name in cleveland hungarian switzerland; do start "$name"; done
expect 1 'ulimit' sh -c "ulimit -f 1; exec $va"
three_arrived() { "$WHIST" status "$work/fed/operator/operator.yaml" --json | grep -q '"arrived":3'; }
wait_for three_arrived || bad=1
kill -INT "$(cat "$work/coordinator.pid")"
await
[ $? -eq 4 ] || { echo "FAILED: an interrupted coordinator must exit with 4"; bad=1; }
start coordinator
start va
await || { echo "FAILED: the federation did not end well"; show_logs; bad=1; }
"$WHIST" simulate "$study" --data "$WHIST_DATA/heart" --model "$work/simulated.safetensors" --json >/dev/null 2>&1
[ "$(model "$work/model.safetensors")" = "$(model "$work/simulated.safetensors")" ] ||
    { echo "FAILED: other bits after the interruptions"; bad=1; }

[ $bad -eq 0 ] && echo "every refusal has its words and its exit code"
exit $bad
