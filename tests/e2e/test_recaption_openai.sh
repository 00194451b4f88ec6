#!/usr/bin/env bash
# lens recaption --captioner http://...: captions of a server, the same under faults, hostile alt-texts, the key's secrecy,
# and the errors that end a run.
set -u
lens=$(realpath "$1")
# shellcheck source-path=SCRIPTDIR source=server.sh
. tests/e2e/server.sh
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work" || exit 1
fail() {
    echo "FAILED: $*"
    tail -3 err server.err 2>/dev/null
    exit 1
}
ask() { # OUT [OPTION]...
    local out=$1
    shift
    "$lens" recaption set -o "$out" --model test-model --min-words 1 --max-words 1000 --threads 2 "$@" >out 2>err
}
"$lens" scenes -n 60 --seed 5 --shard-samples 25 -o set >/dev/null || fail scenes
export OPENAI_API_KEY=sk-Open/Sesame-0123456789

# Two kinds, a key, and what a run without faults writes.
server_start server --key "$OPENAI_API_KEY" --bodies bodies || exit 1
ask plain --captioner "$server_url" --kinds dense=detailed,tags=tags --logprobs --json || fail "plain: $?"
[ "$(server_stat "$server_port" bad_requests_total)" = 0 ] || fail "bad requests"
grep -q '"dense":{"captions":60,' out || fail "captions: $(cat out)"
[ "$(wc -l <bodies)" -ge 120 ] || fail "bodies: $(wc -l <bodies)"
grep -q '"logprobs":true' bodies || fail "no log-probabilities were asked for"
server_stop "$server_pid" || fail "the server's end"

# The same through faults, on two endpoints of which one dies and returns.
server_start server --key "$OPENAI_API_KEY" --error-rate 0.2 --slow-ms 100 --retry-after-s 1 || exit 1
first=$server_pid first_url=$server_url
server_start second --key "$OPENAI_API_KEY" --error-rate 0.1 --slow-ms 100 --die-ms 200 --die-every-ms 400 || exit 1
ask chaos --captioner "$first_url,$server_url" --kinds dense=detailed,tags=tags --logprobs --json || fail "chaos: $?"
server_stop "$first" || fail "the first server's end"
server_stop "$server_pid" || fail "the second server's end"
diff -r -x stats.json plain chaos || fail "faults changed what was written"

# Every form in which servers write the same answer, connections that are closed just when the next request comes (rarely
# an endpoint's failure: what was not begun to be answered is sent again), and a gateway's errors under status 200.
server_start server --key "$OPENAI_API_KEY" --error-rate 1 --faults chunked,gzip,parts,think || exit 1
ask forms --captioner "$server_url" --kinds dense=detailed,tags=tags --logprobs --json || fail "forms: $?"
server_stop "$server_pid" || fail "the server's end"
diff -r -x stats.json plain forms || fail "the form of answers changed what was written"
server_start server --key "$OPENAI_API_KEY" --error-rate 0.2 --faults stale || exit 1
ask stale --captioner "$server_url" --kinds dense=detailed,tags=tags --logprobs --json || fail "stale: $?"
n_stale=$(server_stat "$server_port" 'answers_total{kind="stale"}') n_failed=$(sed 's/.*"failed":\([0-9]*\).*/\1/' stale/stats.json)
[ $((4 * n_failed)) -lt "$n_stale" ] || fail "stale connections as failures: $n_failed of $n_stale"
server_stop "$server_pid" || fail "the server's end"
diff -r -x stats.json plain stale || fail "stale connections changed what was written"
server_start server --key "$OPENAI_API_KEY" --error-rate 0.2 --faults error-200 || exit 1
ask errors --captioner "$server_url" --kinds dense=detailed,tags=tags --logprobs --json || fail "errors: $?"
server_stop "$server_pid" || fail "the server's end"
diff -r -x stats.json plain errors || fail "errors under status 200 changed what was written"

# A server that says 500 to all: it cannot do this, and says why.
server_start server --key "$OPENAI_API_KEY" --error-rate 1 --faults 500 || exit 1
ask none --captioner "$server_url" && fail "answered with errors"
grep -q "HTTP 500: The server had an error" err || fail "500: $(cat err)"
server_stop "$server_pid" || fail "the server's end"

