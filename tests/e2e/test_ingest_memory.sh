#!/usr/bin/env bash
# lens ingest keeps to its memory budget with pictures that do not fit into it at once, names one that does not fit alone,
# and refuses bombs by their headers.
set -u
lens=$1
# shellcheck source-path=SCRIPTDIR source=ingest.sh
. "$(dirname "$0")/ingest.sh"
bench=$here/../bench
command -v python3 >/dev/null || { echo 'skipped: no python3 to make pictures'; exit 77; }
"$lens" --version | grep -q sanitizers && { echo 'skipped: the sanitizers need memory of their own'; exit 77; }

mkdir small large
python3 "$bench/large_pictures.py" small 64 0 48
python3 "$bench/large_pictures.py" large 4000 8 40

# peak DIR SET MIB: runs with four threads, prints the peak in MiB.
peak() {
    "$bench/peak_rss.py" "$lens" ingest "$1" -o "$2" --threads 4 --max-side 256 --memory-mb "$3" | tail -1
}
# What a run takes besides its budget.
base=$(peak small small-set 64)
# A picture of 4000 x 4000 px takes 46 MiB: two of them 92, four 184.
for budget in 64 128; do
    got=$(peak large "set-$budget" $budget)
    echo "budget $budget MiB: peak $got MiB, $base MiB of it without large pictures"
    [ "$got" -le $((base + budget)) ] || fail "a budget of $budget MiB: $got MiB, $base of it without large pictures"
    [ "$(wc -l <"set-$budget/rejects.jsonl")" = 0 ] || fail "a budget of $budget MiB: rejects"
done
cmp -s set-64/base/shard-00000.h5 set-128/base/shard-00000.h5 && fail 'the provenance hides the budget'

python3 "$bench/large_pictures.py" large 5000 1 0
printf '\x89PNG\r\n\x1a\n\0\0\0\x0dIHDR\0\0\xea\x60\0\0\xea\x60\x08\x02\0\0\0\0\0\0\0' >large/bomb.png
got=$(peak large set-too-large 64)
[ "$got" -le $((base + 64)) ] || fail "too large: $got MiB"
grep -q '"key":"00000","class":"cannot decode","reason":"5000 x 5000 px: needs [0-9]* MiB of memory, the budget is 64 MiB"' \
    set-too-large/rejects.jsonl || fail 'no reject of what is too large'
grep -q '"key":"bomb","class":"cannot decode".*60000 x 60000 px is too large' set-too-large/rejects.jsonl || fail 'no bomb'

[ $failures = 0 ]
