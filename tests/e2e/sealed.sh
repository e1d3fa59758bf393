#!/bin/sh
# A model that real processes trained travels sealed: it opens at the sites that it was sealed to, a newcomer among them,
# and nowhere else; damaged, cut, of another study or signed by another coordinator it opens nowhere.
set -u
. "$(dirname "$0")/federation.sh"
need_data
bad=0
ends() {
    code=$1 words=$2
    shift 2
    timeout 60 "$@" >"$work/out" 2>"$work/err" </dev/null
    got=$?
    if [ $got -ne "$code" ] || ! cat "$work/out" "$work/err" | grep -qF -- "$words"; then
        echo "FAILED: exit $got (wanted $code), wanted '$words': $*"
        cat "$work/out" "$work/err"
        bad=1
    fi
}

world
fed=$work/fed study=$work/fed/study.yaml
start coordinator
for name in $sites; do start "$name"; done
await || { echo "FAILED: the federation did not end well"; show_logs; exit 1; }

# A site that comes later: the same authority, not in the study.
ends 0 pin "$WHIST" provision request west --role site --out "$fed/sites/west"
ends 0 west "$WHIST" provision sign "$fed/sites/west/request.pem" --ca "$fed/ca" --role site --yes \
    --out "$fed/sites/west/cert.pem"
cp "$fed/ca/ca.pem" "$fed/ca/crl.pem" "$fed/sites/west/"
sed 's/^name: va/name: west/' "$fed/sites/va/site.yaml" >"$fed/sites/west/site.yaml"
pin=$("$WHIST" provision pin "$fed/sites/west/cert.pem")

for name in va hungarian west; do
    ends 0 'The key stays here' "$WHIST" site recipient "$fed/sites/$name/site.yaml" --out "$work/$name.notice"
    case $(ls -l "$fed/sites/$name/state/recipient.pem") in -rw-------*) ;; *) echo 'FAILED: an open key'; bad=1 ;; esac
done
hub="--config $fed/coordinator/coordinator.yaml --study $study"
seal="$WHIST model seal $work/model.safetensors $hub"
ends 2 '--to is missing' $seal --out "$work/sealed"
ends 3 'names no site with the key of west' $seal --to "$work/west.notice" --out "$work/sealed"
[ ! -e "$work/sealed" ] || bad=1
ends 0 'for 2 sites' $seal --to "$work/va.notice" --to "$work/west.notice" --pin "$pin" --days 5 --out "$work/sealed"
if "$WHIST" version --json | grep -q '"test_hooks":true'; then later='env WHIST_TEST_CLOCK_OFFSET=518400'; else later=; fi

open_at() { # NAME [FILE [STUDY]]
    echo "$WHIST model open ${2:-$work/sealed} --config $fed/sites/$1/site.yaml --study ${3:-$study} --out $work/$1.safetensors"
}
for name in va west; do
    ends 0 opened $(open_at $name)
    cmp "$work/model.safetensors" "$work/$name.safetensors" || bad=1
    ends 1 'there already' $(open_at $name)
done
"$WHIST" predict "$work/west.safetensors" "$study" --data "$WHIST_DATA/heart" --site va >"$work/predicted" || bad=1
"$WHIST" predict "$work/model.safetensors" "$study" --data "$WHIST_DATA/heart" --site va | cmp - "$work/predicted" || bad=1

rm "$work/va.safetensors"
ends 3 'none of its recipients' $(open_at hungarian)
[ -z "$later" ] || ends 3 'time is over' $later $(open_at va)
sed 's/^rounds: 15/rounds: 16/' "$study" >"$work/other.yaml"
ends 3 'another study' $(open_at va "$work/sealed" "$work/other.yaml")
ends 3 'not made by this study' "$WHIST" model seal "$work/model.safetensors" --config "$fed/coordinator/coordinator.yaml" \
    --study "$work/other.yaml" --to "$work/va.notice" --out "$work/x"
# A site's key signs nothing.
sed 's/^certificate: .*/certificate: ..\/sites\/va\/cert.pem/; s/^key: .*/key: ..\/sites\/va\/key.pem/' \
    "$fed/coordinator/coordinator.yaml" >"$fed/coordinator/site.yaml"
ends 3 'client certificate' "$WHIST" model seal "$work/model.safetensors" --config "$fed/coordinator/site.yaml" \
    --study "$study" --to "$work/va.notice" --out "$work/x"
[ ! -e "$work/x" ] || bad=1
size=$(wc -c <"$work/sealed")
head -c $((size - 100)) "$work/sealed" >"$work/cut"
ends 3 'cut short' $(open_at va "$work/cut")
{ head -c $((size - 9)) "$work/sealed"; printf 'X'; tail -c 8 "$work/sealed"; } >"$work/changed"
ends 3 'not the one that was signed' $(open_at va "$work/changed")
sed 's/^to va /to vb /' "$work/sealed" >"$work/changed"
ends 3 'signature is not good' $(open_at va "$work/changed")
{ cat "$work/sealed"; echo more; } >"$work/changed"
ends 3 'behind its end' $(open_at va "$work/changed")
ends 1 'no sealed model' $(open_at va "$work/model.safetensors")
ends 0 'The key stays here' "$WHIST" site recipient "$fed/sites/va/site.yaml" --renew --out "$work/va.notice"
ends 3 'no longer' $(open_at va)
[ ! -e "$work/va.safetensors" ] && [ ! -e "$work/va.safetensors.part" ] || { echo 'FAILED: a refused file left a model'; bad=1; }
[ $bad -eq 0 ] && echo "a sealed model opened at two sites and was refused everywhere else"
exit $bad
