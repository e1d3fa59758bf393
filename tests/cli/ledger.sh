#!/bin/sh
# ledger.sh SOURCE WHIST: what is asked or trained in one place is paid for before it is seen: budgets, kill -9 at any
# write, two at once, the same question twice, tables without a study, ledgers that were tampered with, and every refusal.
. "$(dirname "$0")/common.sh"

awk 'BEGIN { print "age,sex"; for (i = 0; i < 300; i++) print 20 + i % 60 "," (i % 2 ? "f" : "m") }' >people.csv
ledger() { # DIR EPSILON
    ends 0 "$whist" ledger new "$1" --owner clinic --dataset people --epsilon "$2" --delta 1e-6 --units 1000
}
ask() {
    "$whist" dp query people.csv --column age:real:0:120 --column sex:category:f,m --ledger "$@"
}
entries() { "$whist" ledger verify "$1" --json | sed 's/.*"entries":\([0-9]*\).*/\1/'; }
spent() { sed 's/.*"spent":\([0-9.]*\).*/\1/' "$1"; }

# ---- a table, its columns, its budget
ledger a 2
ends 0 ask a/ledger.yaml --query 'mean(age)' --query 'histogram(sex)' --query 'quantile(age, 0.5)' --epsilon 1 --json
json out && says out '"paid":true' && says out '"budget":2' && says out '"spent":0.99999'
cp out first
ends 0 ask a/ledger.yaml --query 'mean(age)' --query 'histogram(sex)' --query 'quantile(age, 0.5)' --epsilon 1 --json
says out '"paid":false'
sed 's/"charges".*//' first >want && sed 's/"charges".*//' out | cmp - want || { echo 'FAILED: other answers'; bad=1; }
ends 3 ask a/ledger.yaml --query 'mean(age)' --query 'histogram(sex)' --query 'quantile(age, 0.5)' --epsilon 1.5 --json
silent && says err "the owner's own limit is met" && says err '1 of 2 is spent, and one pure release of epsilon 1 would still fit'
ends 0 ask a/ledger.yaml --query count --epsilon 0.5 && says out 'epsilon 1.5 of 2 at delta 1e-06 spent'
ends 0 ask a/ledger.yaml --query count --epsilon 0.5 --anew && says out 'epsilon 2 of 2'
ends 3 ask a/ledger.yaml --query count --epsilon 0.01 && silent && says err 'no further release fits'
[ "$(entries a/ledger.yaml)" = 3 ] || { echo 'FAILED: entries'; bad=1; }
cat >columns.yaml <<X
whist: 1
columns:
  - {name: age, type: real, low: 0, high: 120}
X
ledger b 2
ends 0 "$whist" dp query people.csv --table columns.yaml --ledger b/ledger.yaml --query 'sum(age)' --epsilon 1
says out 'sum(age)'
ends 0 "$whist" ledger show a/ledger.yaml && says out 'query, round 0: epsilon 0 to 1 at delta 1e-06 for one record'
ends 0 "$whist" ledger show a --certificate a/cert.pem
ends 0 "$whist" ledger show a/ledger/people --certificate a/cert.pem && says out 'laplace and more'
ends 0 "$whist" ledger show a/ledger --dataset people --certificate a/cert.pem
ends 0 "$whist" ledger export a/ledger.yaml --out exported && ends 0 "$whist" ledger verify exported --certificate a/cert.pem
ends 2 "$whist" ledger show a && says err '--certificate is missing' && silent
ends 1 "$whist" ledger show a --dataset others --certificate a/cert.pem && says err 'there are: people' && silent
ends 1 "$whist" ledger show . --certificate a/cert.pem && says err 'nothing was ever charged there' && silent

# a long answer is no burden for later ones, and each question stands alone
for question in count 'count(sex=f)' 'histogram(sex)' 'contingency(sex,sex)' 'mode(sex)' 'above(sex, 10, 2)' 'sum(age)' 'variance(age)' \
    'histogram(age, 12)' 'quantile(age, 0.5)'; do
    ends 0 ask b/ledger.yaml --query "$question" --epsilon 0.05
done
ends 0 ask b/ledger.yaml --query 'mode(sex)' --epsilon 0.05 --json && json out && says out '"noise_sd":null'
ends 0 ask b/ledger.yaml --query 'sum(age)' --epsilon 0.01 --anew
ledger r 5
for question in 'response(sex)' 'unary(sex)' 'mode(sex, noisy_max)'; do
    ends 0 ask r/ledger.yaml --query "$question" --epsilon 1 --relation replace
