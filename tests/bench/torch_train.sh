#!/usr/bin/env bash
# `lens bench train` beside the same model, batch and shapes in PyTorch (torch_train.py), in turns; gradients compared first.
#   tests/bench/torch_train.sh [LENS] [ROUNDS] [THREADS] [KEY=VALUE...]    3 rounds of 2 threads; settings of configs/small.yaml
# LENS_TORCH_PYTHON: a python with torch and safetensors; else an environment is made, some 5 GB.
set -euo pipefail
root=$(cd "$(dirname "$0")/../.." && pwd)
lens=$(realpath "${1:-$root/build/release/lens}")
rounds=${2:-3}
threads=${3:-2}
[ $# -lt 3 ] && set -- || shift 3
settings=(data.buckets=64x64 "run.threads=$threads" "$@")
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
python=${LENS_TORCH_PYTHON:-$work/venv/bin/python}
if [ ! -x "$python" ]; then
    "${LENS_PYTHON:-/usr/bin/python3}" -m venv "$work/venv"
    "$python" -m pip install -q torch==2.15.0 safetensors==0.8.0 numpy==2.1.3 >&2
fi
export OMP_NUM_THREADS=$threads
"$lens" bench train "$root/configs/small.yaml" "${settings[@]}" --dump "$work/pass.safetensors"
"$python" "$root/tests/bench/torch_train.py" check "$work/pass.safetensors"
for ((i = 0; i < rounds; i++)); do
    "$lens" bench train "$root/configs/small.yaml" "${settings[@]}" --rounds 5 --json >>"$work/lens.json"
    "$python" "$root/tests/bench/torch_train.py" time "$work/pass.safetensors" 10 "$threads" >>"$work/torch.json" 2>"$work/log" ||
        { cat "$work/log" >&2; exit 1; }
done
"$python" - "$work/lens.json" "$work/torch.json" <<'PYTHON'
import json, statistics, sys
ours, theirs = ([json.loads(line) for line in open(path)] for path in sys.argv[1:])
batch, median = theirs[0]["batch"], statistics.median
rows = [("lens", [(o["step_s"], o["cpu_s"]) for o in ours])]
rows += [(f"torch {theirs[0]['torch']}, {n}", [(t[n]["step_s"], t[n]["cpu_s"]) for t in theirs]) for n in ("eager", "compile")]
print(f"G/T {median(o['ratio'] for o in ours):.2f}, by processor time {median(o['cpu_ratio'] for o in ours):.2f}")
print("| | images/s | lens is | images a second of processor time | lens is |\n| --- | --- | --- | --- | --- |")
for name, times in rows:
    wall, cpu = median(t[0] for t in times), median(t[1] for t in times)
    ratio = [median(t[i] / o[i] for t, o in zip(times, rows[0][1])) for i in (0, 1)]
    print(f"| {name} | {batch / wall:.2f} | {ratio[0]:.2f} | {batch / cpu:.2f} | {ratio[1]:.2f} |")
PYTHON
