#!/usr/bin/env bash
# lens train by 1, 2 and 4 ranks: the same losses up to the order of a sum. By 1 or 3 decoding threads: to the bit.
set -eu
lens=$1
# shellcheck source-path=SCRIPTDIR source=train.sh
. "$(dirname "$0")/train.sh"
make_set

train 0 one
train 0 threads data.threads=3 data.prefetch=1
same_numbers one threads 1 20
same_checkpoint one threads

have_mpirun || { echo "skipped: mpirun is not installed"; exit 77; }
for n in 2 4; do
    train_ranks $n 0 ranks-$n
done
# Measured: 4e-9 for losses, 2.8e-8 for norms.
"$python" - one ranks-2 ranks-4 <<'PY'
import json, sys
TOLERANCE = 1e-7
runs = {name: [json.loads(line) for line in open(name + "/metrics.jsonl")] for name in sys.argv[1:]}
one, failed = runs.pop("one"), False
for name, rows in runs.items():
    if [r["step"] for r in rows] != list(range(1, 21)): sys.exit(f"{name}: steps {[r['step'] for r in rows]}")
    for key in "loss", "grad_norm":
        worst = max(abs(a[key] - b[key]) / abs(a[key]) for a, b in zip(one, rows))
        print(f"{name}: {key} of 20 steps, worst relative difference {worst:.1e}")
        failed |= not worst <= TOLERANCE
if one[0]["loss"] == one[1]["loss"]: sys.exit("the loss does not move: nothing was compared")
sys.exit(f"FAILED: beyond {TOLERANCE}" if failed else 0)
PY
# Every rank took its own part: a world's size is on record.
grep -q '"world": 4' ranks-4/run.json || fail "run.json: $(cat ranks-4/run.json)"
