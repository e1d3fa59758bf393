#!/bin/sh
# memcheck.sh SUPPRESSIONS PROGRAM [ARGUMENT]: runs it under valgrind, which ends with 9 when a
# branch or an address depended on a secret.
supp=$1
shift
command -v valgrind >/dev/null 2>&1 || { echo 'not checked: valgrind is not here (script/bootstrap --dev)'; exit 77; }
exec valgrind -q --error-exitcode=9 --leak-check=no --track-origins=yes --suppressions="$supp" "$@"
