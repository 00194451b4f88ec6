#!/usr/bin/env bash
# lens recaption with two servers that fail a fifth of all requests and answer a seventh badly, one of which dies and
# returns, while lens is killed at random times: the layers are those of a run without faults on the way.
set -u
lens=$1
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
# shellcheck source-path=SCRIPTDIR source=server.sh
. "$(dirname "$(realpath "$0")")/server.sh"
cd "$work" || exit 1
fail() {
    echo "FAILED: $*"
    exit 1
}
[ -x "$caption_server" ] || { echo 'skipped: caption-server is not built'; exit 77; }
"$lens" scenes -n 300 --seed 5 --size 32 --shard-samples 60 -o set >out 2>err || fail "scenes: $(cat err)"
kinds=dense=detailed,brief

server_start good --bad-rate 0.15 || exit 1
"$lens" recaption set -o whole --captioner "$server_url" --model m --kinds $kinds >out 2>err || fail "no faults: $(cat err)"
grep -q 'asked for more than once' out || fail "no bad answers: $(cat out)"
server_start one --error-rate 0.2 --bad-rate 0.15 --latency-ms 20 || exit 1
one=$server_url one_port=$server_port
server_start two --error-rate 0.2 --bad-rate 0.15 --latency-ms 20 || exit 1
ask=("$lens" recaption set -o chaos --captioner "$one,$server_url" --model m --kinds $kinds)
for i in 1 2 3; do
    "${ask[@]}" >out 2>err &
    pid=$!
    sleep 0.$((RANDOM % 6 + 2))
    kill -9 $pid 2>/dev/null
    wait $pid 2>/dev/null
    server_control "$one_port" '{"die-ms":300}' || fail "kill $i: the server does not listen"
    sleep 0.4 # dead for that long
done
"${ask[@]}" >out 2>err || fail "the last start: $(cat err)"
diff -r -x stats.json whole chaos >difference || fail "other layers than without faults: $(cat difference)"
