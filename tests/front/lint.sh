#!/bin/sh
# lint.sh LIB: script/lib/lint.awk finds each kind of breach in a small house, and none in a sound one.
lib=$1
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work" || exit 1
bad=0

house() {
    rm -rf src include
    mkdir -p src/ground src/left src/right src/cli include/whist
    printf '9 cli\n1 left right\n0 ground\n' >src/FLOORS
    printf '/* g */\n#include "ground/g.h"\n' >src/ground/g.c
    printf '/* g */\n' >src/ground/g.h
    printf '/* l: strcpy(a, b) and malloc(1) are words here */\n#include "left/l.h"\n#include "ground/g.h"\n' >src/left/l.c
    printf '/* l */\n#include <whist/ground.h>\n' >src/left/l.h
    printf '/* c */\n#include <whist/left.h>\n' >src/cli/main.c
    printf '/* g */\n#include <stddef.h>\n/* It does. */\nWHIST_API int whist_do(void);\n' >include/whist/ground.h
    printf '/* l */\n#include <whist/ground.h>\n' >include/whist/left.h
}

# found WHAT: lint says exactly one thing, which holds WHAT; '' where it says nothing.
found() {
    : >problems
    printf '%s\n' src/*/ | sed 's|src/||;s|/||' >rooms
    find src include -name '*.[ch]' | sort | xargs awk -v rooms=rooms -v problems=problems -v loops=pairs \
        -f "$lib/lint.awk" src/FLOORS >graph
    if [ -z "$1" ] && [ ! -s problems ]; then return; fi
    if [ -n "$1" ] && [ "$(wc -l <problems)" -eq 1 ] && grep -qF "$1" problems; then house; return; fi
    echo "wanted '$1', got:"
    cat problems
    bad=1
    house
}

house
found ''
grep -q 'left *-> ground' graph || { echo 'the graph lacks an arrow'; cat graph; bad=1; }

echo '#include "right/r.h"' >>src/left/l.c; found 'sideways: left includes'
echo '#include <whist/left.h>' >>src/ground/g.c; found 'upward: ground (floor 0) includes'
echo '#include "g.h"' >>src/ground/g.c; found 'names no room'
echo '#include "../left/l.h"' >>src/left/l.c; found 'names no room'
echo '#include "test.h"' >>src/left/l.c; found 'names no room'
printf '/* t */\n#include "test.h"\n' >src/left/l_test.c; found ''
rm -f src/left/l_test.c
echo '#include "ground/g.h"' >>src/cli/main.c; found 'cli sees public headers only'
mkdir src/shed; found 'src/shed: the room is not in src/FLOORS'
echo '#include <stdio.h>' >>include/whist/left.h; found 'a public header includes only'
printf '\nWHIST_API int whist_bare(void);\n' >>include/whist/left.h; found 'a public function without a comment'
echo 'void f(void) { strcpy(a, b); }' >>src/left/l.c; found 'strcpy is banned'
echo 'int x = atoi (text);' >>src/cli/main.c; found 'atoi is banned'
echo 'void f(void) { free(a); }' >>src/left/l.c; found 'bare free'
echo 'void f(void) { free(a); /* lint: of a foreign library */ sqlite3_free(b); c->free(d); }' >>src/left/l.c
found ''
house
printf 'int x;\n' >src/left/x.c; found 'the first line is a comment'
exit $bad
