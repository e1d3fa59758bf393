#!/bin/sh
# meta.sh SOURCE WHIST: few-shot learners by their names: training, measuring, threads, stopping and going on; refusals.
. "$(dirname "$0")/common.sh"
study() { # LEARNER [more lines]
    cat <<Y
whist: 1
name: tiny
data:
  format: synthetic
  task: classes
  classes: 6
  synthetic: {rows: 240}
  images: {height: 8, width: 8}
  split: {test_fraction: 0.4, validation_fraction: 0.3}
model: {name: conv4, width: 4, depth: 2, norm: transductive}
learner: {name: $1}
training: {optimizer: {name: adam, lr: 0.01}, steps: 20, evaluate_every: 5}
episodes: {ways: 3, shots: 1, queries: 3, seen_classes: true, validate: 20}
metrics: [accuracy]
Y
}

for learner in maml fomaml reptile anil boil per-fedavg meta-sgd maml++ imaml cavia meta-lstm abml protonet matching \
    'matching, context: true' relation r2d2; do
    study "$learner" >tiny.yaml
    ends 0 "$whist" meta train tiny.yaml --out one.safetensors --threads 1 && says out '20 steps' &&
        says out "${learner%%,*}" && says out 'transductive (statistics of each batch)' && says out 'best validation'
    ends 0 "$whist" meta train tiny.yaml --out two.safetensors --threads 2
    cmp one.safetensors two.safetensors || bad=1
    ends 0 "$whist" meta eval one.safetensors tiny.yaml --threads 1 --json && json out && says out '"episodes":600' &&
        says out '"accuracy":' && says out '"interval95":'
    cp out whole
    ends 0 "$whist" meta eval one.safetensors tiny.yaml --threads 2 --json && cmp out whole || bad=1
done
ends 0 "$whist" meta eval one.safetensors tiny.yaml --statistics support && says out 'inductive (statistics of the support rows)'
ends 0 "$whist" meta eval one.safetensors tiny.yaml --ways 5 --shots 4 -n 50 && says out '5 ways, 4 shots' && says out '50 episodes'
ends 0 "$whist" meta eval one.safetensors tiny.yaml --attack both --epsilon 0.05 --noise 0.1 -n 20 --json && json out &&
    says out '"attack":"both"' && says out '"epsilon":0.05' && says out '"noise":0.1'
ends 1 "$whist" predict one.safetensors tiny.yaml --site all && says err 'gives features and no predictions' && silent

# What promises privacy is not trained in the open, under the digest of the promise.
{ study maml | sed 's/^episodes:.*/episodes: {tasks: sites, shots: 5, queries: 5, validate: 0}/; s/synthetic: {rows: 240}/synthetic: {rows: 240}\n  standardize: none/'
  echo 'strategy: fedavg'
  echo 'rounds: 5'
  echo 'privacy: {unit: site, noise: central, clip: 1, epsilon: 1, delta: 1e-3}'
  echo 'sites: [{name: a}, {name: b}, {name: c}]'; } >promise.yaml
ends 0 "$whist" study check promise.yaml && says out 'site, ε 1'
ends 1 "$whist" meta train promise.yaml --out open.safetensors && says err 'promises something about one site (epsilon 1, delta 0.001)' &&
    says err 'charges no ledger' && says err 'whist simulate' && silent
[ ! -e open.safetensors ] || { echo "FAILED: a model of a broken promise"; bad=1; }

# Images of new classes in folders.
mkdir -p few/cat few/dog
cp "$source/tests/fuzz/corpus/png/bits" few/cat/1.png
cp "$source/tests/fuzz/corpus/png/bytes" few/dog/1.png
cp "$source/tests/fuzz/corpus/png/square" new.png
ends 0 "$whist" meta adapt one.safetensors tiny.yaml --support few --input new.png --statistics support &&
    says out 'row,p0,p1,target' && says err 'inductive (statistics of the support rows)'
ends 0 "$whist" meta adapt one.safetensors tiny.yaml --support few --input new.png --statistics support --ink --json && json out &&
    says out '"classes":[0,1]'
