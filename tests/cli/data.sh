#!/bin/sh
# data.sh SOURCE WHIST: `whist data get` from a local HTTPS server: right, changed, short and missing bytes, a server
# that nobody vouches for. Needs the data once (WHIST_DATA) and the openssl program.
. "$(dirname "$0")/common.sh"
if [ ! -f "${WHIST_DATA:-}/heart/processed.va.data" ] || ! command -v openssl >/dev/null 2>&1; then
    echo 'skipped: no WHIST_DATA/heart or no openssl'
    exit 77
fi
server=
trap 'kill $server 2>/dev/null; wait; give_ports_back; rm -rf "$work"' EXIT
openssl req -x509 -newkey rsa:2048 -nodes -keyout key.pem -out cert.pem -days 2 -subj /CN=localhost \
    -addext subjectAltName=DNS:localhost,IP:127.0.0.1 >/dev/null 2>&1 || exit 77
mkdir files
cp "$WHIST_DATA"/heart/processed.*.data files

take_port
(cd files && exec openssl s_server -WWW -quiet -accept 127.0.0.1:$port -cert ../cert.pem -key ../key.pem) \
    >/dev/null 2>&1 </dev/null &
server=$!
listens() { ! kill -0 $server || openssl s_client -connect 127.0.0.1:$port </dev/null >/dev/null; }
wait_for listens || bad=1
# By number: a bare machine may not even know the name localhost.
get="$whist data get heart --quiet --url-base https://127.0.0.1:$port"
want="$get --cacert cert.pem"

# left: nothing but whole files is in the folder.
left() {
    for file in "$1"/*; do
        [ -e "$file" ] || continue
        cmp -s "$file" "$WHIST_DATA/heart/$(basename "$file")" || { echo "FAILED: $file is left"; bad=1; }
    done
}

ends 0 $want --out right --json && json out
left right
[ "$(ls right | wc -l)" -eq 5 ] || { echo 'FAILED: files are missing'; ls right; bad=1; }
ends 0 $want --out right
ends 3 $get --out unknown && silent
left unknown

tr 1 2 <files/processed.va.data >changed && mv changed files/processed.va.data
ends 1 $want --out changed && silent
left changed
head -c 3000 "$WHIST_DATA/heart/processed.va.data" >files/processed.va.data
ends 1 $want --out short
left short
head -c 300000 /dev/zero >files/processed.va.data
ends 1 $want --out long
left long
rm files/processed.va.data
ends 1 $want --out missing
left missing
[ ! -e changed/processed.va.data ] && [ ! -e short/processed.va.data ] && [ ! -e long/processed.va.data ] || bad=1
ends 2 "$whist" data get hart --out x
exit $bad
