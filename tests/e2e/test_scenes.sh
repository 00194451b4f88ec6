#!/usr/bin/env bash
# lens scenes as a whole program: same seed, same bytes; another seed, other bytes; nothing is overwritten.
set -eu
lens=$1
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
fail() {
    echo "FAILED: $*"
    exit 1
}

$lens scenes -n 200 --seed 1 --shard-samples 90 --captions -o "$work/a" >"$work/summary"
sleep 1.1 # a time that slipped into a file would show
$lens scenes -n 200 --seed 1 --shard-samples 90 --captions -o "$work/b" >/dev/null
diff -r "$work/a" "$work/b" || fail "same seed, other bytes"
for kind in base truth-brief truth-dense; do
    [ "$(ls "$work/a/$kind" | wc -l)" = 3 ] || fail "$kind: expected 3 shards"
done
grep -q "^scenes    200 of 64 x 64 px, seed 1, in 3 shards" "$work/summary" || fail "summary: $(cat "$work/summary")"
grep -q "truth-dense" "$work/summary" || fail "summary lacks the layers"

$lens scenes -n 200 --seed 2 --shard-samples 90 -o "$work/c" >/dev/null
[ ! -e "$work/c/truth-dense" ] || fail "captions that nobody asked for"
for i in 0 1 2; do
    cmp -s "$work/a/base/shard-0000$i.h5" "$work/c/base/shard-0000$i.h5" && fail "other seed, same bytes"
done

sum=$(sha256sum "$work/c/base/shard-00000.h5")
status=0
$lens scenes -n 10 -o "$work/c" 2>/dev/null || status=$?
[ $status = 1 ] || fail "a folder that holds shards: status $status, expected 1"
[ "$sum" = "$(sha256sum "$work/c/base/shard-00000.h5")" ] || fail "a shard was overwritten"