done
says out 'sex=' && ends 0 "$whist" ledger show r/ledger.yaml && says out 'epsilon 0 to 1 at' && says out 'randomised_response'
says out 'epsilon 2 to 3 at' && says out 'held against 5'
ends 2 ask b/ledger.yaml --query 'response(sex)' --epsilon 0.1 && silent && says err 'by the relation replace'

# ---- who pays, and what is refused
ends 2 "$whist" dp query people.csv --query count --epsilon 1 && says err 'a table without a study' && silent
ends 2 "$whist" dp query people.csv --column age:real:0:120 --query count --epsilon 1 && silent
says err 'what is released of these rows must be paid for'
ends 2 ask b/ledger.yaml --query 'mean(sex)' --epsilon 0.1 && says err 'is no number' && silent
ends 2 ask b/ledger.yaml --query count --epsilon 0 && says err 'epsilon is 0' && silent
ends 2 ask b/ledger.yaml --query count --epsilon nan && says err 'epsilon is nan' && silent
ends 2 ask b/ledger.yaml --query count --epsilon 0.1 --delta 0.001 && says err 'lets one row be published' && silent
ends 2 "$whist" dp query people.csv --column age:real:0 --query count --epsilon 1 --ledger b/ledger.yaml && silent
says err '--column takes NAME:real:LOW:HIGH'
ends 2 "$whist" dp query people.csv --column age:real:120:0 --query count --epsilon 1 --ledger b/ledger.yaml && silent
says err 'low below high'
ends 2 "$whist" dp query people.csv --column age:real:0:inf --query count --epsilon 1 --ledger b/ledger.yaml && silent
printf 'whist: 1\ncolumns:\n  - {name: age, type: real}\n' >open.yaml
ends 2 "$whist" dp query people.csv --table open.yaml --query 'mean(age)' --epsilon 1 --ledger b/ledger.yaml && silent
says err 'has no bounds'
for wrong in '--epsilon 0 --delta 1e-6 --units 10' '--epsilon -1 --delta 1e-6 --units 10' '--epsilon nan --delta 1e-6 --units 10' \
    '--epsilon 1 --delta 0.1 --units 10' '--epsilon 1 --delta 0 --units 10' '--epsilon 1 --delta 1e-6 --units 0'; do
    # shellcheck disable=SC2086 # a list of words
    ends 2 "$whist" ledger new wrong --owner clinic --dataset people $wrong && silent
    [ ! -e wrong ] || { echo "FAILED: $wrong leaves a folder"; bad=1; }
done
says err '--units'
ends 1 "$whist" ledger new a --owner clinic --dataset people --epsilon 9 --delta 1e-6 --units 10 && says err 'it stays'

# ---- two at once: of eight askers for 0.3 of 1 three are answered
ledger c 1
for i in 1 2 3 4 5 6 7 8; do
    (ask c/ledger.yaml --query count --query "histogram(age, $i)" --epsilon 0.3 >got.$i 2>/dev/null </dev/null || rm -f got.$i) &
done
wait
[ "$(ls got.? | wc -l)" = 3 ] && [ "$(entries c/ledger.yaml)" = 3 ] || { echo 'FAILED: two at once'; ls got.?; bad=1; }

# ---- the same question at once: all get one answer, paid once; --anew at once is paid for each time
ledger l 10
for i in 1 2 3 4 5 6 7 8; do
    ask l/ledger.yaml --query count --epsilon 0.5 --json >same.$i 2>same.err.$i </dev/null || { echo "FAILED: the same at once"; cat same.err.$i; bad=1; } &
done
wait
for i in 1 2 3 4 5 6 7 8; do sed 's/"charges".*//' same.$i; done | sort -u >same
[ "$(wc -l <same)" = 1 ] && [ "$(entries l/ledger.yaml)" = 1 ] || { echo 'FAILED: the same at once has several answers'; cat same; bad=1; }
for i in 1 2 3; do ask l/ledger.yaml --query count --epsilon 0.5 --anew >same.$i 2>&1 </dev/null & done
wait
[ "$(entries l/ledger.yaml)" = 4 ] || { echo "FAILED: --anew at once: $(entries l/ledger.yaml) entries"; cat same.[123]; bad=1; }

