# Reads src/FLOORS, then every source file; draws the include graph and notes what breaks a rule.
#
#   awk -v rooms=FILE -v problems=FILE -v loops=FILE -f lint.awk src/FLOORS FILE…
#
# rooms lists the folders of src/; problems and loops (pairs of headers for tsort) are written.
# Comments and strings are blanked before code is looked at, so a word in them is never a call.

function problem(text) { print FILENAME ":" FNR ": " text >problems; n_problems++ }

# The line without comments and strings; `in_comment` lives from line to line.
function code_of(line,   out, c, two, i, n, quote) {
    out = ""
    n = length(line)
    for (i = 1; i <= n; i++) {
        c = substr(line, i, 1)
        two = substr(line, i, 2)
        if (in_comment) {
            if (two == "*/") { in_comment = 0; i++ }
        } else if (quote != "") {
            if (c == "\\") i++
            else if (c == quote) { quote = ""; out = out c }
        } else if (two == "/*") { in_comment = 1; i++; out = out " " }
        else if (two == "//") break
        else {
            if (c == "\"" || c == "'") quote = c
            out = out c
        }
    }
    return out
}

# The room of a public header: <whist/fed.h> and <whist/fed_store.h> are fed's.
function public_room(name) {
    sub(/^whist\//, "", name)
    sub(/\.h$/, "", name)
    if (name in floor) return name
    sub(/_.*/, "", name)
    return name
}

function arrow(to, text) {
    if (!(to in floor)) { problem(text " is in no room of src/FLOORS"); return }
    if (to == room) return
    edge[room, to] = 1
    if (floor[to] == floor[room]) problem("sideways: " room " includes " text ", a room on its own floor " floor[to])
    else if (floor[to] > floor[room])
        problem("upward: " room " (floor " floor[room] ") includes " text " of floor " floor[to])
}

function include(line,   name, angle) {
    angle = line ~ /include[ \t]*</
    name = line
    sub(/^[^<"]*[<"]/, "", name)
    sub(/[>"].*/, "", name)
    if (is_public) {
        if (name !~ /^whist\/[a-z0-9_]+\.h$/ && name !~ /^(stddef|stdint|stdbool)\.h$/)
            problem("a public header includes only stddef.h, stdint.h, stdbool.h and whist/*.h, not " name)
        if (name !~ /^whist\//) return
    }
    if (FILENAME ~ /\.h$/ && (name ~ /\// && !(name ~ /^whist\//) || name ~ /^whist\//)) {
        header = name
        if (!angle && header !~ /^whist\//) header = "src/" header
        else if (header ~ /^whist\//) header = "include/" header
        else header = ""
        if (header != "") print FILENAME, header >loops
    }
    if (name ~ /^whist\//) {
        if (name == "whist/whist.h") {
            if (room != "cli" && !is_public) problem("whist/whist.h is for consumers; include the rooms you need")
        } else arrow(public_room(name), "<" name ">")
    } else if (!angle) {
        if (name == "test.h" && is_test) return
        if (name !~ /\// || name ~ /\.\./) { problem("\"" name "\" names no room: write \"room/x.h\""); return }
        if (room == "cli" && name !~ /^cli\//) { problem("cli sees public headers only, not \"" name "\""); return }
        sub(/\/.*/, "", name)
        arrow(name, "\"" name "/…\"")
    }
}

function calls(code, word) { return (" " code) ~ ("[^A-Za-z0-9_.>]" word "[ \t]*\\(") }

function banned(code, line) {
    if (line ~ /\/\* lint: [a-z]/) return
    for (i = 1; i <= n_words; i++) if (calls(code, words[i])) problem(words[i] " is banned: " why[words[i]])
    if (room == "base" || room == "cli" || is_test) return
    for (i = 1; i <= n_memory; i++)
        if (calls(code, memory[i])) problem("bare " memory[i] ": ask base/mem.h (wh_alloc, wh_free)")
}

function ban(word, reason) { words[++n_words] = word; why[word] = reason }

BEGIN {
    ban("strcpy", "it has no bound; use memcpy with a checked length or wh_strdup")
    ban("strcat", "it has no bound; use wh_buf")
    ban("sprintf", "it has no bound; use snprintf or wh_buf")
    ban("vsprintf", "it has no bound; use vsnprintf or wh_buf")
    ban("gets", "it has no bound")
    ban("strtok", "it keeps state between threads")
    ban("rand", "randomness comes from an explicit generator")
    ban("srand", "randomness comes from an explicit generator")
    ban("random", "randomness comes from an explicit generator")
    ban("atoi", "it cannot report an error; use strtoll and look at the end")
    ban("atol", "it cannot report an error; use strtoll and look at the end")
    ban("atof", "it cannot report an error; use strtod and look at the end")
    n_memory = split("malloc calloc realloc free", memory, " ")
    while ((getline name <rooms) > 0) exists[name] = 1
}

FILENAME == "src/FLOORS" {
    if ($1 ~ /^[0-9]+$/)
        for (i = 2; i <= NF; i++) {
            floor[$i] = $1 + 0
            on_floor[$1] = on_floor[$1] " " $i
            if ($1 + 0 > top) top = $1 + 0
        }
    next
}

FNR == 1 {
    n_files++
    in_comment = 0
    spoken = 0
    statement = ""
    is_public = FILENAME ~ /^include\//
    is_test = FILENAME ~ /(_test\.[ch]|\/kat\.h)$/
    if (is_public) {
        room = FILENAME ~ /\/whist\.h$/ ? "whist" : public_room(substr(FILENAME, length("include/") + 1))
        if (room == "whist") floor[room] = top + 1
    } else {
        split(FILENAME, part, "/")
        room = part[2]
    }
    if (!(room in floor)) problem("the room " room " is not in src/FLOORS")
    if ($0 !~ /^\/\*/) problem("the first line is a comment that says what the file is")
}

{
    was_comment = in_comment
    code = code_of($0)
    if ($0 ~ /^[ \t]*#[ \t]*include/) { include($0); next }
    banned(code, $0)
    if (!is_public) next
    # A comment speaks for the declarations that follow it up to the next empty line.
    if ($0 ~ /^[ \t]*$/) spoken = 0
    if (was_comment || $0 ~ /\/\*/) spoken = 1
    if (code ~ /^WHIST_API/ && !spoken) problem("a public function without a comment: " substr($0, 1, 80))
}

END {
    for (name in exists) if (!(name in floor)) { print "src/" name ": the room is not in src/FLOORS" >problems }
    print "floor  room -> what it includes"
    for (f = top; f >= 0; f--) {
        n = split(on_floor[f], list, " ")
        for (i = 1; i <= n; i++) {
            from = list[i]
            if (!(from in exists)) continue
            line = ""
            for (g = top; g >= 0; g--) {
                m = split(on_floor[g], targets, " ")
                for (j = 1; j <= m; j++) if ((from, targets[j]) in edge) line = line " " targets[j]
            }
            printf "  %d    %-6s%s%s\n", f, from, line == "" ? "" : " ->", line
        }
    }
    printf "%d files\n", n_files
}
