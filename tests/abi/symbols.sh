#!/bin/sh
# symbols.sh INCLUDE LIBWHIST.SO LIBWHIST.A: the shared library exports what the headers mark with
# WHIST_API, all of it and nothing else; names with linkage in the static one start with whist_ or wh_.
include=$1 shared=$2 static=$3
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
bad=0

# The name in a declaration is the first whist_… before a parenthesis that belongs to no attribute
# macro; of a variable it is the last word.
cat "$include"/whist/*.h | awk '
    directive || /^[ \t]*#/ { directive = /\\$/; next }
    { text = text " " $0 }
    END {
        gsub(/\/\*([^*]|\*+[^*\/])*\*+\//, " ", text)
        while (match(text, /WHIST_API /)) {
            text = substr(text, RSTART + RLENGTH)
            end = index(text, ";")
            declaration = substr(text, 1, end - 1)
            if (match(declaration, /whist_[a-z0-9_]+ *\(/)) {
                name = substr(declaration, RSTART, RLENGTH)
                sub(/ *\(/, "", name)
            } else {
                sub(/[[=].*/, "", declaration)
                n = split(declaration, words, /[ *]+/)
                name = words[n] == "" ? words[n - 1] : words[n]
            }
            print name
        }
    }' | sort -u >"$work/declared"

# Names that begin with an underscore are the linker's and the compiler's.
nm -D --defined-only "$shared" | awk '$2 ~ /^[A-Zi]$/ && $2 != "A" && $3 !~ /^_/ { print $3 }' | sort -u >"$work/exported"
nm --defined-only -g "$static" 2>/dev/null |
    awk 'NF == 3 && $3 !~ /^(_|whist_|wh_)/ { print $3 }' | sort -u >"$work/foreign"

complain() { # text file
    [ -s "$2" ] || return 0
    sed "s/^/$1: /" "$2"
    bad=1
}
comm -23 "$work/declared" "$work/exported" >"$work/lost"
comm -13 "$work/declared" "$work/exported" >"$work/leaked"
complain 'declared WHIST_API, not exported' "$work/lost"
complain 'exported, in no public header' "$work/leaked"
complain 'linkage without whist_ or wh_' "$work/foreign"
echo "$(wc -l <"$work/declared") declared, $(wc -l <"$work/exported") exported"
[ -s "$work/declared" ] && [ $bad -eq 0 ]
