#!/bin/sh
# simulate.sh SOURCE WHIST: simulations over made-up rows: same seed, same bits, whatever the threads.
. "$(dirname "$0")/common.sh"
synthetic tiny north south >tiny.yaml

ends 0 "$whist" study check tiny.yaml "$source"/examples/*/*.yaml
ends 0 "$whist" study check tiny.yaml --json && json out
ends 1 "$whist" study check tiny.yaml nosuch.yaml && silent
sed 's/strategy: fedavg/stratgy: fedavg/' tiny.yaml >wrong.yaml
ends 1 "$whist" study check wrong.yaml && says err 'wrong.yaml:13' && says err 'strategy'

ends 0 "$whist" simulate tiny.yaml && says out 'north' && says out 'all rows'
ends 0 "$whist" simulate tiny.yaml --seed 3 --model a.safetensors --threads 1 -q
ends 0 "$whist" simulate tiny.yaml --seed 3 --model b.safetensors --threads 4 -q
cmp a.safetensors b.safetensors || bad=1
ends 0 "$whist" simulate tiny.yaml --seed 4 --model c.safetensors -q
cmp -s a.safetensors c.safetensors && { echo 'FAILED: two seeds, one model'; bad=1; }

ends 0 "$whist" simulate tiny.yaml --seeds 5 --json --threads 1 && json out && says out '"seeds":5'
sed 's/"seconds":[^,]*,//' out >one
ends 0 "$whist" simulate tiny.yaml --seeds 5 --json --threads 3
sed 's/"seconds":[^,]*,//' out | cmp - one || { echo 'FAILED: threads change the result'; bad=1; }

ends 0 "$whist" simulate tiny.yaml --metrics m && says m/metrics.csv 'round,site,fold,metric,value'
says m/metrics.csv '3,north,test,accuracy' && [ "$(ls m | grep -c '^events.out.tfevents')" -eq 1 ] || bad=1
ends 0 "$whist" simulate tiny.yaml --seeds 2 --metrics many && [ -s many/seed-0/metrics.csv ] &&
    [ -s many/seed-1/metrics.csv ] && ! cmp -s many/seed-0/metrics.csv many/seed-1/metrics.csv || bad=1
ends 2 "$whist" simulate tiny.yaml --seeds 2 --model d.safetensors && [ ! -e d.safetensors ] || bad=1
ends 1 "$whist" simulate tiny.yaml --model nosuch/d.safetensors && silent

# Data by option or by WHIST_DATA; a target of one class is told.
sed 's/format: synthetic/set: small\n  format: csv\n  split: {test: 0.4}/; /synthetic:/d; s/{name: \(north\|south\)}/{name: \1, file: \1.csv}/' \
    tiny.yaml >files.yaml
mkdir -p sets/small
for s in north south; do
    { echo a,b,t; for i in $(seq 40); do echo "$i.5,x,$((i % 2))"; done; } >sets/small/$s.csv
done
(
    unset WHIST_DATA
    for command in 'simulate files.yaml' 'data describe files.yaml --site north'; do
        ends 2 "$whist" $command && says err '--data' && says err 'WHIST_DATA' && says err 'small/'
        ends 2 env WHIST_DATA=$work "$whist" $command && says err '--data'
        ends 0 env WHIST_DATA=$work/sets "$whist" $command && ! grep one_class err || bad=1
        ends 0 env WHIST_DATA=$work "$whist" $command --data sets/small
    done
    ends 0 env WHIST_DATA=$work/sets "$whist" simulate files.yaml --model f.safetensors
    ends 0 env WHIST_DATA=$work/sets "$whist" predict f.safetensors files.yaml --site south
    ends 2 "$whist" predict f.safetensors files.yaml --site south && says err 'WHIST_DATA'
    sed -i 's/,[01]$/,1/' sets/small/north.csv
    for command in 'simulate files.yaml --seeds 3' 'data describe files.yaml --site north'; do
        ends 0 "$whist" $command --data sets/small && says err 'one class only in the training rows of north'
        [ "$(grep -c one_class err)" -eq 1 ] || bad=1
    done
    ends 0 "$whist" data describe files.yaml --site south --data sets/small && ! grep one_class err || bad=1
    exit $bad
) || bad=1

# A model and rows give predictions, a model of another study does not.
ends 0 "$whist" simulate tiny.yaml --model m.safetensors -q
ends 0 "$whist" predict m.safetensors tiny.yaml --site north && says out 'row,prediction,target'
ends 0 "$whist" predict m.safetensors tiny.yaml --site north --json && json out
ends 0 "$whist" predict m.safetensors tiny.yaml --site north --out p.csv && says p.csv 'row,prediction'
synthetic other north south >other.yaml
ends 3 "$whist" predict m.safetensors other.yaml --site north && says err 'study' && silent
ends 0 "$whist" predict m.safetensors other.yaml --site north --force
head -c 40 m.safetensors >short
ends 1 "$whist" predict short tiny.yaml --site north && silent
ends 2 "$whist" predict m.safetensors tiny.yaml
ends 2 "$whist" predict m.safetensors tiny.yaml --site nrth
ends 0 "$whist" data describe tiny.yaml --site north && says out 'made up'
ends 0 "$whist" data describe tiny.yaml --site north --json && json out
ends 2 "$whist" data describe tiny.yaml --site nrth && says err 'north'

# Stopped: no half results, and an exit code that says so.
"$whist" simulate tiny.yaml --seeds 1000000 --json -q >out 2>err &
pid=$!
wait_for catches $pid || bad=1
kill -TERM $pid
wait $pid
[ $? -eq 4 ] && says err cancelled && silent || bad=1

# Standard output that takes nothing: an error, not silence.
"$whist" simulate tiny.yaml -q >/dev/full 2>err
[ $? -eq 1 ] || { echo 'FAILED: a full disk went unnoticed'; bad=1; }
exit $bad
