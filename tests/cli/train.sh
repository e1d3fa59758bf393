#!/bin/sh
# train.sh SOURCE WHIST: central training: kill -9 at any write changes no bit, nor do threads; models are shown; refusals.
. "$(dirname "$0")/common.sh"

study() {
    cat <<X
whist: 1
name: tiny
data:
  format: synthetic
  task: classes
  classes: 3
  synthetic: {rows: 60}
  images: {height: 18, width: 18}
  split: {validation_fraction: 0.2}
model: {name: cnn, dropout: 0.2}
training:
  optimizer: {name: adamw, lr: 0.003, schedule: cosine, warmup: 3, clip: 1}
  epochs: 4
  batch: 7
  evaluate_every: 5
metrics: [accuracy, logloss]
X
}
study >tiny.yaml

ends 0 "$whist" study check tiny.yaml && says out 'cnn'
ends 0 "$whist" train tiny.yaml --out whole.safetensors --threads 1 --json && json out && says out '"optimizer":"adamw"'
sed 's/"seconds":[^,]*,//; s/"threads":[^,]*,//' out >whole
ends 0 "$whist" train tiny.yaml --out two.safetensors --threads 2 --json
sed 's/"seconds":[^,]*,//; s/"threads":[^,]*,//' out | cmp - whole || { echo 'FAILED: threads change the result'; bad=1; }
cmp whole.safetensors two.safetensors || bad=1
ends 0 "$whist" train tiny.yaml --seed 1 --out other.safetensors -q
cmp -s whole.safetensors other.safetensors && { echo 'FAILED: two seeds, one model'; bad=1; }

# kill -9 at the k-th durable step, again and again, until the run gets through
for k in 1 2 3 4 6 9; do
    rm -f state
    tries=0
    while [ $tries -lt 60 ]; do
        tries=$((tries + 1))
        WHIST_TEST_CRASH_AT=$k "$whist" train tiny.yaml --checkpoint state --every 3 --resume --out part.safetensors --json \
            -q >out 2>err </dev/null && break
        code=$?
        [ $code -eq 137 ] || { echo "FAILED: crash $k ended with $code"; cat err; bad=1; break; }
        [ $k -gt 4 ] || break # before the second checkpoint: it would crash there for ever
    done
    ends 0 "$whist" train tiny.yaml --checkpoint state --every 3 --resume --out part.safetensors --json
    sed 's/"seconds":[^,]*,//; s/"threads":[^,]*,//' out | cmp - whole || { echo "FAILED: crash $k changes the result"; bad=1; }
    cmp whole.safetensors part.safetensors || { echo "FAILED: crash $k changes the model"; bad=1; }
done

ends 0 "$whist" train tiny.yaml --metrics m --plot loss.svg && says out 'validation accuracy' && says out '20 steps'
says m/training.csv 'step,epoch,lr,loss,fold,accuracy,logloss' && says m/training.csv ',validation,'
[ "$(ls m | grep -c '^events.out.tfevents')" -eq 1 ] || bad=1
says loss.svg '<svg xmlns=' && says loss.svg '>training</text>' && says loss.svg '>validation</text>'

# what is there, and what is refused
ends 1 "$whist" train tiny.yaml --checkpoint state && says err 'add --resume' && silent
ends 2 "$whist" train tiny.yaml --resume && says err 'name it with --checkpoint' && silent
ends 2 "$whist" train tiny.yaml --every 5 && silent
sed 's/batch: 7/batch: 8/' tiny.yaml >eight.yaml
ends 1 "$whist" train eight.yaml --checkpoint state --resume && says err 'its study is' && silent
sed '/^training:/,/^metrics/{/^metrics/!d}' tiny.yaml >none.yaml
ends 1 "$whist" train none.yaml && says err "the key 'learner' is missing" && silent
synthetic small north south >fed.yaml
ends 1 "$whist" train fed.yaml && says err "no section 'training'" && silent
sed 's/name: cnn/name: lstm/' tiny.yaml >wrong.yaml
ends 1 "$whist" train wrong.yaml && says err 'takes tokens of a text, and the data are images' && silent
sed 's/lr: 0.003/lr: 0.003, beta3: 1/' tiny.yaml >wrong.yaml
ends 1 "$whist" train wrong.yaml && says err "unknown key 'beta3'; did you mean 'beta1'" && silent
sed 's/name: adamw/name: adam2/' tiny.yaml >wrong.yaml
ends 1 "$whist" train wrong.yaml && says err "unknown optimizer 'adam2'; did you mean 'adam'" && silent

# a text
printf 'abab cabab cabab cabab cabab cabab cabab cabab cabab c\n%.0s' 1 2 3 4 5 6 7 8 >words.txt
cat >text.yaml <<X
whist: 1
name: words
data:
  format: text
  task: classes
  file: words.txt
  text: {alphabet: "abc \n", window: 12}
  split: {test_fraction: 0.2}
model: {name: gpt, width: 16, depth: 1, heads: 2, feed_forward: 16}
training:
  optimizer: {name: adam, lr: 0.02}
  steps: 60
  batch: 16
  evaluate_every: 20
metrics: [logloss, accuracy]
X
ends 0 "$whist" train text.yaml --data . --json --out text.safetensors && json out
sed 's/.*"test":{"logloss":[^,]*,"accuracy":\([0-9.]*\)}.*/\1/' out | awk '{ exit !($1 > 0.8) }' || { echo 'FAILED: it does not learn'; cat out; bad=1; }
sed 's/abc /ab /' text.yaml >wrong.yaml
ends 1 "$whist" train wrong.yaml --data . && says err 'words.txt:1:6: a character that is not in the study' && silent
sed 's/heads: 2/heads: 3/' text.yaml >wrong.yaml
ends 1 "$whist" train wrong.yaml --data . && says err '3 heads do not divide a width of 16' && silent
ends 1 "$whist" predict text.safetensors text.yaml --data . --site all && silent

# models
ends 0 "$whist" model show tiny.yaml && says out 'conv1.weight' && says out 'FLOP to train'
ends 0 "$whist" model show tiny.yaml --json --batch 5 && json out && says out '"batch":5'
ends 0 "$whist" model show whole.safetensors && says out 'head.bias' && says out 'model: cnn'
ends 0 "$whist" model show whole.safetensors --json && json out && says out '"study_name":"tiny"'
ends 1 "$whist" model show tiny.yaml.safetensors && silent
ends 0 "$whist" predict whole.safetensors tiny.yaml --site all && says out 'row,p0,p1,p2,target'
sed 's/name: cnn, dropout: 0.2/name: conv4, width: 4, depth: 2, groups: 2/' tiny.yaml >wrong.yaml
ends 1 "$whist" predict whole.safetensors wrong.yaml --site all --force && says err 'block1.conv.weight' && silent
exit $bad