# ---- other rows are another question, and files that only moved are not
ends 0 ask l/ledger.yaml --query 'histogram(sex)' --epsilon 0.5 && cp people.csv before.csv
mkdir -p elsewhere && cp people.csv elsewhere/
ends 0 "$whist" dp query elsewhere/people.csv --column age:real:0:120 --column sex:category:f,m --ledger l/ledger.yaml --query 'histogram(sex)' --epsilon 0.5
says out 'asked before'
echo 33,f >>people.csv
ends 0 ask l/ledger.yaml --query 'histogram(sex)' --epsilon 0.5
grep -q 'asked before' out && { echo 'FAILED: other rows, the old answer'; bad=1; }
mv before.csv people.csv
ends 0 ask l/ledger.yaml --query 'histogram(sex)' --epsilon 0.5 && says out 'asked before'
# nothing in the ledger tells what the rows are: not their digest
"$whist" ledger show l/ledger.yaml --json >shown
grep -q "$(sha256sum people.csv | cut -c1-64)" shown l/ledger/people/whist.db && { echo 'FAILED: the digest of the rows is told'; bad=1; }

# ---- the ledger's bound on the rows holds whatever the question says; another data set is refused
ends 2 ask l/ledger.yaml --query count --epsilon 0.1 --delta 0.05 --public-n 10 && silent && says err 'there may be 1000 rows'
synthetic others north | sed 's/format: synthetic/format: synthetic\n  set: others/' >others.yaml
ends 2 "$whist" dp query others.yaml --ledger l/ledger.yaml --query count --epsilon 0.1 && silent && says err "data are 'others'"
ends 2 "$whist" dp query others.yaml --ledger l/ledger.yaml --dataset others --query count --epsilon 0.1 && silent
ends 0 "$whist" dp query others.yaml --ledger l/ledger.yaml --dataset people --query count --epsilon 0.1

# ---- gone, emptied, older, without its head: refused, and nothing is begun anew
rm -rf m && cp -r l m && rm m/ledger/people/whist.db
lost() { # TEXT
    ends 3 ask m/ledger.yaml --query count --epsilon 0.1 && silent && says err "$1" && says err 'backup'
    ends 3 "$whist" ledger show m/ledger.yaml && silent
    ends 3 "$whist" ledger verify m/ledger.yaml && silent
}
lost gone
truncate -s 0 m/ledger/people/whist.db && lost empty
rm -rf m && cp -r l m && ends 0 ask l/ledger.yaml --query count --epsilon 0.1 && cp l/head m/head && lost 'older or another copy'
rm -rf m && cp -r l m && rm m/head && lost 'is missing'
head -n 1 l/head >m/head && lost 'no head of this ledger'

# ---- kill -9 at the k-th durable write of a beginning: nothing or all, and words for what lies between
for k in 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16 17 18 19 20 21 22 23 24 25 26 27 28 29 30; do
    rm -rf n
    WHIST_TEST_CRASH_AT=$k "$whist" ledger new n --owner clinic --dataset people --epsilon 1 --delta 1e-6 --units 1000 >out 2>err </dev/null
    how=$?
    [ $how -eq 0 ] || [ $how -eq 137 ] || { echo "FAILED: crash $k of a beginning ended with $how"; cat err; bad=1; }
    if [ -e n/ledger.yaml ]; then
        ends 0 ask n/ledger.yaml --query count --epsilon 0.1
    elif [ -e n/key.pem ]; then
        ends 1 "$whist" ledger new n --owner clinic --dataset people --epsilon 1 --delta 1e-6 --units 1000 && says err 'not finished'
    else
        ledger n 1
    fi
    [ $how -eq 0 ] && break
done
[ $how -eq 0 ] && [ $k -gt 5 ] || { echo "FAILED: the crashes of a beginning reached no end ($k)"; bad=1; }

# ---- kill -9 at the k-th durable write: what was seen was paid for, and what was paid for is seen
for k in 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16; do
    rm -rf d && ledger d 1
    WHIST_TEST_CRASH_AT=$k "$whist" dp query people.csv --column age:real:0:120 --query 'mean(age)' --epsilon 0.4 \
        --ledger d/ledger.yaml --json >crashed 2>err </dev/null
    how=$?
    [ $how -eq 0 ] || [ $how -eq 137 ] || { echo "FAILED: crash $k ended with $how"; cat err; bad=1; }
    ends 0 "$whist" dp query people.csv --column age:real:0:120 --query 'mean(age)' --epsilon 0.4 --ledger d/ledger.yaml --json
    [ "$(entries d/ledger.yaml)" = 1 ] || { echo "FAILED: crash $k: $(entries d/ledger.yaml) entries"; bad=1; }
    if [ -s crashed ]; then
        sed 's/"charges".*//' crashed >want && sed 's/"charges".*//' out | cmp - want || { echo "FAILED: crash $k: other answers"; bad=1; }
    fi
    [ $how -eq 0 ] && break
done
[ $how -eq 0 ] && [ $k -gt 3 ] || { echo "FAILED: the crashes reached no end ($k)"; bad=1; }

