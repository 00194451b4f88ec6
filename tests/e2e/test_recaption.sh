#!/usr/bin/env bash
# lens recaption as a whole program: a layer for scenes, the same for any number of threads, resumed, and its errors.
set -eu
lens=$1
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
fail() {
    echo "FAILED: $*"
    exit 1
}
expect() { # STATUS TEXT COMMAND...
    local status=0 want=$1 text=$2
    shift 2
    "$@" >"$work/out" 2>"$work/err" || status=$?
    [ $status = "$want" ] || fail "$*: status $status, expected $want: $(cat "$work/err")"
    [ "$(wc -l <"$work/err")" = 1 ] || fail "$*: more than one line: $(cat "$work/err")"
    grep -q -- "$text" "$work/err" || fail "$*: no '$text' in: $(cat "$work/err")"
}

$lens scenes -n 150 --seed 3 --shard-samples 60 -o "$work/set" >/dev/null
find "$work/set/base" -type f -exec sha256sum {} + | sort >"$work/before"

$lens recaption "$work/set" --threads 1 >"$work/summary"
grep -q "150 captions in 3 shards" "$work/summary" || fail "summary: $(cat "$work/summary")"
grep -q rejected "$work/summary" && fail "the describer was rejected: $(cat "$work/summary")"
$lens recaption "$work/set" -o "$work/other" --threads 4 --json >"$work/json"
grep -q '"shards_written":3,"shards_skipped":0,"shards_left":0,"samples":150,"answers":[0-9]*,"kinds":{"dense":{"captions":150,"rejected":{}' "$work/json" ||
    fail "json: $(cat "$work/json")"
[ ! -e "$work/other/base" ] || fail "pictures were copied"
diff -r "$work/set/dense" "$work/other/dense" || fail "four threads, other bytes"
find "$work/set/base" -type f -exec sha256sum {} + | sort | cmp - "$work/before" || fail "base shards changed"

cp "$work/set/dense/shard-00001.h5" "$work/kept.h5"
rm "$work/set/dense/shard-00001.h5"
$lens recaption "$work/set" >"$work/summary"
grep -q "60 captions in 1 shards, 2 shards were there already" "$work/summary" || fail "resume: $(cat "$work/summary")"
cmp "$work/set/dense/shard-00001.h5" "$work/kept.h5" || fail "the resumed shard differs"

$lens shards verify "$work/set" >/dev/null || fail "the layer does not verify"
for i in $(seq 0 149); do $lens shards cat "$work/set" "$i" --json; done >"$work/captions"
grep -o '"dense":"[^"]*' "$work/captions" >"$work/dense"
[ "$(wc -l <"$work/dense")" = 150 ] || fail "captions printed: $(wc -l <"$work/dense")"
[ "$(sort -u "$work/dense" | wc -l)" = 150 ] || fail "two scenes share a caption"
awk '{ if (NF < 40 || NF > 120) { print NF ": " $0; bad = 1 } } END { exit bad }' "$work/dense" || fail "length"

expect 2 "unknown captioner 'nobody'; there are: describe" $lens recaption "$work/set" --captioner nobody
expect 2 'kinds: "Dense_2": expected a name of a to z' $lens recaption "$work/set" --kinds brief,Dense_2
expect 2 "detailed captions of kind dense, not .brief." $lens recaption "$work/set" --kinds brief
expect 2 "expected one DATASET" $lens recaption
expect 2 "above --max-words" $lens recaption "$work/set" --min-words 90 --max-words 80
expect 1 "$work/none" $lens recaption "$work/none"
