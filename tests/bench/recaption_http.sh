#!/usr/bin/env bash
# How near the captioner `openai` comes to what latency allows, what it costs, and whether its memory stays flat: made-up
# pictures against caption-server. By Little's law LATENCY and CONCURRENCY allow CONCURRENCY / LATENCY answers a second.
#   tests/bench/recaption_http.sh [LENS] [REQUESTS] [CONCURRENCY] [LATENCY_MS] [BYTES OF A PICTURE]
set -euo pipefail
root=$(cd "$(dirname "$0")/../.." && pwd)
lens=$(realpath "${1:-$root/build/release/lens}")
requests=${2:-100000}
concurrency=${3:-256}
latency_ms=${4:-200}
bytes=${5:-20000}
# shellcheck source-path=SCRIPTDIR source=../e2e/server.sh
. "$root/tests/e2e/server.sh"
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work"
server_start server --latency-ms "$latency_ms"
"$(dirname "$lens")/ask-captioner" "$server_url" "$requests" "$bytes" "$concurrency" | tee result
server_cpu=$(server_stat "$server_port" cpu_seconds_total)
server_stop "$server_pid"
awk -F'[:,}]' -v c="$concurrency" -v ms="$latency_ms" -v n="$requests" -v server="$server_cpu" '{
    for (i = 1; i < NF; i++) v[$i] = $(i + 1)
    printf "%.1f answers/s, %.1f %% of the %.0f that latency allows; per 1,000 requests %.3f s of CPU, of which %.3f s bodies (the server: %.3f s)\n",
        v["\"per_s\""], 100 * v["\"per_s\""] / (1000 * c / ms), 1000 * c / ms, v["\"cpu_s_per_1000\""],
        v["\"bodies_cpu_s_per_1000\""], 1000 * server / n }' result
