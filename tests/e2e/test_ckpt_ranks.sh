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
train 0 whole $common
for zero in 0 1 2; do
    train_ranks 3 0 whole-$zero $common train.zero=$zero
    train_ranks 3 0 longer-$zero $common train.zero=$zero train.steps=7 train.checkpoint_every=4
    train_ranks 3 0 longer-$zero $common train.zero=$zero --resume
    same_numbers whole-$zero longer-$zero 1 12
    same_checkpoint whole-$zero longer-$zero
    [ "$(ls longer-$zero/checkpoints/latest/state | wc -l)" = 4 ] || fail "zero $zero: $(ls longer-$zero/checkpoints/latest/state)"
done

# Any number of ranks after any other.
train_ranks 4 0 elastic $common train.zero=2 train.steps=3
train_ranks 3 0 elastic $common train.zero=1 train.steps=6 --resume
train 0 elastic $common train.steps=9 --resume
train_ranks 2 0 elastic $common train.zero=2 --resume
close whole elastic 1 12

# A disk that is full for one rank alone: all hear of it, nothing is left, training goes on, the next one stands.
faults=$(dirname "$lens")/io_fault.so
[ -e "$faults" ] || { echo "no $faults: one rank's full disk is not tried"; exit 0; }
export GOMP_SPINCOUNT=1000 ASAN_OPTIONS=$ASAN_OPTIONS:verify_asan_link_order=0
LENS_FAULT='write:ENOSPC:path=*/step-00000004.tmp/state/rank-0001*' LENS_FAULT_LOG=$work/struck timeout 120 mpirun --oversubscribe \
    -np 2 -x LD_PRELOAD="$faults" "$lens" train tiny.yaml run.dir=full $common train.zero=1 train.steps=8 \
    train.checkpoint_every=4 >full.out 2>full.err </dev/null || fail "a checkpoint's failure ends the run: $(cat full.err)"
[ -s struck ] || fail 'the fault did not strike'
grep -q 'warning: no checkpoint of step 4: rank 1: full/checkpoints/step-00000004.tmp/state/rank-0001-of-0002.safetensors: cannot write: No space left on device; training goes on$' full.err ||
    fail "$(cat full.err)"
[ "$(grep -c 'no checkpoint' full.err)" = 1 ] || fail "$(cat full.err)"
[ "$(ls full/checkpoints)" = "$(printf 'latest\nstep-00000008')" ] || fail "left: $(ls full/checkpoints)"
"$lens" ckpt verify full >verify.out 2>&1 || fail "$(cat verify.out)"
