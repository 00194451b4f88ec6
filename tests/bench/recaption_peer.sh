#!/usr/bin/env bash
# Captions a second and CPU of CaptionFlow (PyPI caption-flow, its OpenAI-compatible worker) and of lens recaption, asking
# the same caption-server for the same pictures: JPEG of 512 x 512 px in a folder. Prints a markdown table.
#   tests/bench/recaption_peer.sh PYTHON [LENS] [N] [CONCURRENCY] [LATENCY_MS]
# PYTHON: of a virtual environment with caption-flow 0.5.7, which wants Python 3.12; it also runs under 3.11:
#   python3 -m venv peers && peers/bin/pip install caption-flow       # up to 0.5.4 there, for what it depends on
#   peers/bin/pip install --no-deps --ignore-requires-python caption-flow==0.5.7 trainingsample==0.3.2
#   peers/bin/pip install 'websockets>=16,<17' 'fastapi<0.137' uvicorn psutil certbot
# Each begins at its full concurrency as far as it can: CaptionFlow's initial_concurrency is set to the most. The rate is
# over the middle half of the requests, so that neither start nor end counts; the CPU is of all processes of a side, over
# the same time. lens begins at 8 in flight and finds out the rest: from 2,000 pictures on that is over by the first
# quarter. The server's captions name no colours or counts, so lens decodes no picture; one whose caption does costs 2 to
# 6 ms more (test_quality_labelled --speed).
set -euo pipefail
root=$(cd "$(dirname "$0")/../.." && pwd)
python=$(cd "$(dirname "${1:?usage: recaption_peer.sh PYTHON [LENS] [N] [CONCURRENCY] [LATENCY_MS]}")" && pwd)/$(basename "$1")
lens=$(realpath "${2:-$root/build/release/lens}")
n=${3:-2000}
concurrency=${4:-64}
latency=${5:-200}
# shellcheck source-path=SCRIPTDIR source=../e2e/server.sh
. "$root/tests/e2e/server.sh"
work=$(mktemp -d)
started=()
clean() {
    for pid in "${started[@]}"; do kill -- "-$pid" 2>/dev/null || true; done
    rm -rf "$work"
}
trap clean EXIT
cd "$work"
mkdir pictures
"$python" - "$n" <<'PY'
import sys
import numpy, PIL.Image
for i in range(int(sys.argv[1])):
    # Noise of 32 x 32 px enlarged, and a little of 512: about 30 KB at quality 85.
    rng = numpy.random.default_rng(i)
    coarse = PIL.Image.fromarray(rng.integers(0, 256, (32, 32, 3), dtype=numpy.uint8)).resize((512, 512), PIL.Image.BICUBIC)
    noise = rng.normal(0, 5, (512, 512, 1))
    pixels = numpy.clip(numpy.asarray(coarse, dtype=float) + noise, 0, 255).astype(numpy.uint8)
    PIL.Image.fromarray(pixels).save(f"pictures/{i:06}.jpg", quality=85)
PY
echo "$n pictures of $(($(cat pictures/* | wc -c) / n)) bytes, concurrency $concurrency, latency $latency ms" \
    "(at most $((1000 * concurrency / latency)) captions a second); load $(cut -d ' ' -f 1 /proc/loadavg)"
server_start server --latency-ms "$latency"

