#!/usr/bin/env bash
# The memory of a rank as planned (train/memory_plan.h) and as measured: peak of rank 0's resident memory over a few steps
# with a checkpoint, for configurations of at least 500 MB that differ in what they are full of. Exit status 1 where one
# is off by more than 5 %.
#   tests/bench/memory_plan.sh [LENS]
set -eu
root=$(cd "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd)
lens=$(realpath "${1:-$root/build/release/lens}")
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work"
if [ "$(id -u)" = 0 ]; then export OMPI_ALLOW_RUN_AS_ROOT=1 OMPI_ALLOW_RUN_AS_ROOT_CONFIRM=1; fi
"$lens" scenes -n 200 --seed 1 --size 32 --captions -o set >/dev/null 2>&1

status=0
case_() { # NAME RANKS KEY=VALUE...
    local name=$1 ranks=$2 line
    shift 2
    rm -rf run
    mpirun --oversubscribe -np "$ranks" "$lens" train "$root/configs/nano.yaml" data.dataset=set data.captions=truth-dense \
        run.dir=run train.steps=2 train.warmup=1 "$@" >out.txt 2>&1 </dev/null || {
        cat out.txt
        exit 1
    }
    line=$(grep -o 'memory: at most .*' out.txt) || { cat out.txt; exit 1; }
    awk -v name="$name" '{ off = $6 - 1; bad = off > 0.05 || off < -0.05
        printf "%-34s planned %7.1f MiB, measured %7.1f MiB, %+.1f %%%s\n", name, $4 / $6, $4, 100 * off, bad ? "  TOO FAR" : ""
        exit bad }' <<<"${line/,/}" || status=1
}
case_ "weights and moments" 1 run.threads=2 model.heads=8 model.layers=8 train.batch=2 sample.every=0
case_ "activations" 1 run.threads=2 train.batch=80 sample.every=1 sample.steps=1
case_ "2 ranks, zero 2, full checkpointing" 2 run.threads=1 model.heads=8 model.layers=10 train.batch=8 train.zero=2 \
    train.checkpointing=full train.accumulate=2 train.group_mb=8 sample.every=0
case_ "256 x 256 pixels, Muon, two averages" 1 run.threads=1 model.heads=6 model.layers=5 train.batch=1 \
    data.buckets=256x256 train.optimizer=muon train.ema=0.99,0.9 train.checkpointing=selective sample.every=0
exit $status