# Retry-After as a date, a day away: not asked again within the run.
server_start server --key "$OPENAI_API_KEY" --error-rate 1 --faults 429 --retry-after-s 86400 --retry-after-date || exit 1
ask late --captioner "$server_url" --limit 1 --give-up 2 && fail "answered without an answer"
grep -q "no endpoint has answered for .*HTTP 429: Rate limit" err || fail "429: $(cat err)"
[ "$(server_stat "$server_port" requests_total)" = 1 ] || fail "asked before its time"
server_stop "$server_pid" || fail "the server's end"

# A model that says the prompt again: the gate knows the words.
server_start server --key "$OPENAI_API_KEY" --echo || exit 1
printf 'encoding:\n  action: off\nrefused:\n  action: off\n' >gate.yaml
ask echo --captioner "$server_url" --gate gate.yaml --limit 25 --attempts 1 --json || fail "echo: $?"
grep -q '"captions":0,"rejected":{"prompt":25}' out || fail "the prompt as a caption: $(cat out)"
server_stop "$server_pid" || fail "the server's end"

# The key: in no file, no output.
if grep -rqF "Sesame" plain chaos out err bodies server.err; then fail "the key was written: $(grep -rlF Sesame .)"; fi

# A server that refuses the key ends the run at once, in its own words, without the key.
server_start server --key other || exit 1
ask none --captioner "$server_url" && fail "a wrong key was taken"
grep -q "HTTP 401" err || fail "no 401: $(cat err)"
grep -rqF Sesame err out && fail "the key is in the message"
server_stop "$server_pid"

# The key's file.
echo sk-from-file >key && chmod 644 key
ask none --captioner http://127.0.0.1:1/v1 --key-file key && fail "a key that all may read"
grep -q "chmod 600" err || fail "mode: $(cat err)"
chmod 600 key
server_start server --key sk-from-file || exit 1
ask file --captioner "$server_url" --key-file key --limit 5 || fail "key file"
server_stop "$server_pid"

# Nor in what a core dump would hold: all memory but that which is marked DONTDUMP ("dd").
python=${LENS_PYTHON:-/usr/bin/python3}
if command -v "$python" >/dev/null; then
    server_start server --latency-ms 60000 || exit 1
    OPENAI_API_KEY=sk-find-me-in-$$ "$lens" recaption set -o hang --model m --captioner "$server_url" >out 2>err &
    lens_pid=$!
    for ((i = 0; i < 500; i++)); do
        [ "$(server_stat "$server_port" requests_total)" = 0 ] || break
        read -rt 0.02 <> <(:) || true
    done
    "$python" - $lens_pid "sk-find-me-in-$$" <<'PY' || fail "the key is in memory that core dumps hold"
import re, sys
pid, key = sys.argv[1], sys.argv[2].encode()
found, kept_out, where = 0, 0, None
try:
    memory = open(f"/proc/{pid}/mem", "rb", 0)
except PermissionError:
    sys.exit(0)  # no right to look
for line in open(f"/proc/{pid}/smaps"):
    head = re.match(r"([0-9a-f]+)-([0-9a-f]+) (r)\S+ .*?(\S*)$", line)
    if head:
        where = [int(head[1], 16), int(head[2], 16), head[4]]
        if where[1] - where[0] > 1 << 38:
            sys.exit(0)  # the shadow of a sanitizer, which keeps copies of its own and lets no core be dumped
    elif line.startswith("VmFlags:") and where:
        try:
            memory.seek(where[0])
            n = memory.read(where[1] - where[0]).count(key)
        except (OSError, ValueError, OverflowError):
            n = 0
        if n and " dd" in line:
            kept_out += n
        elif n:
            found += n
            print("in", where[2] or "anonymous memory", n)
        where = None
sys.exit(found != 0 or kept_out != 1)
PY
    kill -KILL $lens_pid # not TERM, which lets what is in flight be answered
    wait $lens_pid 2>/dev/null
    server_stop "$server_pid"
fi

# Nobody there: gives up, and says who and why.
ask none --captioner http://127.0.0.1:1/v1 --give-up 1 && fail "nobody answered"
grep -q "no endpoint has answered for .*127.0.0.1:1/v1" err || fail "give up: $(cat err)"
"$lens" recaption set -o none --captioner http://127.0.0.1:1/v1 2>err && fail "without a model"
grep -q -- "--model" err || fail "model: $(cat err)"
ask none --captioner http://127.0.0.1:1/v1 --extra '{"stream":true}' && fail "stream"
grep -q '"stream" cannot be set' err || fail "extra: $(cat err)"
exit 0