# One image that is normalised by itself looks like any other.
ends 1 "$whist" meta adapt one.safetensors tiny.yaml --support few --input new.png && says err 'too few rows to predict' && silent
ends 1 "$whist" meta adapt one.safetensors tiny.yaml --support few/cat --input new.png --statistics support && says err 'has no label' && silent
ends 1 "$whist" meta adapt one.safetensors tiny.yaml --support few --input few/dog --statistics support && says err 'query row 1 is support row 2' && silent
ends 2 "$whist" meta adapt one.safetensors tiny.yaml --support few --input new.png --site nosuch && silent
says err "has no site 'nosuch'"
ends 2 "$whist" meta adapt one.safetensors tiny.yaml --support few --input new.png --site all && silent
says err 'converts rows alike at every site'
ends 1 "$whist" meta adapt one.safetensors tiny.yaml --support few --input new.png --out x && says err 'leave --out out' && silent

# The same by fixed features of images.
study protonet | sed 's/width: 8}/width: 8, features: scattering, groups: 27}/; s/^model: .*/model: {name: mlp, hidden: [16]}/' >fixed.yaml
ends 0 "$whist" meta train fixed.yaml --out fixed.safetensors && ends 0 "$whist" meta eval fixed.safetensors fixed.yaml -n 20
ends 0 "$whist" meta adapt fixed.safetensors fixed.yaml --support few --input new.png && says out 'row,p0,p1,target'
ends 1 "$whist" meta eval fixed.safetensors fixed.yaml --data . --one-shot runs.zip && says err 'the one-shot runs are pixels' && silent

# Stopped by kill -9 and by Ctrl-C, a training goes on to the same bits.
study maml | sed 's/steps: 20/steps: 800/; s/evaluate_every: 5/evaluate_every: 500/' >long.yaml
ends 0 "$whist" meta train long.yaml --out whole.safetensors
for signal in KILL INT; do
    rm -f run.ck
    "$whist" meta train long.yaml --out part.safetensors --checkpoint run.ck --every 7 -q --log off &
    pid=$!
    tries=0
    while [ ! -f run.ck ] && [ $tries -lt 500 ]; do tries=$((tries + 1)); sleep 0.02; done
    kill -$signal $pid
    wait $pid 2>/dev/null
    [ -f run.ck ] || { echo "FAILED: no checkpoint before $signal"; bad=1; }
    [ ! -f part.safetensors ] || { echo "FAILED: it ended before $signal"; bad=1; rm part.safetensors; }
    ends 1 "$whist" meta train long.yaml --out part.safetensors --checkpoint run.ck && says err 'add --resume'
    ends 0 "$whist" meta train long.yaml --out part.safetensors --checkpoint run.ck --resume
    cmp whole.safetensors part.safetensors || bad=1
    rm -f part.safetensors
done

# A sinusoid by its name.
cat >sine.yaml <<Y
whist: 1
name: sine
data: {format: synthetic, task: regression, columns: [{name: x, type: real}, {name: y, type: target}]}
model: {name: mlp, hidden: [40, 40]}
learner: {name: maml, inner_lr: 0.01, tasks: 25}
training: {optimizer: {name: adam, lr: 0.001}, steps: 300}
episodes: {tasks: sinusoid, shots: 10, queries: 10}
Y
ends 0 "$whist" meta train sine.yaml --out sine.safetensors && says out 'maml'
ends 0 "$whist" meta eval sine.safetensors sine.yaml --steps 0 && says out 'mse'
ends 0 "$whist" meta eval sine.safetensors sine.yaml --steps 5 && says out '5 inner steps'
# Nobody owns a made-up sinusoid; but somebody may have measured one.
ends 2 "$whist" meta eval sine.safetensors sine.yaml --site va && says err 'is for tasks that are sites' && silent
ends 2 "$whist" meta train sine.yaml --leave-out va --out n.safetensors && says err 'is for tasks that are sites' && silent
printf 'x,y\n-3,2.1\n-1,1.2\n0,-.4\n2,-1.9\n4,.6\n' >measured.csv
printf 'x\n1\n3\n' >wanted.csv
ends 0 "$whist" meta adapt sine.safetensors sine.yaml --support measured.csv --input wanted.csv && says out 'row,prediction,target'
ends 1 "$whist" meta adapt sine.safetensors sine.yaml --support measured.csv --input measured.csv && says err 'is support row' && silent

