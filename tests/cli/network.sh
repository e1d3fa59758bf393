#!/bin/sh
# network.sh SOURCE WHIST: processes over mutual TLS: stopped and gone on with, strangers, operators, bad ports.
. "$(dirname "$0")/common.sh"
synthetic tiny north south >tiny.yaml
sed -i 's/rounds: 3/rounds: 300/' tiny.yaml
pids=
trap 'kill $pids 2>/dev/null; wait; rm -rf "$work"' EXIT

ends 0 "$whist" provision demo tiny.yaml --out w
study="--study w/study.yaml"
for s in north south; do ends 0 "$whist" site approve w/sites/$s/site.yaml $study --as Ann --yes; done

# coordinator OPTION…: starts one; $url says where it is.
coordinator() {
    rm -f port
    "$whist" coordinator w/coordinator/coordinator.yaml $study --listen "127.0.0.1:${port:-0}" --port-file port \
        --quiet "$@" >coordinator.out 2>coordinator.err </dev/null &
    hub=$!
    pids="$pids $hub"
    listens() { [ -s port ] || ! kill -0 $hub; }
    wait_for listens || bad=1
    port=$(cat port)
    url="--coordinator https://127.0.0.1:$port"
}
# site NAME: starts one.
site() {
    "$whist" site run w/sites/$1/site.yaml $study $url --quiet --threads 2 >$1.out 2>$1.err </dev/null &
    pids="$pids $!"
    eval "$1=$!"
}
# ended WHO PID CODE
ended() {
    wait "$2"
    code=$?
    [ $code -eq "$3" ] && return
    echo "FAILED: $1 ended with $code, not $3"
    cat "$1.err"
    bad=1
}

port=0
coordinator
ends 0 "$whist" status w/operator/operator.yaml $url --json && json out && says out '"state":"running"'
ends 0 "$whist" status w/operator/operator.yaml $url && says out 'round: 0'
ends 0 "$whist" start w/operator/operator.yaml $url && says out 'it is running already'
ends 0 "$whist" start w/operator/operator.yaml $url --json && says out '{"started":false}'
ends 0 "$whist" site check w/sites/north/site.yaml $study $url && says out 'clock'
ends 2 "$whist" site run w/sites/north/site.yaml $study $url --threads 0 && silent
ends 1 "$whist" coordinator w/coordinator/coordinator.yaml $study --listen "127.0.0.1:$port" && silent

# An operator who may only read; a stranger of another authority; a site that another study names.
ends 0 "$whist" provision request bob --role operator --out bob
ends 0 "$whist" provision sign bob/request.pem --ca w/ca --role operator --may read --out bob/cert.pem --yes
cp w/ca/ca.pem w/ca/crl.pem bob
cp w/operator/operator.yaml bob/operator.yaml
ends 0 "$whist" status bob/operator.yaml $url
ends 3 "$whist" stop bob/operator.yaml $url && says err 'stop'
ends 0 "$whist" provision demo tiny.yaml --out other
cp other/operator/key.pem other/operator/cert.pem bob
ends 3 "$whist" status bob/operator.yaml $url && silent
cp w/operator/operator.yaml wrong.yaml
sed -i "s/sha256:[0-9a-f]*/$("$whist" provision pin other/coordinator/cert.pem)/; s/: \([a-z]*.pem\)/: w\/operator\/\1/" wrong.yaml
ends 3 "$whist" status wrong.yaml $url && says err 'key'

# Stopped by an operator, then by a signal; each time the same command goes on.
site north
ends 0 "$whist" stop w/operator/operator.yaml $url
ended coordinator $hub 4
says coordinator.err 'cancelled'
[ ! -s coordinator.out ] || bad=1
coordinator
wait_for catches $hub || bad=1
kill -TERM $hub
ended coordinator $hub 4
coordinator --model net.safetensors --json --wait
ends 0 "$whist" start w/operator/operator.yaml $url && says out 'the rounds begin'
wait_for catches $north || bad=1
kill -TERM $north
ended north $north 4
site north
site south
# In the middle: some rounds are done, most are not.
begun() { "$whist" status w/operator/operator.yaml $url --json | grep -q '"round":[1-9]'; }
wait_for begun || bad=1
kill -KILL $north
wait $north 2>/dev/null
site north
ended coordinator $hub 0
ended north $north 0
ended south $south 0
json coordinator.out
ends 0 "$whist" simulate w/study.yaml --model sim.safetensors -q
cmp net.safetensors sim.safetensors || bad=1

# Nothing to connect to: it asks again until it is stopped.
url="--coordinator https://127.0.0.1:1"
site north
wait_for grep -q site.retry north.err || bad=1
kill -TERM $north
ended north $north 4
says north.err 'site.retry'
"$whist" site run w/sites/north/site.yaml $study $url --log json >out 2>err </dev/null &
north=$!
pids="$pids $north"
wait_for grep -q site.retry err || bad=1
kill -TERM $north
wait $north
grep '^{' err >log && json log && says log '"event":"site.retry"'
exit $bad
