#!/usr/bin/env bash
# lens caption-stats: the same figures by one thread and by four, the table, and what is refused.
set -u
lens=$(realpath "$1")
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work" || exit 1
fail() {
    echo "FAILED: $*"
    tail -3 err 2>/dev/null
    exit 1
}
"$lens" scenes -n 90 --seed 5 --shard-samples 20 -o set >/dev/null || fail scenes
"$lens" recaption set >/dev/null 2>err || fail recaption
"$lens" caption-stats set --json --threads 1 >one 2>err || fail "one thread: $?"
"$lens" caption-stats set --json --threads 4 -o file >four 2>err || fail "four threads: $?"
cmp one four || fail "threads change figures"
cmp one file 2>/dev/null || diff <(cat file; echo) one || fail "the file differs"
grep -q '"dense":{"captions":90,"empty":0,"words_mean":' one || fail "captions: $(cut -c1-300 one)"
"$lens" caption-stats set --kinds dense,alt >out 2>err || fail "table: $?"
grep -qE '^captions +90 +88$' out || fail "table: $(cat out)"
"$lens" caption-stats set --kinds dense,nothing >out 2>err && fail "an unknown kind was taken"
grep -q "'nothing'" err || fail "unknown kind: $(cat err)"

# The report shows them, and says where they are damaged.
"$lens" caption-stats set -o set/caption-stats.json >/dev/null || fail "for the report: $?"
"$lens" report -d set -o page.html >/dev/null 2>err || fail "report: $?"
grep -q 'What captions hold' page.html || fail "not in the report"
echo '{"dense":{"captions":"<b>"}}' >set/caption-stats.json
"$lens" report -d set -o page.html >/dev/null 2>err || fail "report of damaged figures: $?"
grep -q 'What captions hold' page.html && fail "damaged figures are shown"
grep -q 'caption-stats.json: dense' page.html || fail "damage is not said"