# CPU seconds of every process in the sessions of these leaders, with those that have ended under them. A process may end
# while all are read.
cpu_of() {
    local pattern=" $* "
    { cat /proc/[0-9]*/stat 2>/dev/null || true; } | sed 's/.*) //' | awk -v ids="$pattern" -v hz="$(getconf CLK_TCK)" \
        'index(ids, " " $4 " ") { t += $12 + $13 + $14 + $15 } END { printf "%.2f\n", t / hz }'
}
# launch NAME COMMAND...: in a session of its own, whose number goes into `started`.
launch() {
    local name=$1
    shift
    setsid "$@" >"$name.out" 2>&1 </dev/null &
    started+=($!)
}
# answered FROM N: waits until N answers are out since there were FROM; prints the time.
answered() {
    local now end=$((SECONDS + 600))
    while now=$(server_stat "$server_port" answers_sent_total) && [ "${now%.*}" -lt $(($1 + $2)) ]; do
        [ $SECONDS -lt $end ] || { echo "FAILED: $now answers after ten minutes" >&2; tail -5 ./*.out >&2; return 1; }
        sleep 0.05
    done
    echo "$now $(date +%s.%N)"
}
# measure NAME FROM PID...: from a quarter to three quarters.
measure() {
    local name=$1 from=$2 n0 t0 n1 t1 c0 c1
    shift 2
    read -r n0 t0 < <(answered "$from" $((n / 4)))
    c0=$(cpu_of "$@")
    read -r n1 t1 < <(answered "$from" $((n * 3 / 4)))
    c1=$(cpu_of "$@")
    awk -v name="$name" -v n="$((n1 - n0))" -v t="$(awk "BEGIN { print $t1 - $t0 }")" -v c="$(awk "BEGIN { print $c1 - $c0 }")" \
        'BEGIN { printf "| %s | %.0f | %.2f | %.2f |\n", name, n / t, c / t, 1000 * c / n }'
}
echo
echo '| what | captions/s | cores | CPU seconds a 1,000 captions |'
echo '| --- | --- | --- | --- |'

# ---- CaptionFlow: an orchestrator and a worker; from the folder, which the orchestrator serves picture by picture over
# HTTP, and from a tar that the worker reads itself ----
export CAPTIONFLOW_LOG_LEVEL=WARNING
version=$("$python" -c 'from importlib.metadata import version; print(version("caption-flow"))')
flow=$(dirname "$python")/caption-flow
# caption_flow NAME PROCESSOR PATH
caption_flow() {
    local from
    cat >"$2.yaml" <<YAML
orchestrator:
  host: 127.0.0.1
  port: 18765
  chunk_size: 250
  chunks_per_request: 2
  cache_dir: $work/flow-cache
  dataset:
    processor_type: $2
    dataset_path: $3
    http_bind_address: 127.0.0.1
    http_port: 18766
    name: pictures
  inference:
    model: test-model
    batch_size: $((2 * concurrency))
    sampling: {temperature: 0.7, max_tokens: 300}
    inference_prompts: ["Describe the picture in one dense paragraph."]
  storage:
    data_dir: $work/$2
    checkpoint_dir: $work/$2-checkpoints
    checkpoint_interval: 1000
    caption_buffer_size: 100
  auth:
    worker_tokens: [{token: token, name: worker}]
YAML
    cat >worker.yaml <<YAML
worker:
  server: ws://127.0.0.1:18765
  token: token
  name: worker
  openai_compatible:
    batch_size: $((2 * concurrency))
    endpoints:
      - {name: server, base_url: "$server_url", api_key_env: TEST_KEY, model: test-model,
         initial_concurrency: $concurrency, max_concurrency: $concurrency}
YAML
    from=$(server_stat "$server_port" answers_sent_total)
    launch orchestrator "$flow" orchestrator --config "$2.yaml" --no-ssl
    for _ in $(seq 600); do
        if (: <>/dev/tcp/127.0.0.1/18765) 2>/dev/null; then break; fi
        sleep 0.1
    done
    TEST_KEY=none launch worker "$flow" worker --config worker.yaml --openai-compatible
    measure "$1" "${from%.*}" "${started[@]}"
    for pid in "${started[@]}"; do
        kill -- "-$pid" 2>/dev/null || true
        wait "$pid" || true
    done
    started=()
}
mkdir tars
(cd pictures && tar cf ../tars/pictures.tar ./*.jpg --transform 's|^\./||')
"$(dirname "$python")/webshart" extract-metadata --source "$work/tars" --destination "$work/tars" >webshart.out 2>&1
caption_flow "CaptionFlow $version, folder" local_filesystem "$work/pictures"
caption_flow "CaptionFlow $version, tar" webdataset "$work/tars"

# ---- lens ----
"$lens" ingest pictures -o set >/dev/null
from=$(server_stat "$server_port" answers_sent_total)
launch lens "$lens" recaption set -o layers --captioner "$server_url" --model test-model --concurrency "$concurrency"
measure 'lens recaption' "$from" "${started[@]}"
wait "${started[@]}" || { echo "FAILED: lens recaption" >&2; tail -5 lens.out >&2; exit 1; }
started=()
