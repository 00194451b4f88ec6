#!/usr/bin/env bash
# Checkpoints of several ranks: each stage of sharding resumes to the bit on as many ranks, and to rounding on any other
# number and stage; files of all ranks stand under one manifest.
set -eu
lens=$1
# shellcheck source-path=SCRIPTDIR source=train.sh
. "$(dirname "$0")/train.sh"
have_mpirun || { echo 'skipped: no mpirun'; exit 77; }
make_set
common="train.steps=12 train.batch=12 train.group_mb=0.01 train.ema=0.9,0.99 sample.every=0"

# close A B FIRST LAST: losses within rounding.
close() {
    "$python" - "$@" <<'PY' || fail "$1 and $2 drift apart"
import json, sys
a, b, first, last = sys.argv[1], sys.argv[2], int(sys.argv[3]), int(sys.argv[4])
read = lambda run: {r["step"]: r["loss"] for r in map(json.loads, open(run + "/metrics.jsonl"))}
x, y = read(a), read(b)
worst = max(abs(x[i] - y[i]) for i in range(first, last + 1))
print(f"{a} {b}: {worst:.2g}")
if not worst < 8e-9: sys.exit(1)
PY
}
# same_files A B: all tensors of the newest checkpoints, byte for byte.
same_files() {
    local file n=0
    for file in $(cd "$1/checkpoints/latest/" && find . -name '*.safetensors'); do
        cmp "$1/checkpoints/latest/$file" "$2/checkpoints/latest/$file" || fail "$1 and $2: $file"
        n=$((n + 1))
    done
    [ $n -ge 6 ] || fail "$1: only $n files"
}

train 0 whole $common
for zero in 0 1 2; do
    train_ranks 3 0 whole-$zero $common train.zero=$zero
    train_ranks 3 0 longer-$zero $common train.zero=$zero train.steps=7 train.checkpoint_every=4
    train_ranks 3 0 longer-$zero $common train.zero=$zero --resume
    same_numbers whole-$zero longer-$zero 1 12
    same_files whole-$zero longer-$zero
    [ "$(ls longer-$zero/checkpoints/latest/state | wc -l)" = 4 ] || fail "zero $zero: $(ls longer-$zero/checkpoints/latest/state)"
done

# Any number of ranks after any other.
train_ranks 4 0 elastic $common train.zero=2 train.steps=3
train_ranks 3 0 elastic $common train.zero=1 train.steps=6 --resume
train 0 elastic $common train.steps=9 --resume
train_ranks 2 0 elastic $common train.zero=2 --resume
close whole elastic 1 12
