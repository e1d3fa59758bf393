# What the tests of the program share: `whist` and the examples from the arguments, a folder that goes away, and
# checks that name what went wrong. Usage: . common.sh SOURCE WHIST
set -u
. "$1/tests/waiting.sh"
source=$1 whist=$(realpath "$2")
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work" || exit 1
bad=0

# ends CODE COMMAND…: the command ends with that code; stdout and stderr stay in out and err.
ends() {
    wanted=$1
    shift
    "$@" >out 2>err </dev/null
    code=$?
    if [ $code -ne "$wanted" ]; then
        echo "FAILED: $*: ended with $code, not $wanted"
        cat out err
        bad=1
        return 1
    fi
}

# says FILE TEXT: the file holds the text.
says() {
    grep -qF -- "$2" "$1" && return
    echo "FAILED: $1 does not say '$2':"
    cat "$1"
    bad=1
}

# silent: nothing stands on stdout. A command that fails prints no half results.
silent() {
    [ -s out ] || return 0
    echo "FAILED: a command that failed printed:"
    cat out
    bad=1
}

# json FILE: every line is one JSON value (looked at where there is a reader for it).
json() {
    if command -v python3 >/dev/null 2>&1; then
        python3 -c 'import json,sys
for line in open(sys.argv[1]): json.loads(line)' "$1" >/dev/null 2>&1 && return
    elif command -v jq >/dev/null 2>&1; then
        jq . "$1" >/dev/null 2>&1 && return
    else
        grep -q '^[{].*[}]$' "$1" && return
    fi
    echo "FAILED: $1 is no JSON:"
    cat "$1"
    bad=1
}

# A small study without data. synthetic NAME SITES…
synthetic() {
    cat <<X
whist: 1
name: $1
data:
  format: synthetic
  task: binary
  synthetic: {rows: 60}
  columns:
    - {name: a, type: real}
    - {name: b, type: category, levels: [x, y, z]}
    - {name: t, type: target}
model: logistic
learner: {name: sgd, lr: 0.05, batch: 4, updates: 20}
strategy: fedavg
rounds: 3
metrics: [accuracy, logloss]
sites:
X
    shift
    for site; do echo "  - {name: $site}"; done
}
