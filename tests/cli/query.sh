#!/bin/sh
# query.sh SOURCE WHIST: private statistics from the command line: unit and relation are named, and what would not be
# private is refused.
. "$(dirname "$0")/common.sh"
synthetic one north south >study.yaml
ask="$whist dp query study.yaml"

ends 0 $ask --query count --query 'mean(a, -5, 5)' --query 'quantile(a, 0.5, -5, 5)' --query 'histogram(b)' --epsilon 4
says out 'epsilon 4, delta 0 for all answers together; unit record (one row), relation add_remove'
says out 'b=x'
says out 'quantile 0.5'
ends 0 $ask --query 'contingency(b, t)' --epsilon 1 --relation replace --json
json out
says out '"relation":"replace"'
says out '"unit":"record"'
says out '"mechanism":"discrete_laplace"'
ends 0 $ask --query count --epsilon 1 --delta 1e-6 --public-n 100000 --site north --json
says out '"mechanism":"gaussian"'
ends 0 $ask --query count --query 'histogram(b)' --epsilon 1 --delta 1e-6 --public-n 1000 --steady
says out 'steady time: the tables are off their law by a delta of'

refused() { # TEXT OPTION…
    text=$1
    shift
    ends 2 $ask "$@"
    silent
    says err "$text"
}
refused 'has no bounds' --query 'mean(a)' --epsilon 1
refused 'epsilon is 0' --query count --epsilon 0
refused 'epsilon is -1' --query count --epsilon -1
refused 'epsilon is nan' --query count --epsilon nan
refused 'takes a number' --query count --epsilon much
refused 'lets one row be published' --query count --epsilon 1 --delta 0.001 --public-n 1000
refused 'public bound' --query count --epsilon 1 --delta 1e-6
refused "no column 'c'" --query 'sum(c, 0, 1)' --epsilon 1
refused 'is no number' --query 'sum(b, 0, 1)' --epsilon 1
refused 'no query is called' --query 'max(a, 0, 1)' --epsilon 1
refused '--relation takes' --query count --epsilon 1 --relation zero
refused '--epsilon' --query count
refused 'needs a delta above 0' --query count --epsilon 1 --steady
ends 1 $ask --query 'sum(a, 0, 1)' --epsilon 1 --delta 1e-6 --public-n 1000 --steady
says err 'have steady noise'
ends 1 "$whist" dp query nobody.csv --query count --epsilon 1 && says err 'nobody.csv' && silent
exit $bad
