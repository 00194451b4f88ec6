#!/usr/bin/env bash
# How many requests a second caption-server answers, and at what CPU: wrk (Debian) with bodies of 30 KB, pictures of
# 22,500 random bytes. Prints the CPU time a request takes, which a busy machine changes less than the rate.
#   tests/bench/caption_server.sh [LENS] [CONNECTIONS] [SECONDS] [OPTION OF THE SERVER]...
set -euo pipefail
root=$(cd "$(dirname "$0")/../.." && pwd)
lens=$(realpath "${1:-$root/build/release/lens}")
connections=${2:-64}
seconds=${3:-5}
shift $(($# < 3 ? $# : 3))
command -v wrk >/dev/null || { echo "skipped: no wrk (apt-get install wrk)"; exit 77; }
# shellcheck source-path=SCRIPTDIR source=../e2e/server.sh
. "$root/tests/e2e/server.sh"
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work"
for i in $(seq 50); do
    { printf '\xff\xd8\xff\xe0' && head -c 22496 /dev/urandom; } | base64 -w 0 >"picture-$i"
done
cat >ask.lua <<'LUA'
wrk.method = "POST"
wrk.headers["Content-Type"] = "application/json"
local bodies, n = {}, 0
for i = 1, 50 do
    local file = io.open("picture-" .. i)
    bodies[i] = '","messages":[{"role":"system","content":"Describe the picture."},{"role":"user","content":[' ..
        '{"type":"text","text":"Alt-text: a bench"},{"type":"image_url","image_url":{"url":"data:image/jpeg;base64,' ..
        file:read("*a") .. '"}}]}],"max_tokens":300,"temperature":0.7,"seed":'
    file:close()
end
function request()
    n = n + 1
    return wrk.format(nil, "/v1/chat/completions", nil, '{"model":"m' .. bodies[n % 50 + 1] .. n .. "}")
end
LUA
server_start server "$@"
wrk -t 1 -c "$connections" -d "${seconds}s" --latency -s ask.lua "${server_url%/v1}" >wrk.out
grep -E 'Requests/sec|50%|99%|Non-2xx' wrk.out || true
for name in requests_total cpu_seconds_total received_bytes_total; do
    declare "$name=$(server_stat "$server_port" $name)"
done
server_stop "$server_pid"
awk -v n="$requests_total" -v cpu="$cpu_seconds_total" -v bytes="$received_bytes_total" 'BEGIN {
    printf "%d requests of %.1f KB, %.0f us of CPU each: %.0f a second on half a core\n",
        n, bytes / n / 1000, 1e6 * cpu / n, 0.5 * n / cpu }'
