#!/bin/sh
# headers.sh INCLUDE: each public header compiles by itself, as C17 and as C++17 (where there is a
# C++ compiler), without a warning.
include=$1
bad=0 n=0
cc=${CC:-cc}
cxx=
for candidate in ${CXX:-} c++ g++ clang++; do
    if command -v "$candidate" >/dev/null 2>&1; then cxx=$candidate; break; fi
done
[ -n "$cxx" ] || echo 'there is no C++ compiler: looked at C only'

alone() { # language compiler standard
    # The header twice: it must bear that as well.
    printf '#include <%s>\n#include <%s>\nint main(void);\n' "$name" "$name" |
        $2 -x "$1" -std="$3" -Wall -Wextra -Werror -pedantic -fsyntax-only -I "$include" - && return
    echo "<$name> does not stand alone as $3"
    bad=1
}

for header in "$include"/whist/*.h; do
    name=whist/$(basename "$header")
    n=$((n + 1))
    alone c "$cc" c17
    [ -z "$cxx" ] || alone c++ "$cxx" c++17
done
echo "$n headers"
[ $n -gt 0 ] && [ $bad -eq 0 ]
