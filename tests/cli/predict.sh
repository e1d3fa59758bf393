#!/bin/sh
# predict.sh SOURCE WHIST: new rows get the prediction that they would get among the rows of their site, whatever
# stands beside them in their file.
. "$(dirname "$0")/common.sh"
mkdir data
awk 'BEGIN { srand(7); print "a,b,t"; for (i = 0; i < 30; i++) { a = rand() * 50; print a "," rand() * 3 - 9 "," (a > 20) } }' >data/north.csv
awk 'BEGIN { srand(8); print "b,t,a"; for (i = 0; i < 20; i++) { a = rand() * 10; print rand() "," (a > 4) "," a } }' >data/south.csv
rows='--data data --quiet'

# study STANDARDIZE MISSING
study() {
    cat <<X
whist: 1
name: rows
data:
  format: csv
  task: binary
  header: true
  standardize: $1
  rows_with_missing: $2
  columns:
    - {name: a, type: real}
    - {name: b, type: real}
    - {name: t, type: target}
model: logistic
learner: {name: sgd, lr: 0.05, batch: 4, updates: 20}
strategy: fedavg
rounds: 3
sites:
  - {name: north, file: north.csv}
  - {name: south, file: south.csv}
X
}

# same FILE FILE: rows and predictions, without the targets.
same() {
    cut -d, -f1,2 "$1" >left
    cut -d, -f1,2 "$2" | cmp -s - left || { echo "FAILED: $1 and $2 differ:"; paste "$1" "$2"; bad=1; }
}

for how in site pooled none; do
    study $how drop >$how.yaml
    ends 0 "$whist" simulate $how.yaml $rows --model $how.safetensors || exit 1
    ends 0 "$whist" predict $how.safetensors $how.yaml $rows --site north --fold train --out site.csv
    site=
    [ $how = site ] && site="--site north"
    ends 0 "$whist" predict $how.safetensors $how.yaml $rows $site --input data/north.csv --out input.csv
    cmp -s site.csv input.csv || { echo "FAILED: $how: other predictions"; paste site.csv input.csv; bad=1; }
    cut -d, -f1,2 data/north.csv >bare.csv # no target
    ends 0 "$whist" predict $how.safetensors $how.yaml $rows $site --input bare.csv --out input.csv
    same site.csv input.csv
    sed 's/[01]$//' data/north.csv >empty.csv
    ends 0 "$whist" predict $how.safetensors $how.yaml $rows $site --input "$PWD/empty.csv" --out input.csv
    same site.csv input.csv
    sed -n '1p;6p' data/north.csv >one.csv
    ends 0 "$whist" predict $how.safetensors $how.yaml $rows $site --input one.csv --out input.csv
    [ "$(sed -n 2p input.csv | cut -d, -f2-)" = "$(sed -n 6p site.csv | cut -d, -f2-)" ] ||
        { echo "FAILED: $how: one row alone"; sed -n 6p site.csv; cat input.csv; bad=1; }
done
cut -d, -f2 site.csv | sort -u | head -n 3 | wc -l | grep -q 3 || { echo 'FAILED: all predictions are one'; bad=1; }

ends 2 "$whist" predict site.safetensors site.yaml --input bare.csv && says err '--site NAME' && silent
ends 2 "$whist" predict pooled.safetensors pooled.yaml --input bare.csv --fold test && says err '--fold'
echo 'a,b' >gap.csv && echo ',1' >>gap.csv
ends 1 "$whist" predict pooled.safetensors pooled.yaml --input gap.csv && says err 'gap.csv, line 2' && silent
ends 1 "$whist" predict none.safetensors pooled.yaml --force --input bare.csv && says err standardize.mean && silent
study none mean >mean.yaml
ends 0 "$whist" simulate mean.yaml $rows --model mean.safetensors
ends 0 "$whist" predict mean.safetensors mean.yaml $rows --site south --input gap.csv --json && json out
ends 2 "$whist" predict mean.safetensors mean.yaml --input gap.csv

# A hospital's test row alone.
if [ -f "${WHIST_DATA:-}/heart/flamby_split.csv" ]; then
    heart=$source/examples/heart/fedavg.yaml
    ends 0 "$whist" simulate "$heart" --data "$WHIST_DATA/heart" --model heart.safetensors --quiet
    ends 0 "$whist" predict heart.safetensors "$heart" --data "$WHIST_DATA/heart" --site va --out site.csv
    n=1
    for line in $(awk -F, '$2 == "va" && $4 == "test" && n++ < 5 { print $3 }' "$WHIST_DATA/heart/flamby_split.csv"); do
        n=$((n + 1))
        sed -n "${line}s/,[^,]*\$//p" "$WHIST_DATA/heart/processed.va.data" >patient.csv
        ends 0 "$whist" predict heart.safetensors "$heart" --data "$WHIST_DATA/heart" --site va --input patient.csv --out one.csv
        [ "$(sed -n 2p one.csv)" = "1,$(sed -n ${n}p site.csv | cut -d, -f2)," ] ||
            { echo "FAILED: va, line $line"; sed -n ${n}p site.csv; cat one.csv; bad=1; }
    done
    [ $n -eq 6 ] || { echo 'FAILED: no test rows'; bad=1; }
fi

# Images by their scattering: new ones go through it, too, and a study of pixels is another one.
cat >images.yaml <<X
whist: 1
name: images
data:
  format: synthetic
  task: classes
  classes: 3
  synthetic: {rows: 120}
  images: {height: 8, width: 12, features: scattering, groups: 27}
model: softmax
learner: {name: sgd, lr: 0.1, batch: 8, updates: 30}
strategy: fedavg
metrics: [accuracy]
rounds: 2
sites: {count: 2}
X
ends 0 "$whist" study check images.yaml && says out 'softmax (1461)'
ends 0 "$whist" simulate images.yaml --model images.safetensors
ends 0 "$whist" predict images.safetensors images.yaml --site site-1 --out site.csv
{ printf '\0\0\010\003\0\0\0\002\0\0\0\010\0\0\0\014'; head -c 96 /dev/zero; head -c 96 /dev/zero | tr '\0' '\377'; } >new-images
ends 0 "$whist" predict images.safetensors images.yaml --input new-images --out input.csv
[ "$(wc -l <input.csv)" = 3 ] || { echo 'FAILED: two images'; cat input.csv; bad=1; }
sed 's/, features: scattering, groups: 27//' images.yaml >pixels.yaml
ends 3 "$whist" predict images.safetensors pixels.yaml --input new-images && says err 'was not made by this study' && silent
sed 's/groups: 27/groups: 9/' images.yaml >nine.yaml
ends 3 "$whist" predict images.safetensors nine.yaml --input new-images && says err 'was not made by this study' && silent
sed 's/width: 12/width: 10/' images.yaml >wrong.yaml
ends 1 "$whist" study check wrong.yaml && says err 'a multiple of 4, not 10' && silent
exit $bad
