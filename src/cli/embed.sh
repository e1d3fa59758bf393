#!/bin/sh
# embed.sh FILE…: the files as C strings, in the order given: whist demo needs no folder of examples beside it.
echo '/* Made from examples/ by src/cli/embed.sh. */'
echo '#include "cli/examples.h"'
for file; do
    name=$(basename "$file" .yaml)
    printf '\nconst char cli_example_%s[] =\n' "$name"
    sed -e 's/\\/\\\\/g' -e 's/"/\\"/g' -e 's/^/    "/' -e 's/$/\\n"/' "$file"
    echo '    ;'
done
