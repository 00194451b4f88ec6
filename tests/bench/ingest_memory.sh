#!/usr/bin/env bash
# Peak memory of lens ingest with ten pictures of 12,000 x 12,000 px (412 MiB each) among small ones.
# usage: ingest_memory.sh PATH_OF_LENS [THREADS]
set -eu
lens=$(realpath "$1")
threads=${2:-4}
bench=$(realpath "$(dirname "$0")")
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
mkdir "$work/small" "$work/large"
"$bench/large_pictures.py" "$work/small" 64 0 40
"$bench/large_pictures.py" "$work/large" 12000 10 30
peak() {
    "$bench/peak_rss.py" "$lens" ingest "$work/$1" -o "$work/$1-$2" --threads "$threads" --max-side 1024 --memory-mb "$2" |
        tail -1
}
base=$(peak small 512)
echo "small pictures alone: $base MiB"
for budget in 512 1024 2048; do
    got=$(peak large $budget)
    echo "budget $budget MiB, $threads threads: peak $got MiB"
    [ "$got" -le $((base + budget)) ] || { echo 'FAILED: beyond the budget'; exit 1; }
done
