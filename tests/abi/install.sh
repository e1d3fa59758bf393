#!/bin/sh
# install.sh BUILD PROGRAM.C…: a program of somebody else compiles, links and runs against an
# installed copy, with the shared library and with the static one.
build=$1
shift
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
set -e

meson install -C "$build" --no-rebuild --quiet --destdir "$work/root" >"$work/log" 2>&1 || { cat "$work/log"; exit 1; }
pc=$(find "$work/root" -name whist.pc)
lib=$(dirname "$(dirname "$pc")")
prefix=$(sed -n 's/^prefix=//p' "$pc")
ask() { PKG_CONFIG_PATH=$(dirname "$pc") pkg-config --define-variable=prefix="$work/root$prefix" "$@" whist; }

"$work/root$prefix/bin/whist" --version >/dev/null || "$work/root$prefix/bin/whist" version >/dev/null

# shellcheck disable=SC2046 # lists of flags
{
    ${CC:-cc} -std=c17 -Wall -Wextra -Werror "$@" -o "$work/shared" $(ask --cflags --libs) -lm
    LD_LIBRARY_PATH=$lib "$work/shared"
    readelf -d "$work/shared" | grep -q 'libwhist\.so' || { echo 'the shared library is not used'; exit 1; }

    # Statically linked is libwhist; what it stands on stays shared, because Debian carries no
    # static form of all of that.
    needs=$(ask --print-requires-private | sed 's/ .*//')
    private=$(sed -n 's/^Libs.private://p' "$pc")
    ${CC:-cc} -std=c17 -Wall -Wextra -Werror "$@" -o "$work/static" $(ask --cflags) \
        "$lib/libwhist.a" $(pkg-config --libs $needs) $private -lm
    "$work/static"
    if readelf -d "$work/static" | grep -q 'libwhist\.so'; then echo 'the static library is not used'; exit 1; fi
}
