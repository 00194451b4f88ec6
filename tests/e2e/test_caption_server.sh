#!/usr/bin/env bash
# caption-server, on which the tests of captioners stand: answers, schema, HTTP, streams, faults, deaths.
set -u
lens=$1
root=$PWD
python=${LENS_PYTHON:-/usr/bin/python3}
command -v "$python" >/dev/null || { echo "skipped: no python at $python"; exit 77; }
# shellcheck source-path=SCRIPTDIR source=server.sh
. tests/e2e/server.sh
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work" || exit 1
fail() {
    echo "FAILED: $*"
    exit 1
}
# checked CHECK... -- [OPTION]...: a server with these options, asked all of it.
checked() {
    local checks=()
    while [ "$1" != -- ]; do checks+=("$1"); shift; done
    shift
    server_start server "$@" || exit 1
    for check in "${checks[@]}"; do
        "$python" "$root/tests/e2e/caption_client.py" "$check" "$server_port" >"$check.out" 2>"$check.err" ||
            { tail -5 "$check.err"; fail "$check with $*"; }
    done
}
stopped() {
    server_stop "$server_pid" || { cat server.err; fail "the server's end: $?"; }
}

checked answers schema http stream death -- --seed 1
[ "$(server_stat "$server_port" deaths_total)" = 1 ] || fail "deaths"
[ "$(server_stat "$server_port" in_flight)" = 0 ] || fail "in flight"
server_control "$server_port" '{"error-rat":1}' && fail "an unknown setting was taken"
server_control "$server_port" '{"error-rate":1,"faults":"500"}' || fail "control"
stopped
checked key -- --key sesame
[ "$(server_stat "$server_port" unauthorized_total)" = 2 ] || fail "unauthorized"
stopped
checked echo -- --echo
stopped
checked bad -- --bad-rate 0.4
stopped
checked slow -- --latency-ms 200 --error-rate 1 --faults slow --slow-ms 600
stopped

# The same faults in the same places, in another process too; every kind is logged.
checked faults -- --error-rate 0.5 --slow-ms 10 --log log
stopped
mv faults.out first.out
checked faults -- --error-rate 0.5 --slow-ms 10
stopped
cmp -s first.out faults.out || "$python" - first.out faults.out <<'PY' || fail "other faults in a second run"
import json, sys
# Whether a client sees a reset amid the body as such or as a short read is the kernel's.
cut = {"ConnectionResetError", "IncompleteRead", "RemoteDisconnected"}
a, b = ([("cut" if x in cut else x) for x in json.load(open(name))] for name in sys.argv[1:])
sys.exit(a != b)
PY
for kind in ok 429 500 503 reset reset-amid truncated malformed html slow empty-choices close; do
    grep -qE "^[0-9a-f]{16} 0 0 $kind (stop|-)$" log || fail "no $kind in 400 requests of which half go wrong"
done
[ "$(wc -l <log)" = 400 ] || fail "the log has $(wc -l <log) lines"
