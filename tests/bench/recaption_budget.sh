#!/usr/bin/env bash
# How near to its budget a run ends: spent of what was allowed, by requests in flight, share of bad answers and ranks.
#   tests/bench/recaption_budget.sh [build/release/lens]
# Needs caption-server beside lens. Prices are such that all of the set costs about 100 USD.
set -eu
root=$(cd "$(dirname "$0")/../.." && pwd)
lens=$(realpath "${1:-$root/build/release/lens}")
# shellcheck source-path=SCRIPTDIR source=../e2e/server.sh
. "$root/tests/e2e/server.sh"
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work"
export OMPI_ALLOW_RUN_AS_ROOT=1 OMPI_ALLOW_RUN_AS_ROOT_CONFIRM=1
"$lens" scenes -n 2000 --seed 5 --shard-samples 100 -o set >/dev/null
printf '%-9s %-9s %-6s %-10s %-10s %s\n' in-flight bad-rate ranks budget spent 'of it'
for bad in 0 0.3; do
    server_start server --latency-ms 50 --bad-rate "$bad"
    for setting in 16:1 256:1 256:3; do
        for budget in 2 10 40; do
            rm -rf out
            mpirun --oversubscribe -np "${setting#*:}" "$lens" recaption set -o out --model m --captioner "$server_url" \
                --concurrency "${setting%:*}" --min-words 1 --max-words 1000 --price-in 50 --price-out 200 \
                --budget "${budget}USD" >log 2>&1 || true
            spent=$(grep -oE '"usd":[0-9.]+' out/stats.json | cut -d: -f2)
            awk -v c="${setting%:*}" -v r="${setting#*:}" -v bad="$bad" -v b="$budget" -v s="$spent" \
                'BEGIN { printf "%-9s %-9s %-6s %-10.2f %-10.4f %.2f %%\n", c, bad, r, b, s, 100 * s / b }'
        done
    done
    server_stop "$server_pid"
done
