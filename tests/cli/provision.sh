#!/bin/sh
# provision.sh SOURCE WHIST: the way of a certificate from request to revocation, and who is refused on it.
. "$(dirname "$0")/common.sh"
synthetic tiny north south >tiny.yaml
echo 'a long passphrase' >pass
echo 'another passphrase' >wrong

ends 0 "$whist" provision ca --out ca --passphrase-file pass --json && json out
ends 1 "$whist" provision ca --out ca --passphrase-file pass && says err 'never overwritten' && silent
ends 1 "$whist" provision ca --out ca2 --passphrase-file nosuch && [ ! -e ca2 ] || bad=1

for who in north:site south:site hub:coordinator ann:operator; do
    name=${who%:*} role=${who#*:} host=
    [ $role = coordinator ] && host='--host localhost'
    ends 0 "$whist" provision request $name --role $role $host --out $name && says out 'sha256:'
    before=$(cksum <$name/key.pem)
    ends 1 "$whist" provision request $name --role $role $host --out $name
    [ "$before" = "$(cksum <$name/key.pem)" ] || { echo 'FAILED: a key was overwritten'; bad=1; }
    ends 0 "$whist" provision sign $name/request.pem --ca ca --passphrase-file pass --role $role --out $name/cert.pem \
        --yes
    says out "$name"
    [ "$("$whist" provision pin $name/key.pem)" = "$("$whist" provision pin $name/cert.pem)" ] ||
        { echo 'FAILED: key and certificate have different pins'; bad=1; }
    case $(ls -l $name/key.pem) in -rw-------*) ;; *) echo 'FAILED: the key is open to others'; bad=1 ;; esac
done
ends 2 "$whist" provision request x --role site --host localhost --out x && [ ! -e x ] || bad=1
ends 2 "$whist" provision request x --role coordinator --out x
ends 2 "$whist" provision request x --role coordinator --host 'no host' --out x && [ ! -e x ] || bad=1
ends 2 "$whist" provision request 'No Name' --role site --out x
ends 2 "$whist" provision request x --role king --out x
ends 2 "$whist" provision sign north/request.pem --ca ca --passphrase-file pass --role king --out n.pem --yes
ends 1 "$whist" provision pin tiny.yaml && says err 'tiny.yaml'

sign="$whist provision sign north/request.pem --ca ca --role site --out n.pem"
for quiet in '' -q; do
    ends 2 $sign --passphrase-file pass $quiet && says err '--yes' && says err 'asked for: north, pin sha256:'
    says err 'you make it a site'
done
sign="$sign --yes"
ends 3 $sign && says err 'passphrase'
ends 3 $sign --passphrase-file wrong
ends 3 $sign --passphrase-file pass --pin "$("$whist" provision pin south/cert.pem)" && says err 'told'
ends 2 $sign --passphrase-file pass --pin sha256:12
ends 1 $sign --passphrase-file pass --name south
[ ! -e n.pem ] || { echo 'FAILED: a refused request left a certificate'; bad=1; }
ends 1 "$whist" provision sign north/request.pem --ca ca --passphrase-file pass --role site --out north/key.pem --yes
ends 1 "$whist" provision sign tiny.yaml --ca ca --passphrase-file pass --role site --out n.pem --yes

pins="--coordinator hub/cert.pem --site north=north/cert.pem"
ends 0 "$whist" provision study tiny.yaml $pins --site south=south/cert.pem --out study.yaml
ends 0 "$whist" study check study.yaml --json && says out '"pinned":true'
ends 2 "$whist" provision study tiny.yaml $pins --out s.yaml && says err 'south'
ends 2 "$whist" provision study tiny.yaml $pins --site south=south/cert.pem --site west=south/cert.pem --out s.yaml
ends 3 "$whist" provision study tiny.yaml $pins --site south=ann/cert.pem --out s.yaml && says err 'operator'
[ ! -e s.yaml ] || bad=1

ends 1 "$whist" provision kit tiny.yaml --ca ca --passphrase-file pass --coordinator https://localhost:1 --out kit
ends 0 "$whist" provision kit study.yaml --ca ca --passphrase-file pass --coordinator https://localhost:1 --out kit
pin=$("$whist" provision pin ca/ca.pem)
ends 0 "$whist" provision open kit --ca-pin "$pin" --out opened --json && json out
cmp opened/study.yaml study.yaml && cmp opened/ca.pem ca/ca.pem && cmp opened/crl.pem ca/crl.pem || bad=1
ends 1 "$whist" provision open kit --ca-pin "$pin" --out opened
ends 3 "$whist" provision open kit --ca-pin "$("$whist" provision pin hub/key.pem)" --out o2
# An address that no site could connect to.
for url in 'https://[::]:1' https://0.0.0.0:1 https://localhost http://localhost:1 https://localhost:0; do
    ends 1 "$whist" provision kit study.yaml --ca ca --passphrase-file pass --coordinator "$url" --out no-kit && silent
    [ ! -e no-kit ] || bad=1