# What would do nothing, or too much.
ends 2 "$whist" meta eval one.safetensors tiny.yaml --one-shot runs.zip --attack query && says err '--attack is of episodes' && silent
ends 2 "$whist" meta eval one.safetensors tiny.yaml --noise-draws 3 && says err '--noise-draws is of noise' && silent
ends 2 "$whist" meta eval one.safetensors tiny.yaml --attack-steps 3 && says err '--attack-steps is of an attack' && silent
cp sine.yaml kept.yaml
ends 2 "$whist" meta train sine.yaml --out ./sine.yaml && says err 'over the study' && silent
cmp sine.yaml kept.yaml || bad=1
ends 2 "$whist" meta train sine.yaml --out n.safetensors --checkpoint n.safetensors && says err 'name one file' && silent
study maml | sed 's/^episodes: {/episodes: {adversary: query, epsilon: 0, /' >still.yaml
ends 1 "$whist" study check still.yaml && says err 'epsilon' && silent
study 'reptile, inner_batch: 2' >torn.yaml
ends 1 "$whist" meta train torn.yaml --out n.safetensors && says err 'cannot show the 3 classes' && silent

# Sites as tasks: one is left out, and a few of its rows make its model.
cat >sites.yaml <<Y
whist: 1
name: sites
data:
  format: csv
  task: binary
  standardize: pooled
  columns: [{name: age, type: real}, {name: dose, type: real}, {name: ill, type: target}]
  split: {test_fraction: 0.3}
model: {name: logistic}
learner: {name: maml, inner_lr: 0.5, inner_steps: 3}
strategy: {name: fedavg}
training: {optimizer: {name: adam, lr: 0.02}, steps: 60}
episodes: {tasks: sites, shots: 6, queries: 8}
sites: [{name: a, file: a.csv}, {name: b, file: b.csv}, {name: c, file: c.csv}]
Y
for site in a b c; do
    awk -v s=$site 'BEGIN {
        print "age,dose,ill"
        for (i = 0; i < 60; i++) {
            x = (i * 7919 + (s == "b") * 31) % 101; d = (i * 104729) % 97
            print x "," d "," ((s == "a" ? x > 50 : s == "b" ? x < 50 : d > 48) + 0)
        }
    }' >$site.csv
done
ends 0 "$whist" meta train sites.yaml --data . --leave-out c --out sites.safetensors
ends 0 "$whist" meta eval sites.safetensors sites.yaml --data . --site c -n 20 --steps 20 && says out '20 inner steps'
ends 2 "$whist" meta eval sites.safetensors sites.yaml --data . --ways 3 && says err 'tasks of classes' && silent
ends 2 "$whist" meta eval sites.safetensors sites.yaml --data . --site x && silent
(head -n 1 c.csv && sed -n 2,7p c.csv) >support.csv
(head -n 1 c.csv && sed -n 20,23p c.csv | sed 's/,[01]$/,/') >new.csv
ends 0 "$whist" meta adapt sites.safetensors sites.yaml --support support.csv --input new.csv --out mine.safetensors &&
    says out 'row,prediction,target'
awk -F, 'NR > 1 { printf "%.5f\n", $2 }' out >adapted
ends 0 "$whist" predict mine.safetensors sites.yaml --input new.csv && awk -F, 'NR > 1 { printf "%.5f\n", $2 }' out >predicted
cmp adapted predicted || bad=1
ends 2 "$whist" meta adapt sites.safetensors sites.yaml --support support.csv --input new.csv --labels nofile && says err '--labels is for images' && silent
ends 2 "$whist" meta adapt sites.safetensors sites.yaml --support support.csv --input new.csv --ink && says err '--ink is for images' && silent
ends 2 "$whist" meta adapt sites.safetensors sites.yaml --support . --input new.csv && says err 'is a folder' && silent
ends 1 "$whist" meta adapt sites.safetensors sites.yaml --support support.csv --input support.csv &&
    says err 'query row 1 is support row 1' && silent
ends 1 "$whist" meta adapt sites.safetensors sites.yaml --support new.csv --input support.csv &&
    says err 'support row 1 has no target' && silent

# What the examples say of other learners are studies, too.
for example in maml protonet; do
    sed -n 's/^# *\(learner: {.*}\)$/\1/p' "$source/examples/omniglot/$example.yaml" >others
    [ "$(wc -l <others)" -ge 4 ] || { echo "FAILED: $example.yaml names no others"; bad=1; }
    while read -r line; do
        sed "s/^learner: .*/$line/" "$source/examples/omniglot/$example.yaml" >other.yaml
        grep -qF "$line" other.yaml && ends 0 "$whist" study check other.yaml
    done <others
