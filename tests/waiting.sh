# Sourced by the tests of real processes. They wait for what they need, never for a time that a slow machine may need
# more of and a fast one less.
#
#   wait_for COMMAND…    tries until the command succeeds; 1 after five minutes, which is a failure on any machine
#   catches PID          the process has put its handler for SIGTERM in place
#   take_port            $port: free just now, and no other test takes it; give_ports_back ends that

wait_for() {
    wait_until=$(($(date +%s) + 300))
    until "$@" 2>/dev/null; do
        [ "$(date +%s)" -lt $wait_until ] || { echo "waited for ever: $*"; return 1; }
        sleep 0.02
    done
}

# SIGTERM is 15: bit 14 of the mask, the fourth hexadecimal digit from the end is 4 to 7 or c to f.
catches() {
    grep -qiE '^SigCgt:.*[4-7c-f][0-9a-f]{3}$' "/proc/$1/status"
}

# Below the range from which the kernel takes ports for whoever connects. A folder is what tests that run at the same
# time agree by; one whose maker is gone is anybody's.
ports_taken=
take_port() {
    port=$((10000 + $$ % 20000))
    while :; do
        port=$((port < 30000 ? port + 1 : 10000))
        grep -qi ":$(printf '%04X' "$port") 0*:0000 0A" /proc/net/tcp /proc/net/tcp6 2>/dev/null && continue
        port_mark=/tmp/whist-port-$port
        if ! mkdir "$port_mark" 2>/dev/null; then
            [ -d "/proc/$(cat "$port_mark/pid" 2>/dev/null || echo self)" ] && continue
        fi
        echo $$ >"$port_mark/pid" 2>/dev/null || continue
        ports_taken="$ports_taken $port"
        return
    done
}

give_ports_back() {
    for port_mark in $ports_taken; do rm -rf "/tmp/whist-port-$port_mark"; done
    ports_taken=
}