done
says err 'port 0'
size=$(wc -c <kit)
for cut in 0 1 20 200 $((size / 2)) $((size - 1)); do
    head -c $cut kit >cut
    ends 1 "$whist" provision open cut --ca-pin "$pin" --out o2
done
sed 's/rounds: 3/rounds: 9/' kit >changed
ends 3 "$whist" provision open changed --ca-pin "$pin" --out o2
sed 's/^coordinator https:..localhost/coordinator https:\/\/otherhost/' kit >changed
ends 3 "$whist" provision open changed --ca-pin "$pin" --out o2
{ cat kit; echo more; } >changed
ends 1 "$whist" provision open changed --ca-pin "$pin" --out o2
[ ! -e o2 ] || { echo 'FAILED: a refused kit was unpacked'; bad=1; }

ends 0 "$whist" provision renew north/cert.pem --key north/key.pem --out again.pem
ends 0 "$whist" provision sign again.pem --ca ca --passphrase-file pass --role site --days 90 --yes \
    --out north/cert.pem
ends 3 "$whist" provision renew north/cert.pem --key south/key.pem --out again2.pem
ends 0 "$whist" provision check north/cert.pem --json && json out && says out '"days_left":'
ends 1 "$whist" provision check north/cert.pem --days 200 && says err 'renew'
ends 0 "$whist" provision revoke south/cert.pem --ca ca --passphrase-file pass --json && json out
ends 0 "$whist" provision crl --ca ca --passphrase-file pass

ends 0 "$whist" provision demo tiny.yaml --out world
[ "$(cat world/*/key.pem world/sites/*/key.pem | sort | uniq -d | grep -vc -- -----)" -eq 0 ] ||
    { echo 'FAILED: two participants have one key'; bad=1; }
ends 1 "$whist" provision demo tiny.yaml --out world && says err 'there already'
ends 0 "$whist" provision demo tiny.yaml --out six --host fd00::7 && says six/coordinator/coordinator.yaml '"[::]:8443"'
ends 0 "$whist" provision demo tiny.yaml --out six1 --host ::1 && says six1/coordinator/coordinator.yaml '"[::1]:8443"'
ls | grep -q 'world\.' && { echo 'FAILED: half a world is left'; bad=1; }

# Where to listen is judged before anything is made.
hub="world/coordinator/coordinator.yaml --study world/study.yaml"
for at in here 127.0.0.1 127.0.0.1:70000 ::1:80 '[::1' localhost:80 "$(printf %070d:80)"; do
    ends 2 "$whist" coordinator $hub --listen "$at" && says err '127.0.0.1:8443'
done
sed -i 's/^listen: .*/listen: here:80/' world/coordinator/coordinator.yaml
ends 1 "$whist" coordinator $hub && says err 'coordinator.yaml: listen'
[ ! -e world/coordinator/state ] || { echo 'FAILED: state was made'; bad=1; }

# The site's own rules come first.
printf 'policy:\n  min_sites: 3\n' >>world/sites/north/site.yaml
site="world/sites/north/site.yaml --study world/study.yaml"
ends 3 "$whist" site approve $site --as Ann --yes && says err 'min_sites'
ends 3 "$whist" site run $site && says err 'min_sites' && silent
ends 1 "$whist" site check $site && says out FAIL && says out 'connection'
ends 1 "$whist" site check $site --json && json out
site="world/sites/south/site.yaml --study world/study.yaml"
ends 2 "$whist" site approve $site --as Ann && says err '--yes'
ends 2 "$whist" site approve $site --as '' --yes && says err '--as'
ends 2 "$whist" site approve $site --as "$(printf 'A\tB')" --yes
ends 3 "$whist" site run $site && says err 'approve'
ends 0 "$whist" site preview $site && says out 'accuracy'
ends 0 "$whist" site preview $site --json && json out
ends 0 "$whist" site approve $site --as Ann --yes --json && json out
log="world/sites/south/state --study world/study.yaml --certificate world/sites/south/cert.pem"
ends 0 "$whist" log show $log && says out Ann && says out '1 entries'
ends 2 "$whist" site approve $site --as Ben && says err 'Ann has approved tiny for south already'
ends 0 "$whist" site approve $site --as Ann --yes && says err 'Ann has approved'
ends 0 "$whist" log verify $log && says out '1 entries'
ends 0 "$whist" site approve $site --as Ben --yes && says err 'Ann has approved'
ends 0 "$whist" log show $log --json && json out && says out '"entries":2' && says out '"body":{"person":"Ben"'
ends 0 "$whist" log show $log && says out Ann
ends 0 "$whist" log verify world/sites/south/state --study world/study.yaml \
    --certificate world/sites/south/cert.pem --json && json out
ends 3 "$whist" log show world/sites/south/state --study world/study.yaml --certificate world/sites/north/cert.pem
silent
exit $bad
