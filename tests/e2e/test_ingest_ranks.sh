#!/usr/bin/env bash
# lens ingest with 1, 2 and 4 threads and ranks: the same shards, rejects and counts, near-duplicates among them.
set -u
lens=$1
DETECT_LEAKS=0
# shellcheck source-path=SCRIPTDIR source=ingest.sh
. "$(dirname "$0")/ingest.sh"
make_input
sources=(in a.tar b.tar)

for n in 1 2 4; do
    "$lens" ingest "${sources[@]}" -o "threads-$n" --config config.yaml --threads $n >out 2>err || fail "$n threads"
    result "threads-$n" >"result-$n"
    cmp -s result-1 "result-$n" || fail "$n threads: another result: $(diff result-1 "result-$n")"
done
whole threads-1
for class in 'no picture' 'cannot decode' 'duplicate key' aspect blur near_duplicate; do
    grep -q "\"class\":\"$class\"" threads-1/rejects.jsonl || fail "no reject of the class $class"
done
grep -q '"class":"near_duplicate","reason":"perceptual hash [0-9a-f]* is 0 bits from [0-9a-f]*","value":0}' \
    threads-1/rejects.jsonl || fail 'a near-duplicate without its reason and value'
[ "$(find threads-1/base -name '*.h5' | wc -l)" -ge 3 ] || fail 'too few shards to tell anything'

# The order of the samples is that of the input.
"$lens" shards export threads-1 -o exported >out 2>err || fail export
for tar in exported/*.tar; do tar tf "$tar"; done | sed -n 's/\.webp$//p' >keys
LC_ALL=C sort -c <(grep -v / keys | head -20) || fail 'the keys of the folder are out of order'

# A dry run counts the same and writes nothing.
"$lens" ingest "${sources[@]}" --dry-run --json --config config.yaml --threads 2 >dry 2>err || fail 'dry run'
counts() {
    grep -o '"accepted":[0-9]*\|"read":[0-9]*\|"funnel".*' "$1"
}
cmp -s <(counts dry) <(counts threads-1/ingest.json) || fail 'a dry run counts differently'

command -v mpirun >/dev/null || { echo 'skipped: mpirun is not installed'; exit 77; }
for n in 2 4; do
    timeout 120 mpirun --oversubscribe -np $n "$lens" ingest "${sources[@]}" -o "ranks-$n" --config config.yaml \
        --threads 2 >out 2>err || fail "$n ranks"
    result "ranks-$n" >"result-ranks-$n"
    cmp -s result-1 "result-ranks-$n" || fail "$n ranks: another result"
    whole "ranks-$n"
done
timeout 60 mpirun --oversubscribe -np 2 "$lens" ingest nowhere -o none >out 2>err && fail 'ranks: a missing source'
[ "$(grep -c '^lens ingest: nowhere: ' err)" = 1 ] || fail 'ranks: expected one line'
timeout 60 mpirun --oversubscribe -np 2 "$lens" ingest - -o none >out 2>err </dev/null && fail 'ranks: standard input'
grep -q 'standard input cannot be read by 2 ranks' err || fail 'ranks: standard input'
[ ! -e none ] || fail 'a mistake left a folder'

[ $failures = 0 ]