done
# Attacks: which tasks were in training, and a trigger that victims get with the start.
ends 0 "$whist" meta membership sine.safetensors sine.yaml -n 50 --json && json out && says out '"tasks":50' && says out '"auc":'
ends 0 "$whist" meta membership sites.safetensors sites.yaml --data . -n 50 && says out 'found at 1 % false alarms'
ends 0 "$whist" meta train sites.yaml --data . --out all.safetensors
ends 1 "$whist" meta membership all.safetensors sites.yaml --data . && says err 'every site was in' && silent
study maml >poisoned.yaml
ends 0 "$whist" meta backdoor poisoned.yaml -n 20 --poison 0.5 --target 2 --trigger 3 --json && json out &&
    says out '"success":' && says out '"success_unpoisoned":' && says out '"share":0.5'
ends 0 "$whist" meta backdoor sites.yaml --data . -n 20 --trigger 1 --value 3 --target 1 && says out 'triggered rows taken for the target'
ends 1 "$whist" meta backdoor sine.yaml && says err 'leads to a class' && silent
ends 1 "$whist" meta backdoor poisoned.yaml --target 3 && says err 'target 3' && silent
ends 1 "$whist" meta backdoor poisoned.yaml --trigger 9 && says err 'a trigger of 9' && silent
ends 2 "$whist" meta backdoor poisoned.yaml --poison 2 && silent

# Private tasks: a federation hides persons by every rule, and its model is measured and adapted by the rule's own steps.
cat >persons.yaml <<Y
whist: 1
name: persons
data:
  format: csv
  task: binary
  standardize: none
  columns:
    - {name: who, type: person}
    - {name: age, type: real, center: 50, scale: 30}
    - {name: dose, type: real, center: 50, scale: 30}
    - {name: ill, type: target}
  split: {test_fraction: 0.5}
model: {name: mlp, hidden: [6]}
learner: {name: dp-meta, rule: RULE, support: 4, query: 4, persons: 40, rate: 0.5, noise: 2, updates: 5, lr: 1}
strategy: fedavg
privacy: {unit: task, noise: local, relation: add_remove, units: 40, epsilon: 50, delta: 1e-3}
rounds: 3
metrics: [accuracy, auc]
sites: [{name: a, file: pa.csv}, {name: b, file: pb.csv}]
Y
for site in a b; do
    awk -v s=$site 'BEGIN {
        print "who,age,dose,ill"
        for (p = 0; p < 30; p++) for (i = 0; i < 24; i++) {
            k = p * 24 + i; x = (k * 7919 + (s == "b") * 31) % 101; d = (k * 104729) % 97
            print s p "," x "," d "," ((p % 2 ? x > 50 : d > 48) + 0)
        }
    }' >p$site.csv
done
(head -n 1 pa.csv && sed -n 2,7p pa.csv) >support.csv
(head -n 1 pa.csv && sed -n 20,23p pa.csv | sed 's/,[01]$/,/') >new.csv
predictions() { awk -F, 'NR > 1 { printf "%.5f\n", $2 }' "$1"; }
for rule in maml:1 fomaml:1 reptile:1 anil:1 boil:1 per-fedavg:1 meta-sgd:1 maml++:5 imaml:16 cavia:2 abml:5 meta-lstm:5; do
    sed "s/RULE/${rule%:*}/" persons.yaml >rule.yaml
    ends 0 "$whist" simulate rule.yaml --data . --model rule.safetensors -q && says out 'for one task (add_remove)' && says out 'all rows'
    ends 0 "$whist" meta eval rule.safetensors rule.yaml --data . -n 20 && says out "dp-meta, 4 shots, ${rule#*:} inner steps"
    cp out whole
    ends 0 "$whist" meta eval rule.safetensors rule.yaml --data . -n 20 --threads 1 && cmp out whole || bad=1
    ends 0 "$whist" meta adapt rule.safetensors rule.yaml --support support.csv --input new.csv && predictions out >own
    # The plain learner of that name has the same model, and adapts it to the same predictions.
    { sed "s/^learner: .*/learner: {name: ${rule%:*}}/; /^privacy/d" rule.yaml
      echo 'episodes: {tasks: sites, shots: 4, queries: 4}'; } >open.yaml
    ends 0 "$whist" meta adapt rule.safetensors open.yaml --force --support support.csv --input new.csv && predictions out >plain
    cmp own plain || bad=1
    case ${rule%:*} in cavia) code=1 ;; *) code=0 ;; esac # its head sees features through a context
    ends $code "$whist" predict rule.safetensors rule.yaml --input new.csv
    case ${rule%:*} in cavia | abml) code=1 ;; *) code=0 ;; esac # what adapts is no plain model
    ends $code "$whist" meta adapt rule.safetensors rule.yaml --support support.csv --input new.csv --out mine.safetensors
