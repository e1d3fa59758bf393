#!/bin/sh
# usage.sh SOURCE WHIST: wrong command lines, every --help, names that are near.
. "$(dirname "$0")/common.sh"

ends 2 "$whist"
ends 0 "$whist" --help && says out 'simulate'
ends 0 "$whist" --version && says out 'whist '
ends 2 "$whist" simulat && says err "did you mean 'simulate'" && silent
ends 2 "$whist" data gett mnist && says err "did you mean 'data get'"
ends 2 "$whist" provision
ends 2 "$whist" simulate && says err 'STUDY' && silent
ends 2 "$whist" simulate a.yaml --sed 1 && says err 'did you mean --seed' && says err 'whist simulate --help'
ends 2 "$whist" simulate a.yaml --seeds && says err 'needs a value'
ends 2 "$whist" simulate a.yaml --seeds 0 && says err 'from 1 to'
ends 2 "$whist" simulate a.yaml --seeds 1x
ends 2 "$whist" simulate a.yaml --seeds 99999999999999999999999
ends 2 "$whist" simulate a.yaml b.yaml && says err 'b.yaml'
ends 2 "$whist" simulate a.yaml --json=yes && says err 'takes no value'
ends 2 "$whist" simulate a.yaml -Z && says err '-Z'
ends 2 "$whist" simulate a.yaml --seed 1 --seeds 2 && says err '--seed'
ends 2 "$whist" version --log xml && says err 'text, json or off'
ends 2 "$whist" selftest nosuch
ends 2 "$whist" bench nosuch && says err '--list'
ends 2 "$whist" data get hart && says err "did you mean 'heart'"
ends 2 "$whist" completion zsh
ends 1 "$whist" simulate nosuch.yaml --data . && says err 'nosuch.yaml' && silent
ends 1 "$whist" simulate nosuch.yaml --data . --json && silent

for option in --data --model --metrics --replay -o; do
    ends 2 "$whist" simulate a.yaml $option '' && says err 'empty' && silent
done
ends 2 "$whist" simulate a.yaml --data= && says err '--data takes DIR'
ends 2 "$whist" simulate '' && says err 'empty'

# The help of every command names it; -h and `help` say the same.
ends 0 "$whist" help --json && json out
ends 0 "$whist" help
sed -n 's/^  \([a-z]* \{0,1\}[a-z]*\)  .*/\1/p' out >commands
[ "$(wc -l <commands)" -gt 25 ] || { echo 'FAILED: the list of commands is short'; cat commands; bad=1; }
while read -r first second; do
    ends 0 "$whist" $first $second --help && says out "whist $first" && says out '--json'
    cp out long
    ends 0 "$whist" $first $second -h && cmp -s out long || { echo "FAILED: $first $second -h"; bad=1; }
    ends 0 "$whist" help $first $second && cmp -s out long || { echo "FAILED: help $first $second"; bad=1; }
    ends 2 "$whist" $first $second --no-such-option && silent
done <commands

ends 0 "$whist" help --man && says out '.TH WHIST 1' && says out 'provision sign'
ends 0 "$whist" completion bash
if command -v bash >/dev/null 2>&1; then
    bash -c '. ./out; COMP_WORDS=(whist provision s); COMP_CWORD=2; _whist; echo "${COMPREPLY[@]}"' >words 2>&1
    says words 'sign'
    bash -c '. ./out; COMP_WORDS=(whist model ""); COMP_CWORD=2; _whist; echo "${COMPREPLY[@]}"' >words 2>&1
    says words 'seal' && says words 'open'
    bash -c '. ./out; COMP_WORDS=(whist simulate x --see); COMP_CWORD=3; _whist; echo "${COMPREPLY[@]}"' >words 2>&1
    says words '--seeds'
    bash -c '. ./out; COMP_WORDS=(whist help ""); COMP_CWORD=2; _whist; echo "${COMPREPLY[@]}"' >words 2>&1
    says words 'simulate' && says words 'provision'
    bash -c '. ./out; COMP_WORDS=(whist help provision s); COMP_CWORD=3; _whist; echo "${COMPREPLY[@]}"' >words 2>&1
    says words 'sign'
    bash -c '. ./out; COMP_WORDS=(whist data get h); COMP_CWORD=3; _whist; echo "${COMPREPLY[@]}"' >words 2>&1
    says words 'heart'
    bash -c '. ./out; COMP_WORDS=(whist study names ""); COMP_CWORD=3; _whist; echo "${COMPREPLY[@]}"' >words 2>&1
    says words 'strategies'
    bash -c '. ./out; COMP_WORDS=(whist sim); COMP_CWORD=1; _whist; echo "${COMPREPLY[@]}"' >words 2>&1
    says words 'simulate'
fi

ends 0 "$whist" version --json && json out
ends 0 "$whist" selftest --json && json out
ends 0 "$whist" data list --json && json out
ends 0 "$whist" study names learners --json && json out && says out 'sgd'
ends 0 "$whist" study reference && says out '# Studies'
ends 2 "$whist" study reference --json && says err '--json' && silent
ends 0 "$whist" bench --list --json && json out && says out 'version.start'
ends 0 "$whist" bench version.start --json && json out && says out '"unit":"s"'
# The table of meta-learners: stopped by its budget, skipped without data, and two hours only for who says so.
ends 0 env WHIST_DATA=/nowhere "$whist" bench meta.table.small --json && says out '"mse":' && says out '"interval95":' &&
    says out '"budget_seconds":0.25' && says out '"skipped":"WHIST_DATA/omniglot has no'
ends 0 env WHIST_DATA=/nowhere "$whist" bench meta.table.small && says out 'Omniglot: skipped:' && says out 'no batch statistics      mse'
ends 2 "$whist" bench meta.table && says err 'add --full'
exit $bad
