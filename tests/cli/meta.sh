#!/bin/sh
# meta.sh SOURCE WHIST: few-shot training and measuring; threads change no bit; refusals.
. "$(dirname "$0")/common.sh"
cat >tiny.yaml <<Y
whist: 1
name: tiny
data:
  format: synthetic
  task: classes
  classes: 3
  synthetic: {rows: 120}
  images: {height: 8, width: 8}
  split: {test_fraction: 0.4}
model: {name: conv4, width: 4, depth: 2, groups: 2}
training: {optimizer: {name: adam, lr: 0.01}, steps: 20}
episodes: {ways: 3, shots: 1, queries: 3}
metrics: [accuracy]
Y
ends 0 "$whist" meta train tiny.yaml --out one.safetensors --threads 1 && says out '20 steps'
ends 0 "$whist" meta train tiny.yaml --out two.safetensors --threads 2
cmp one.safetensors two.safetensors || bad=1
ends 0 "$whist" meta eval one.safetensors tiny.yaml --threads 1 --json && json out && says out '"episodes":600'
cp out whole
ends 0 "$whist" meta eval one.safetensors tiny.yaml --threads 2 --json && cmp out whole || bad=1
sed 's/ways: 3/ways: 4/' tiny.yaml >wrong.yaml
ends 1 "$whist" meta train wrong.yaml --out x && says err '4 ways, and the data have 3 classes' && silent
sed 's/queries: 3/queries: 300/' tiny.yaml >wrong.yaml
ends 1 "$whist" meta train wrong.yaml --out x && says err 'an episode takes 301 of each class' && silent
sed '/^episodes/d' tiny.yaml >wrong.yaml
ends 1 "$whist" meta train wrong.yaml --out x && says err "no section 'episodes'" && silent
exit $bad