# ---- training
cat >train.yaml <<X
whist: 1
name: people
data:
  format: csv
  file: people.csv
  task: binary
  rows_with_missing: drop
  columns:
    - {name: age, type: real, center: 50, scale: 20}
    - {name: sex, type: target, levels: [f, m]}
  split: {test_fraction: 0.2}
model: logistic
learner: {name: dp-sgd, rows: 1000, rate: 0.1, updates: 5, noise: 3, lr: 1}
strategy: fedavg
privacy: {unit: record, noise: local, relation: add_remove, units: 1000, epsilon: 1.5, delta: 1e-6, metrics: plain}
rounds: 3
metrics: [accuracy]
sites: [{name: all}]
X
train() { "$whist" train "$@" --data . --quiet; }
ends 2 train train.yaml && says err 'must be paid for' && silent
ledger e 1.2
ends 0 train train.yaml --ledger e/ledger.yaml --out m1.safetensors --json && json out && says out '"rounds":3,"kept":0' && says out '"paid":true'
one=$(spent out)
ends 0 train train.yaml --ledger e/ledger.yaml --out m2 --json && says out '"kept":3' && says out '"paid":false'
cmp m1.safetensors m2 || { echo 'FAILED: another model for the same price'; bad=1; }
ends 0 train train.yaml --ledger e/ledger.yaml --seed 1 --out m3 --json && says out '"kept":0'
awk -v a="$one" -v b="$(spent out)" 'BEGIN { exit !(b > 1.2 * a) }' || { echo 'FAILED: a second seed is free'; bad=1; }
grep -aq '"epsilon":' m1.safetensors || { echo 'FAILED: the model does not say its epsilon'; bad=1; }
sed 's/updates: 5/updates: 500/' train.yaml >long.yaml
ends 1 train long.yaml --ledger e/ledger.yaml && says err "has to refuse before the end" && silent
ledger k 0.8
ends 0 train train.yaml --ledger k/ledger.yaml
ends 3 train train.yaml --ledger k/ledger.yaml --anew && says err "of 0.8 is spent" && silent
[ "$(entries k/ledger.yaml)" = 3 ] || { echo "FAILED: a refused training was charged"; bad=1; }
[ "$(entries e/ledger.yaml)" = 6 ] || { echo 'FAILED: a refused training was charged'; bad=1; }
# two trainings on one ledger wait for each other
ledger o 5
for i in 11 12; do
    train train.yaml --ledger o/ledger.yaml --seed $i >both.$i 2>&1 </dev/null || { echo "FAILED: two trainings at once"; cat both.$i; bad=1; } &
done
wait
[ "$(entries o/ledger.yaml)" = 6 ] || { echo 'FAILED: two trainings at once'; bad=1; }
ends 2 train train.yaml --ledger e/ledger.yaml --checkpoint x && says err 'the ledger keeps the state' && silent
sed 's/metrics: plain/metrics: stay/' train.yaml >stay.yaml
ledger g 5
ends 0 train stay.yaml --ledger g/ledger.yaml --json && says out '"test":{}'
# queries and trainings share the budget
ends 3 ask g/ledger.yaml --query count --epsilon 5 && silent && says err "the owner's own limit"
# another relation does not add up
sed 's/relation: add_remove/relation: replace/' train.yaml >replace.yaml
ends 1 train replace.yaml --ledger g/ledger.yaml && silent

# ---- a search inside epsilon
sed 's/test_fraction: 0.2/test_fraction: 0.2, validation_fraction: 0.2/; s/epsilon: 1.5/epsilon: 4/' train.yaml >find.yaml
ledger i 4
ends 0 train find.yaml --ledger i/ledger.yaml --try lr=0.1,1,3 --try clip=0.5,1 --out best.safetensors
says out 'best of 6 candidates: lr: ' && says out 'the search is inside epsilon: '
[ "$(entries i/ledger.yaml)" = 1 ] || { echo 'FAILED: a search is one release'; bad=1; }
ends 0 train find.yaml --ledger i/ledger.yaml --try lr=0.1,1,3 --try clip=0.5,1 --out again.safetensors --json && json out
says out '"inside_epsilon":true' && says out '"paid":false' && cmp best.safetensors again.safetensors
awk 'match($0, /"epsilon_random":[0-9.]*,"epsilon_once":[0-9.]*,"epsilon_single":[0-9.]*/) {
    split(substr($0, RSTART, RLENGTH), part, /[:,]/); good = part[6] < part[2] && part[6] < part[4] } END { exit !good }' out ||
    { echo 'FAILED: a search is not dearer than one training'; cat out; bad=1; }
