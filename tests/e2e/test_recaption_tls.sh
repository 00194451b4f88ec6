#!/usr/bin/env bash
# lens recaption over TLS, nghttpx in front of caption-server: hundreds of requests at once on a few HTTP/2 connections,
# kept HTTP/1.1 connections, certificates that are not trusted, and what --ca-file may be.
set -u
lens=$(realpath "$1")
# shellcheck source-path=SCRIPTDIR source=server.sh
. tests/e2e/server.sh
for program in nghttpx openssl; do
    PATH=$PATH:/usr/sbin command -v $program >/dev/null || { echo "skipped: no $program"; exit 77; }
done
work=$(mktemp -d)
proxy_pid=
trap '[ -z "$proxy_pid" ] || kill $proxy_pid; rm -rf "$work"' EXIT
cd "$work" || exit 1
fail() {
    echo "FAILED: $*"
    tail -3 err server.err proxy.err 2>/dev/null
    exit 1
}
# shellcheck disable=SC2094 # $out is not the file
ask() { # OUT URL [OPTION]...
    local out=$1 url=$2
    shift 2
    "$lens" recaption set -o "$out" --captioner "$url" --model test-model --kinds dense=detailed,tags=tags \
        --min-words 1 --max-words 1000 "$@" >out 2>err
}
# proxy PROTOCOLS CERTIFICATE: nghttpx at proxy_port; its log has a line "PORT OF THE CLIENT, PROTOCOL" a request.
proxy() {
    stop_proxy
    : >access
    # shellcheck disable=SC2016 # the variables are nghttpx's
    PATH=$PATH:/usr/sbin nghttpx -f "127.0.0.1,$proxy_port" -b "127.0.0.1,$server_port" --single-process --workers=1 \
        --npn-list="$1" --accesslog-file=access --accesslog-format='$remote_port $alpn' --conf=/dev/null \
        "$2.key" "$2.pem" >proxy.err 2>&1 &
    proxy_pid=$!
    for ((i = 0; i < 500; i++)); do
        if (: <>"/dev/tcp/127.0.0.1/$proxy_port") 2>/dev/null; then return; fi
        kill -0 $proxy_pid 2>/dev/null || break
        read -rt 0.02 <> <(:) || true
    done
    fail "nghttpx does not listen"
}
stop_proxy() {
    [ -n "$proxy_pid" ] || return 0
    kill "$proxy_pid" && wait "$proxy_pid"
    proxy_pid=
}
certificate() { # NAME: for 127.0.0.1, signed by itself
    openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -days 2 -subj "/CN=$1" \
        -addext subjectAltName=IP:127.0.0.1 -keyout "$1.key" -out "$1.pem" 2>err || fail "openssl: $(cat err)"
}
connections() { sort -u access | wc -l; }

"$lens" scenes -n 700 --size 32 --seed 5 --shard-samples 350 -o set >/dev/null 2>err || fail scenes
certificate ours
certificate theirs
server_start free || exit 1 # for a port that is free
proxy_port=$server_port
server_stop "$server_pid"
url=https://127.0.0.1:$proxy_port/v1

server_start server --latency-ms 400 || exit 1
ask plain "$server_url" || fail "without TLS: $?"
server_stop "$server_pid"

server_start server --latency-ms 400 || exit 1
proxy h2,http/1.1 ours
ask h2 "$url" --ca-file ours.pem || fail "HTTP/2: $?"
in_flight=$(server_stat "$server_port" in_flight_most)
[ "$in_flight" -ge 100 ] || fail "in flight: $in_flight"
stop_proxy
[ "$(grep -c ' h2$' access)" -ge 1400 ] || fail "requests by HTTP/2: $(grep -c ' h2$' access)"
# The proxy takes 100 streams on each. libcurl 7.88 opens one for each request that finds them full, until another is ready.
[ "$(connections)" -le 64 ] || fail "connections of HTTP/2: $(connections)"
diff -r -x stats.json plain h2 || fail "HTTP/2 changed what was written"

server_control "$server_port" '{"latency-ms":50}' || fail "control"
proxy http/1.1 ours
ask h1 "$url" --ca-file ours.pem --concurrency 32 || fail "HTTP/1.1: $?"
stop_proxy
[ "$(grep -c ' http/1.1$' access)" -ge 1400 ] || fail "requests by HTTP/1.1: $(grep -c ' http/1.1$' access)"
[ "$(connections)" -le 32 ] || fail "connections of HTTP/1.1: $(connections)"
diff -r -x stats.json plain h1 || fail "HTTP/1.1 changed what was written"

# Certificates that are not trusted: one line, at once, before anything was asked.
before=$(server_stat "$server_port" requests_total)
refused() { # WHAT MESSAGE URL [OPTION]...
    local what=$1 message=$2
    shift 2
    ask none "$@"
    [ $? = 1 ] || fail "$what: status"
    [ "$(grep -c . err)" = 1 ] || fail "$what: more than a line: $(cat err)"
    grep -q "$message" err || fail "$what: $(cat err)"
}
proxy h2,http/1.1 ours
refused "the system's store" certificate "$url"
refused "another certificate" certificate "$url" --ca-file theirs.pem
refused "another name" "localhost" "https://localhost:$proxy_port/v1" --ca-file ours.pem
: >empty.pem
refused "no certificates" "empty.pem" "$url" --ca-file empty.pem
ask none "$url" --ca-file missing.pem && fail "a file that is not there"
grep -q "missing.pem" err || fail "missing: $(cat err)"
[ "$(server_stat "$server_port" requests_total)" = "$before" ] || fail "asked a server that is not trusted"
server_stop "$server_pid" || fail "the server's end"
exit 0
