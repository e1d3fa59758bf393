#!/bin/sh
# commands.sh SOURCE WHIST: runs the commands that the docs show and fails when one of them does.
#
# A block fenced as ```console is run: its lines that start with "$ " are commands (a line that
# ends in a backslash goes on), the others show output and are not compared. "```console data" is
# run only where WHIST_DATA names a folder. Blocks of one page share a shell, so variables and
# folders carry over. Every page starts in a fresh copy of the project, with `whist` on the PATH and
# at build/whist. What stops is stopped after ten minutes; how long a page takes is not judged. Other fences (```text,
# ```sh) are not run. The port of the tour, 18443, is a free one here.
source=$1 whist=$(realpath "$2")
limit=600
. "$source/tests/waiting.sh"
work=$(mktemp -d)
trap 'give_ports_back; rm -rf "$work"' EXIT
take_port
bad=0 pages=0 commands=0

# The commands of a page as a shell script that shows each before it runs.
script_of() {
    awk -v data="${WHIST_DATA:+yes}" '
        function end_command() {
            if (command == "") return
            shown = command
            gsub(/\047/, "\047\\\047\047", shown)
            printf "printf \"%%s\\n\" \047$ %s\047\n%s\n", shown, command
            command = ""
        }
        /^```/ {
            end_command()
            if (open) { open = run = 0; next }
            open = 1
            run = $0 ~ /^```console *$/ || (data == "yes" && $0 ~ /^```console +data *$/)
            next
        }
        !run { next }
        more { sub(/^> /, ""); command = command "\n" $0; more = $0 ~ /\\$/; next }
        /^\$ / { end_command(); command = substr($0, 3); more = command ~ /\\$/; next }
        { end_command() }
        END { end_command() }' "$1"
}

fresh_copy() {
    rm -rf "$work/copy"
    mkdir -p "$work/copy/build" "$work/home"
    (cd "$source" && tar cf - --exclude=./.git --exclude='./build*' .) | tar xf - -C "$work/copy"
    ln -s "$whist" "$work/copy/build/whist"
}

for page in "$source"/README.md "$source"/ARCHITECTURE.md "$source"/docs/*.md; do
    [ -f "$page" ] || continue
    script_of "$page" | sed "s/\\b18443\\b/$port/g" >"$work/page.sh"
    [ -s "$work/page.sh" ] || continue
    pages=$((pages + 1))
    n=$(grep -c '^printf "%s\\n" ' "$work/page.sh")
    commands=$((commands + n))
    fresh_copy
    (cd "$work/copy" && HOME=$work/home PATH=$work/copy/build:$PATH timeout -k 2 $limit sh -e "$work/page.sh") \
        >"$work/out" 2>&1 </dev/null
    code=$?
    if [ $code -ne 0 ]; then
        bad=1
        cat "$work/out"
        if [ $code -eq 124 ]; then echo "${page#"$source"/}: the last command above does not end"
        else echo "${page#"$source"/}: the last command above ended with status $code"; fi
    fi
done
echo "$commands commands on $pages pages"
exit $bad
