#!/bin/sh
# The main job with real processes: one coordinator and four sites over mutual TLS, each its own process with its
# own key. What they said is captured from the loopback interface, and no row of the data is in it. The model has
# the bits of the simulation of the same study.
#
#   demo.sh SNIFF        the capture program; without the right to capture that part is left out, and says so
set -u
. "$(dirname "$0")/federation.sh"
need_data
fail() {
    echo "FAILED: $1"
    show_logs
    exit 1
}

sniff=$1
"$sniff" "$work/wire" "$port" >"$work/sniff.out" 2>&1 &
sniffer=$!
# It says that it is ready, or that it may not and ends.
listens_or_ended() { grep -q ready "$work/sniff.out" || ! kill -0 "$sniffer"; }
wait_for listens_or_ended || fail 'the capture does not begin'
captured=no
grep -q ready "$work/sniff.out" && captured=yes

world
for name in coordinator $sites; do start "$name"; done

# Five processes, five keys.
for name in coordinator $sites; do alive "$name" || fail "$name did not start"; done
for name in coordinator $sites; do
    folder=$work/fed/sites/$name
    [ "$name" = coordinator ] && folder=$work/fed/coordinator
    "$WHIST" provision pin "$folder/cert.pem"
done | sort -u >"$work/pins"
[ "$(wc -l <"$work/pins")" -eq 5 ] || fail "the five processes do not have five keys"
cat "$work"/*.pid | sort -u >"$work/pids"
[ "$(wc -l <"$work/pids")" -eq 5 ] || fail "there are not five processes"

await || fail "the coordinator ended with status $?"
for name in $sites; do
    wait "$(cat "$work/$name.pid")" || fail "$name ended with status $?"
done

# The same bits as the simulation.
"$WHIST" simulate "$work/fed/study.yaml" --data "$WHIST_DATA/heart" --model "$work/simulated.safetensors" --json \
    >"$work/simulated.json" 2>/dev/null || fail "the simulation failed"
[ "$(model "$work/model.safetensors")" = "$(model "$work/simulated.safetensors")" ] ||
    fail "network and simulation differ"

# Every release is in the sites' logs, whole and signed.
for name in $sites; do
    "$WHIST" log verify "$work/fed/sites/$name/state" --study "$work/fed/study.yaml" \
        --certificate "$work/fed/sites/$name/cert.pem" >"$work/verify" 2>&1 ||
        fail "the log of $name: $(cat "$work/verify")"
done

# No row travelled. First that the capture would have shown one: send one in the clear, to nobody.
if [ $captured = yes ]; then
    probe='probe-63.0,1.0,1.0,145.0,233.0'
    probe_seen() {
        bash -c "printf '%s' '$probe' >/dev/udp/127.0.0.1/$port"
        grep -qaF "$probe" "$work/wire"
    }
    wait_for probe_seen || fail "the capture does not see what travels"
    kill "$sniffer"
    wait "$sniffer" 2>/dev/null
    bytes=$(wc -c <"$work/wire")
    [ "$bytes" -gt 100000 ] || fail "only $bytes bytes were captured"
    cat "$WHIST_DATA"/heart/processed.*.data >"$work/rows"
    grep -aoFf "$work/rows" "$work/wire" | head -n 1 >"$work/leaked"
    [ -s "$work/leaked" ] && fail "a row of the data travelled"
    grep -qaE 'POST /v1/|PUT /v1/' "$work/wire" && fail "requests travelled in the clear"
    echo "captured $bytes bytes: no row, no request in the clear"
else
    kill "$sniffer" 2>/dev/null
    echo "not captured: $(cat "$work/sniff.out")"
fi
echo "five processes, five keys, the bits of the simulation"
