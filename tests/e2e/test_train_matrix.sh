#!/usr/bin/env bash
# The same losses however the work is shared out: 1 to 4 ranks, ZeRO 0 to 2, one or two micro-batches, activations kept
# or made again, over batches of several sizes; and where no caption is left, so that many weights have no gradient.
# LENS_LONG=1 tries every combination, else each value of each.
set -eu
lens=$1
# shellcheck source-path=SCRIPTDIR source=train.sh
. "$(dirname "$0")/train.sh"
have_mpirun || { echo "skipped: mpirun is not installed"; exit 77; }
make_set
# Twelve batches a step of three areas, 8, 4 or 2 samples each: any of the worlds can share them.
sed -i 's/buckets: 16x12/buckets: 12x12,16x20,28x24/; s/  batch: 8/  batch: 8,4,2\n  slots: 12\n  group_mb: 0/' tiny.yaml

run() { # RANKS ZERO ACCUMULATE CHECKPOINTING
    train_ranks "$1" 0 "run-$1-$2-$3-$4" train.zero="$2" train.accumulate="$3" train.checkpointing="$4"
}
run 1 0 1 none
if [ -n "${LENS_LONG:-}" ]; then
    for ranks in 1 2 3 4; do
        for zero in 0 1 2; do
            for accumulate in 1 2; do
                for mode in none selective full; do
                    [ -d "run-$ranks-$zero-$accumulate-$mode" ] || run $ranks $zero $accumulate $mode
                done
            done
        done
    done
else
    run 1 2 2 full
    run 2 0 1 selective
    run 2 1 2 none
    run 2 2 1 full
    run 3 0 2 full
    run 3 1 1 selective
    run 3 2 2 none
    run 4 0 2 selective
    run 4 1 1 full
    run 4 2 2 none
fi

silent() { # RANKS ZERO ACCUMULATE: no text at all
    train_ranks "$1" 0 "silent-$1-$2-$3" train.zero="$2" train.accumulate="$3" data.caption_dropout=1 train.steps=10
}
silent 1 0 1
silent 1 0 2
silent 2 1 2
silent 2 2 1
silent 2 2 2

# Measured over all 72: 1.7e-8 for losses, 6e-8 for norms.
"$python" - run-*/metrics.jsonl silent-*/metrics.jsonl <<'PY'
import json, sys
TOLERANCE = {"loss": 7e-8, "grad_norm": 2.4e-7}
runs = {name: [json.loads(line) for line in open(name)] for name in sys.argv[1:]}
worst = dict.fromkeys(TOLERANCE, 0)
for kind in "run", "silent":
    one = runs.pop({"run": "run-1-0-1-none", "silent": "silent-1-0-1"}[kind] + "/metrics.jsonl")
    assert len({row["images"] - before["images"] for before, row in zip(one, one[1:])}) > 3, "steps hold many sizes"
    for name, rows in runs.items():
        if not name.startswith(kind): continue
        assert [(r["step"], r["images"]) for r in rows] == [(r["step"], r["images"]) for r in one], name
        for key, limit in TOLERANCE.items():
            off = max(abs(a[key] - b[key]) / abs(a[key]) for a, b in zip(one, rows))
            worst[key] = max(worst[key], off)
            assert off <= limit, f"{name}: {key} is off by {off:.1e}, at most {limit:.1e}"
print(f"{len(runs)} runs, worst relative differences: {worst}")
PY
