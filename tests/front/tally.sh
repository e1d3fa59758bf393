#!/bin/sh
# tally.sh LIB: script/lib/tally.awk counts what Meson's log holds, the bad cases above all.
lib=$1
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
bad=0
rule==============================================================================

# ran NAME RESULT: appends one program to the log; its output comes from standard input.
ran() {
    n=$((${n:-0} + 1))
    {
        echo "==================================== $n/9 ===================================="
        printf 'test:         %s\nduration:     0.01s\nresult:       %s\ncommand:      x\n' "$1" "$2"
        echo '----------------------------------- stdout -----------------------------------'
        cat
        echo "=$rule"
        echo
    } >>"$work/log"
}

# counts LAST-LINE EXIT-CODE CODE-OF-MESON: judges the log and begins a new one.
counts() {
    awk -v code="$3" -f "$lib/tally.awk" "$work/log" >"$work/out"
    code=$?
    last=$(tail -n 1 "$work/out")
    if [ "$last" != "$1" ] || [ $code -ne "$2" ]; then
        echo "wanted '$1' and $2, got '$last' and $code, from:"
        cat "$work/log"
        bad=1
    fi
    : >"$work/log"
}

: >"$work/log"
counts '0 passed, 0 failed' 1 0

ran 'a cmocka program' 'exit status 0' <<'X'
1..3
ok 1 - a
not ok 2 # SKIP b
half a lineok 3 - c
# ok - tests
X
ran 'another' 'exit status 0' </dev/null
counts '3 passed, 0 failed, 1 skipped' 0 0

ran 'one function fails' 'exit status 1' <<'X'
1..2
ok 1 - a
not ok 2 - b
# 0x1 != 0x2
X
counts '1 passed, 1 failed' 1 1
grep -q '^FAILED one function fails (exit status 1)' "$work/out" && grep -q '0x1 != 0x2' "$work/out" ||
    { echo 'name and output of what failed are not shown'; bad=1; }

ran 'killed after the first of three' 'killed by signal 11 SIGSEGV' <<'X'
1..3
ok 1 - a
X
counts '1 passed, 2 failed' 1 1

ran 'all well, then a leak' 'exit status 23' <<'X'
1..1
ok 1 - a
X
counts '1 passed, 1 failed' 1 1

ran 'skipped as a whole' 'exit status 77' </dev/null
ran 'a script' 'exit status 0' </dev/null
counts '1 passed, 0 failed, 1 skipped' 0 0

ran 'too late, but ended well' 'exit status 0' </dev/null
counts '1 passed, 1 failed' 1 1

ran 'only skipped' 'exit status 77' </dev/null
counts '0 passed, 0 failed, 1 skipped' 1 0
exit $bad
