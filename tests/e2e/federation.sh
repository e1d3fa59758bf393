# Sourced by the tests of real processes: a federation of the heart hospitals (or of synthetic rows where the data
# are absent) on loopback.
#
#   world [STUDY]        makes $work/fed with keys and configurations for $port, a free one
#   start NAME           starts "coordinator" or a site; its process id is in $work/NAME.pid
#   await                waits until the coordinator has ended; its status is returned
#   model FILE           the data part of a safetensors model, for comparing bits
# WHIST names the program.
: "${WHIST:?}"
here=$(cd "$(dirname "$0")/../.." && pwd)
. "$here/tests/waiting.sh"
work=$(mktemp -d "${TMPDIR:-/tmp}/whist-e2e.XXXXXX")
sites="cleveland hungarian switzerland va"

end_all() {
    for name in coordinator $sites; do
        [ -f "$work/$name.pid" ] && kill -9 "$(cat "$work/$name.pid")" 2>/dev/null
    done
    wait 2>/dev/null
    give_ports_back
    [ -n "${KEEP:-}" ] || rm -rf "$work"
}
trap end_all EXIT
trap 'exit 130' INT TERM

take_port

need_data() {
    if [ ! -f "${WHIST_DATA:-}/heart/flamby_split.csv" ]; then
        echo "skipped: no heart data in WHIST_DATA"
        exit 77
    fi
}

world() {
    study=${1:-$here/examples/heart/fedavg.yaml}
    "$WHIST" provision demo "$study" --out "$work/fed" --data "$WHIST_DATA/heart" --port "$port" \
        >"$work/provision.log" || exit 1
    for name in $sites; do
        "$WHIST" site approve "$work/fed/sites/$name/site.yaml" --study "$work/fed/study.yaml" --as "Dr Test" --yes \
            >>"$work/provision.log" || exit 1
    done
}

start() {
    case $1 in
    coordinator)
        "$WHIST" coordinator "$work/fed/coordinator/coordinator.yaml" --study "$work/fed/study.yaml" \
            --model "$work/model.safetensors" >>"$work/$1.out" 2>>"$work/$1.log" &
        ;;
    *)
        "$WHIST" site run "$work/fed/sites/$1/site.yaml" --study "$work/fed/study.yaml" \
            >>"$work/$1.out" 2>>"$work/$1.log" &
        ;;
    esac
    echo $! >"$work/$1.pid"
}

alive() { kill -0 "$(cat "$work/$1.pid")" 2>/dev/null; }

await() {
    wait "$(cat "$work/coordinator.pid")"
}

# logged NAME TEXT: the log of the process has the text.
logged() { grep -q -- "$2" "$work/$1.log"; }

# Header size (8 bytes, little-endian), header, data.
model() {
    size=$(od -An -tu8 -N8 "$1" | tr -d ' ')
    tail -c "+$((9 + size))" "$1" | sha256sum | cut -d' ' -f1
}

show_logs() {
    for name in coordinator $sites; do
        echo "--- $name"
        [ -f "$work/$name.log" ] && tail -n 5 "$work/$name.log"
    done
}
