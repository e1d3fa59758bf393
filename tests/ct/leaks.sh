#!/bin/sh
# leaks.sh LEAK [TOOL…]: deliberate leaks must be caught, or the silence of the suite means nothing.
#
# LEAK is the program ct_leak, TOOL what runs it. Without a TOOL it has MemorySanitizer inside, whose
# report names functions only where clang's symbolizer is installed.
leak=$1
shift
"$leak" marks || { echo 'not checked: this build marks no secrets (valgrind/memcheck.h was missing)'; exit 77; }
export MSAN_OPTIONS=halt_on_error=1:exitcode=9
failed=0

# run CODE TEXT NAME [TOOL…]: ends with CODE, and says TEXT on the way.
run() {
    code=$1 text=$2 name=$3
    shift 3
    said=$("$@" "$leak" "$name" 2>&1)
    got=$?
    [ $got -eq 77 ] && { echo "$said"; exit 77; }
    if [ $got -ne "$code" ] || ! printf '%s\n' "$said" | grep -q "$text"; then
        echo "leak $name: status $got, not $code with '$text': $said"
        failed=1
    fi
}

if [ $# -eq 0 ]; then
    run 9 use-of-uninitialized-value compare
    run 9 use-of-uninitialized-value table
    run 9 use-of-uninitialized-value verdict
else
    run 9 leak_compare compare "$@"
    run 9 leak_table table "$@"
    run 9 leak_verdict verdict "$@"
fi
run 0 '' none "$@"
exit $failed
