#!/usr/bin/env bash
# lens recaption --batch-out and --batch-in: rounds with a service that loses, doubles and shuffles results end in the layers
# of an online run; limits of files; result files that are refused; mixing with an online run.
set -u
lens=$(realpath "$1")
service=$(realpath tests/e2e/batch_service.py)
# shellcheck source-path=SCRIPTDIR source=server.sh
. tests/e2e/server.sh
python=${LENS_PYTHON:-/usr/bin/python3}
command -v "$python" >/dev/null || { echo 'skipped: python3 is not installed'; exit 77; }
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work" || exit 1
fail() {
    echo "FAILED: $*"
    tail -3 out err server.err 2>/dev/null
    exit 1
}
ask() { # OUT [OPTION]...
    local out=$1
    shift
    "$lens" recaption set -o "$out" --model test-model --kinds dense=detailed,tags=tags --min-words 1 --max-words 1000 \
        --threads 2 --price-in 1 --price-out 2 "$@" >out 2>err
}
refused() { # TEXT COMMAND...
    local text=$1
    shift
    if "$@"; then fail "$*: was taken"; fi
    grep -q -- "$text" err || fail "$*: no '$text'"
}
"$lens" scenes -n 60 --seed 5 --shard-samples 25 -o set >/dev/null || fail scenes
server_start server --bad-rate 0.3 --bodies bodies || exit 1
ask online --captioner "$server_url" --json || fail "online: $?"
grep -q '"retried":[1-9]' out || fail "nothing was asked twice: $(cat out)"
cp bodies online-bodies

# Rounds: each takes the results of all before, and writes what is open, in files of 20 requests.
results=
for ((round = 0; ; round++)); do
    [ $round -lt 20 ] || fail "$round rounds were not enough"
    ask batch --batch-out "round-$round" --batch-requests 20 ${results:+--batch-in "$results"} --json || fail "round $round: $?"
    [ -e "round-$round-00000.jsonl" ] || break
    for file in "round-$round"-*.jsonl; do
        [ "$(wc -l <"$file")" -le 20 ] || fail "$file: $(wc -l <"$file") requests"
    done
    "$python" "$service" "http://127.0.0.1:$server_port" "result-$round" $round "round-$round"-*.jsonl || fail "service"
    results=${results:+$results,}result-$round-output.jsonl,result-$round-errors.jsonl
done
[ $round -gt 2 ] || fail "$round rounds tell nothing"
diff -r -x stats.json online batch || fail "batches changed what was written"
[ ! -e batch/.recaption ] || fail "work is left: $(ls -A batch/.recaption)"
"$python" - round-*.jsonl <<'PY' || fail "bodies differ from those of an online run"
import json, sys
same = lambda body: json.dumps(body, sort_keys=True)
online = {same(json.loads(line)) for line in open("online-bodies")}
assert online == {same(json.loads(line)["body"]) for path in sys.argv[1:] for line in open(path)}
PY
"$python" - <<'PY' || fail "the account differs"
import json
online, batch = json.load(open("online/stats.json")), json.load(open("batch/stats.json"))
for name in ("tokens_in", "tokens_out"):
    assert online[name] == batch[name] > 0, (name, online[name], batch[name])
PY

# A second --batch-out repeats what is open; bytes bound a file too.
ask open --batch-out first || fail "batch-out: $?"
ask open --batch-out second --batch-bytes 60000 || fail "batch-out: $?"
cmp <(sort first-*.jsonl) <(sort second-*.jsonl) || fail "a second --batch-out differs"
for file in second-*.jsonl; do
    [ "$(stat -c %s "$file")" -le 60000 ] || fail "$file: $(stat -c %s "$file") bytes"
done
[ -e second-00001.jsonl ] || fail "--batch-bytes split nothing"
refused "first-00000.jsonl: is there already" ask open --batch-out first
refused "a file may have 100 (--batch-bytes)" ask open --batch-out third --batch-bytes 100
[ ! -e third-00000.jsonl ] || fail "an empty file was left"

# Half by batch, the rest online.
mkdir results
"$python" "$service" "http://127.0.0.1:$server_port" results/r 0 first-00000.jsonl || fail "service"
ask open --batch-in results || fail "batch-in: $?"
grep -q 'requests without an answer' out || fail "summary: $(cat out)"
ask open --captioner "$server_url" || fail "the rest online: $?"
diff -r -x stats.json online open || fail "a batch and an online run together changed what was written"

# A request that the service calls malformed, and one that its filter stops, are the picture's fault.
one=("$lens" recaption set -o one --model test-model --kinds dense --limit 2 --json)
"${one[@]}" --batch-out asked >out 2>err || fail "batch-out: $?"
"$python" - <<'PY'
import json
with open("faults.jsonl", "w") as out:
    for line, code in zip(open("asked-00000.jsonl"), (None, "content_filter")):
        body = {"error": {"message": "no", "code": code}}
        response = {"status_code": 400, "request_id": "r", "body": body}
        print(json.dumps({"custom_id": json.loads(line)["custom_id"], "response": response, "error": None}), file=out)
PY
"${one[@]}" --batch-in faults.jsonl --batch-out next >out 2>err || fail "faults: $?"
grep -q '"answers":1,' out || fail "the malformed request is not settled: $(cat out)"
grep -q '"requests":1,' out || fail "the filtered one does not go out again: $(cat out)"
grep -q -- '-dense-1-' next-00000.jsonl || fail "nor as its second attempt: $(cut -c1-60 next-00000.jsonl)"

# Results of another question, another set, or none at all: refused, and nothing is recorded.
refused "another question" ask none --batch-in results --temperature 0.5
refused "which --kinds does not name" ask none --batch-in results --kinds dense=detailed
"$lens" scenes -n 60 --seed 6 --shard-samples 25 -o other >/dev/null || fail scenes
refused "another question" "$lens" recaption other -o none --model test-model --kinds dense,tags --batch-in results 2>err
(printf 'no JSON\n' && cat results/r-output.jsonl) >wrong.jsonl
refused "wrong.jsonl:1: no JSON" ask none --batch-in wrong.jsonl
echo '{"custom_id":"mine","response":{"status_code":200,"body":{}},"error":null}' >wrong.jsonl
refused "wrong.jsonl:1: custom_id 'mine' is none of lens recaption's" ask none --batch-in wrong.jsonl
refused "none.jsonl: cannot open" ask none --batch-in none.jsonl
refused "leave out --captioner" ask none --batch-in results --captioner "$server_url"
[ ! -e none/.recaption ] || fail "a refused file left something behind"
server_stop "$server_pid" || fail "the server's end"
exit 0
