#!/usr/bin/env bash
# Real input, end to end: Debian's openclipart-png (over 8,000 clip-art pictures) through ingest, recaption, training and samples.
# Usage: tests/bench/openclipart.sh [LENS] [FOLDER]; the figures go to docs/benchmarks.md.
set -euo pipefail
root=$(cd "$(dirname "$0")/../.." && pwd)
lens=$(realpath "${1:-$root/build/release/lens}")
out=${2:-$(mktemp -d)}
[ -d /usr/share/openclipart/png ] || { echo "needs Debian's package openclipart-png" >&2; exit 1; }
mkdir -p "$out"
cd "$out"
stage() { echo "== lens $*"; local begin=$SECONDS; "$lens" "$@"; echo "-- $((SECONDS - begin)) s"; }
stage ingest /usr/share/openclipart/png -o clipart --max-side 256
stage recaption clipart --captioner describe
stage shards stat clipart
stage train "$root/configs/nano.yaml" data.dataset=clipart run.dir=run train.steps=300
printf '%s\n' "a red apple on a white background" "a yellow star" "a blue fish" "a green leaf" >prompts.txt
stage sample run/checkpoints/latest --prompts prompts.txt -n 4 -o samples.png
echo "== first and last loss, mean of 20 steps each"
"${LENS_PYTHON:-/usr/bin/python3}" - <<'PY'
import json
loss = [json.loads(line)["loss"] for line in open("run/metrics.jsonl")]
print(f"step 1: {loss[0]:.4f}; steps 1-20: {sum(loss[:20]) / 20:.4f}; steps {len(loss) - 19}-{len(loss)}: {sum(loss[-20:]) / 20:.4f}")
PY
echo "$out"