ends 1 train find.yaml --ledger i/ledger.yaml --try noise=2,3 && says err 'candidates spend differently' && silent
ends 2 train find.yaml --ledger i/ledger.yaml --try lrr=2,3 && says err "unknown key 'lrr'" && silent
ends 2 train find.yaml --ledger i/ledger.yaml --try lr=2 && says err '2 to 4096 candidates' && silent
ends 1 train train.yaml --ledger i/ledger.yaml --try lr=2,3 && says err 'needs validation rows' && silent
sed 's/metrics: plain/metrics: stay/' find.yaml >stay.yaml
ends 1 train stay.yaml --ledger i/ledger.yaml --try lr=2,3 && says err 'no part of the promise' && silent
# what does not fit is refused before it runs
ledger j 0.5
ends 3 train find.yaml --ledger j/ledger.yaml --try lr=0.1,1 && says err 'epsilon would be' && silent

for k in 1 3 5 7 9 11 13 15 17 19; do
    rm -rf h && ledger h 2
    WHIST_TEST_CRASH_AT=$k "$whist" train train.yaml --data . --quiet --ledger h/ledger.yaml --out crashed >crash.out 2>err </dev/null
    how=$?
    [ $how -eq 0 ] || [ $how -eq 137 ] || { echo "FAILED: crash $k of a training ended with $how"; cat err; bad=1; }
    ends 0 train train.yaml --ledger h/ledger.yaml --out whole
    [ "$(entries h/ledger.yaml)" = 3 ] || { echo "FAILED: crash $k: $(entries h/ledger.yaml) entries of 3"; bad=1; }
    [ $how -ne 0 ] || cmp crashed whole || { echo "FAILED: crash $k: another model"; bad=1; }
done

# ---- a chain that does not hold, or an older copy against a head that was kept
kept=$("$whist" ledger verify a/ledger.yaml | sed -n 's/^head //p')
rm -rf copy && cp -r a copy
"$whist" ledger new copy2 --owner clinic --dataset people --epsilon 9 --delta 1e-6 --units 1000 >/dev/null
cp copy2/key.pem copy/key.pem
ends 3 ask copy/ledger.yaml --query count --epsilon 0.01 && silent
cp -r b older
ends 0 ask b/ledger.yaml --query 'sum(age)' --epsilon 0.1
ends 0 "$whist" ledger verify a/ledger.yaml --head "$kept"
newer=$("$whist" ledger verify b/ledger.yaml | sed -n 's/^head //p')
ends 3 "$whist" ledger verify older/ledger.yaml --head "$newer" && silent

# ---- an attack on the private step: the honest one holds, bugs that a test build plants do not
ends 0 "$whist" dp audit train.yaml --trials 4000 --confidence 0.99999 --quiet --json && json out && says out '"holds":true'
# A bound of 30,000 trainings misses half the noise about once in thirty times: three in a row do not.
for try in 1 2 3; do
    WHIST_TEST_BREAK=half-noise "$whist" dp audit "$1/examples/heart/dp-record.yaml" --trials 30000 --quiet >out 2>err </dev/null
    caught=$?
    [ $caught -eq 1 ] && break
done
[ $caught -eq 1 ] && says err 'the attack found more than is proven' || { echo "FAILED: half the noise was not caught"; cat out; bad=1; }
synthetic open north south >open.yaml
ends 1 "$whist" dp audit open.yaml && says err 'makes no promise: give it a section privacy' && silent
ends 0 "$whist" dp audit "$1/examples/heart/dp-record-sum.yaml" --trials 2000 --confidence 0.99999 --quiet --json && json out && says out '"holds":true'
ends 2 "$whist" dp audit train.yaml --trials 10 && silent
ends 2 "$whist" dp audit train.yaml --confidence 1 && silent
# ---- one training with planted records
ends 0 "$whist" dp audit train.yaml --canaries 100 --white-box --quiet --json && json out && says out '"holds":true'
ends 0 "$whist" dp audit train.yaml --canaries 100 --quiet && says out 'proven    epsilon <=' && says out 'sees the final model'
ends 2 "$whist" dp audit train.yaml --canaries 5 && silent
ends 2 "$whist" dp audit train.yaml --canaries 100 --trials 500 && silent
ends 2 "$whist" dp audit train.yaml --white-box && silent
ends 1 "$whist" dp audit "$1/examples/private-meta/train.yaml" --canaries 100 &&
    says err 'go on from every noised gradient (dp-sgd, dp-ftrl): learner dp-fomaml' && silent
ends 1 "$whist" dp audit open.yaml --canaries 100 && says err 'planted records attack a private learner' && silent
exit $bad
