# What every front door starts with (sourced, POSIX sh).
#
# It goes to the root of the project, makes standard input harmless, and finds the data. What it
# has to say goes to standard error, so that the output of a front door stays its own.

# What the caller names is meant from where the caller stands.
for name in WHIST_DATA WHIST_REFERENCE; do
    eval "folder=\${$name:-}"
    if [ -d "$folder" ]; then eval "$name=\$(cd \"\$folder\" && pwd)"; fi
done

root=$(cd "$(dirname "$0")/.." && pwd) || exit 1
cd "$root" || exit 1
export LC_ALL=C.UTF-8
exec </dev/null

say() { printf '%s\n' "$*" >&2; }
die() { say "$(basename "$0"): $*"; exit 1; }

# The head of the script that calls it is its help.
help() { sed -n '2,/^[^#]/s/^# \{0,1\}//p' "$0"; }

# Data and known answers lie beside the project where there are any; what is set already wins.
default_folder() { # variable folder
    eval "[ -z \"\${$1:-}\" ]" && [ -d "$2" ] && eval "$1=\$(cd \"\$2\" && pwd) && export $1"
    return 0
}
default_folder WHIST_DATA "$root/../shared/data"
default_folder WHIST_REFERENCE "$root/../shared/reference"

# True when whatever a build and the tests need answers, wherever it came from.
ready() {
    for tool in cc meson ninja pkg-config protoc-c openssl curl; do
        command -v $tool >/dev/null 2>&1 || return 1
    done
    # What meson.build asks for, and what the program loads at run time.
    # shellcheck disable=SC2046 # a list of words
    pkg-config --exists openblas $(sed -n "/required: false/d; /'threads'/d; s/.*dependency('\([^']*\)'.*/\1/p" meson.build)
}

need() { ready || script/bootstrap >&2 || exit 1; }

# configure FOLDER OPTION…: sets a build folder up, again only when the options changed.
# They are kept in FOLDER/.options: asking Meson takes a second, and a folder made by hand or moved
# here from elsewhere has none or another line.
configure() {
    folder=$1
    shift
    wanted="$root ${CC:-cc} $*"
    [ -f "$folder/build.ninja" ] && [ "$(cat "$folder/.options" 2>/dev/null)" = "$wanted" ] && return 0
    [ -d "$folder/meson-private" ] && rm -rf "$folder"
    mkdir -p "$folder"
    meson setup "$folder" "$@" >"$folder/setup.log" 2>&1 ||
        { tail -n 8 "$folder/setup.log" >&2; die "setting up $folder failed (see above)"; }
    printf '%s\n' "$wanted" >"$folder/.options"
}

# compile FOLDER TARGET…: quiet unless somebody watches or it fails.
compile() {
    folder=$1
    shift
    say "building $folder"
    if [ -t 2 ]; then
        ninja -C "$folder" "$@" >&2 || die "building $folder failed (see above)"
        return
    fi
    code=0
    ninja -C "$folder" --quiet "$@" >"$folder/build.log" 2>&1 || code=$?
    if [ $code -eq 0 ]; then
        grep -A 3 'warning: ' "$folder/build.log" >&2
        return 0
    fi
    awk '/^FAILED: /{ on = 1 } on || /[Ee][Rr][Rr][Oo][Rr]/' "$folder/build.log" >&2
    die "building $folder failed (see above)"
}

# run_tests FOLDER OPTION-OF-MESON-TEST…: runs tests of a build folder and prints the tally.
# Returns 1 when a test failed or none ran.
run_tests() {
    folder=$1
    shift
    rm -f "$folder"/meson-logs/testlog*
    CMOCKA_MESSAGE_OUTPUT=TAP meson test -C "$folder" --no-rebuild --num-processes "${WHIST_TEST_JOBS:-2}" \
        --timeout-multiplier 3 "$@" >"$folder/tests.log" 2>&1
    code=$?
    # Meson adds the name of a wrapper to the name of the log, and writes none when no test fits.
    for log in "$folder"/meson-logs/testlog*.txt; do :; done
    [ -f "$log" ] || { cat "$folder/tests.log"; log=/dev/null; }
    awk -v code=$code -f script/lib/tally.awk "$log"
}
