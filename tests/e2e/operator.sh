#!/bin/sh
# Operators: rounds wait for somebody with the right to start; status, health and metrics are there; who may only read
# cannot start or stop.
set -u
. "$(dirname "$0")/federation.sh"
need_data
fail() {
    echo "FAILED: $1"
    show_logs
    exit 1
}

world
fed=$work/fed
study=$fed/study.yaml
hub=$port
take_port
operations=$port port=$hub
printf 'operations: 127.0.0.1:%d\n' "$operations" >>"$fed/coordinator/coordinator.yaml"

# A second operator, who may only read.
"$WHIST" provision request reader --role operator --out "$fed/reader" >"$work/out" 2>&1 || fail "$(cat "$work/out")"
"$WHIST" provision sign "$fed/reader/request.pem" --ca "$fed/ca" --role operator --may read --yes \
    --out "$fed/reader/cert.pem" >"$work/out" 2>&1 || fail "$(cat "$work/out")"
cp "$fed/operator/ca.pem" "$fed/operator/crl.pem" "$fed/reader/"
cp "$fed/operator/operator.yaml" "$fed/reader/"

"$WHIST" coordinator "$fed/coordinator/coordinator.yaml" --study "$study" --wait --model "$work/model.safetensors" \
    >"$work/coordinator.out" 2>"$work/coordinator.log" &
echo $! >"$work/coordinator.pid"
for name in $sites; do start "$name"; done
status() { "$WHIST" status "$fed/reader/operator.yaml" --json >"$work/status"; }
wait_for status || fail "no status"
grep -q '"state":"waiting"' "$work/status" || fail "it does not wait: $(cat "$work/status")"
[ -f "$work/model.safetensors" ] && fail "it did not wait"

get() { bash -c "exec 3<>/dev/tcp/127.0.0.1/$operations; printf 'GET $1 HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n' >&3; cat <&3"; }
get /healthz | grep -q '^ok' || fail "no health"
get /metrics | grep -q '^whist_rounds 15' || fail "no metrics"

for word in start stop; do
    "$WHIST" $word "$fed/reader/operator.yaml" >"$work/out" 2>&1
    [ $? -eq 3 ] || fail "$word by who may only read: $(cat "$work/out")"
done
"$WHIST" start "$fed/operator/operator.yaml" >/dev/null || fail "start"
await || fail "the coordinator ended with status $?"
[ -f "$work/model.safetensors" ] || fail "no model"
echo "rounds begin when an operator with the right says so"