done
ends 1 "$whist" meta eval rule.safetensors rule.yaml --data . --shots 30 && says err 'none of 60 persons has the 34 rows' && silent
ends 1 "$whist" meta membership rule.safetensors rule.yaml --data . && says err 'nobody to tell them from' && silent
ends 1 "$whist" meta train rule.yaml --data . --out x && says err 'promises something about one task' && silent
ends 1 "$whist" dp audit rule.yaml && says err 'all rows of a person, of which the worst are not known' && silent
ends 1 "$whist" dp audit rule.yaml --canaries 20 && says err 'makes a promise about records' && silent
unfit() { # RULE TEXT
    sed "s/RULE/$1/" persons.yaml >wrong.yaml
    ends 1 "$whist" study check wrong.yaml && says err "$2" && silent
}
for rule in protonet matching relation r2d2; do unfit $rule "learner.rule: rule $rule compares query rows"; done
unfit 'maml, proximal: 2' 'learner.proximal is for another rule and does nothing with rule maml'
unfit 'meta-lstm, inner_lr: 1' 'a gate lies below 1'

# Prototypes need a column of the head for each class.
sed 's/^learner: .*/learner: prototypes/; /^privacy/d; s/type: person/type: ignore/' persons.yaml >prototypes.yaml
ends 1 "$whist" study check prototypes.yaml && says err 'the head of a binary task has one: say task: classes' && silent
sed 's/task: binary/task: classes/; s/standardize: none/classes: 2/; s/metrics: .*/metrics: [accuracy]/' prototypes.yaml >two.yaml
ends 0 "$whist" study check two.yaml

# The real Omniglot: classes that training never saw, and the twenty one-shot runs.
if [ -f "${WHIST_DATA:-}/omniglot/omniglot28-images-idx3-ubyte.gz" ]; then
    sed 's/model: .*/model: {name: conv4, norm: transductive, width: 8}/; s/steps: 2000/steps: 3/; s/ways: 60/ways: 20/
        s/validate: 50/validate: 2/' "$source/examples/omniglot/protonet.yaml" >omniglot.yaml
    ends 0 "$whist" meta train omniglot.yaml --out omniglot.safetensors && says out 'best validation'
    ends 0 "$whist" meta eval omniglot.safetensors omniglot.yaml -n 2 --ways 20 --queries 5 && says out '20 ways, 1 shots'
    ends 0 "$whist" meta eval omniglot.safetensors omniglot.yaml --one-shot "$WHIST_DATA/omniglot/all_runs.zip" --json &&
        json out && says out '"runs":[' && says out '"batches":"transductive'
    ends 1 "$whist" meta eval omniglot.safetensors omniglot.yaml --one-shot omniglot.yaml && says err 'no zip archive' &&
        silent
else
    echo 'skipped: no Omniglot in WHIST_DATA'
fi

# Refusals.
study protonet >tiny.yaml
refused() { # CODE TEXT SED-SCRIPT
    sed "$3" tiny.yaml >wrong.yaml
    ends "$1" "$whist" meta train wrong.yaml --out x && says err "$2" && silent
}
refused 1 'episode asks for 9 ways' 's/ways: 3/ways: 9/'
refused 1 'an episode takes 301 of each class' 's/queries: 3/queries: 300/'
refused 1 "learns over few-shot tasks" '/^episodes/d'
refused 1 'is in the training and in the test fold' 's/, seen_classes: true//'
refused 1 'training.batch does nothing with episodes' 's/steps: 20/steps: 20, batch: 8/'
refused 1 'training.epochs does nothing with episodes' 's/steps: 20/steps: 20, epochs: 8/'
refused 1 'learner.lr is the step of a round' 's/name: protonet/name: protonet, lr: 1/'
refused 1 'learner.support does nothing with episodes' 's/name: protonet/name: maml, support: 8/'
refused 1 'episodes are for a meta-learner, and sgd is none' 's/name: protonet/name: sgd/'
refused 1 'ways is missing' 's/ways: 3, //'
refused 1 'turns turn pixels' 's/width: 8}/width: 8, features: scattering}/; s/ways: 3/ways: 3, turns: 2/'
refused 1 'compares classes' 's/ways: 3/tasks: sites/'
refused 1 'running statistic' 's/transductive/inductive/'
ends 1 "$whist" train tiny.yaml && says err 'whist meta train' && silent
ends 3 "$whist" meta eval sine.safetensors tiny.yaml && says err 'was not made by this study' && silent
ends 2 "$whist" meta eval one.safetensors tiny.yaml --epsilon 1 && says err '--attack query' && silent
exit $bad
