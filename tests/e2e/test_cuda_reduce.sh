#!/usr/bin/env bash
# train.reduce bfloat16 on the emulated GPU: the losses of float32 but for rounding, at every stage of ZeRO; refused where
# there is no GPU. And a rank whose collectives fail in the middle of a run.
set -eu
lens=$1
# shellcheck source-path=SCRIPTDIR source=train.sh
. "$(dirname "$0")/train.sh"
make_cuda_set
refused 2 'train.reduce bfloat16: needs a GPU' cpu train.reduce=bfloat16
have_mpirun || { echo 'skipped: no mpirun'; exit 77; }
export LENS_CUDA_DEVICES=2 LENS_CUDA_STREAMS=strict
steps=(train.steps=3 train.slots=2 train.group_mb=0.005 train.accumulate=2)

on_cuda bf16 train_ranks 2 0 wide "${steps[@]}"
for zero in 0 1 2; do
    on_cuda bf16 train_ranks 2 0 narrow-$zero "${steps[@]}" train.zero=$zero train.reduce=bfloat16
    near wide narrow-$zero 1.8e-5 3.4e-4
    if (near wide narrow-$zero 1e-6 1e-6 >far.out); then fail "zero $zero: nothing was rounded"; fi
done
near narrow-0 narrow-1 0 8e-16 # the same values are rounded; at stage 2 sums of micro-batches come after
grep -q 'link: a rank sends .* by nccl' narrow-0.err || fail "$(cat narrow-0.err)"

LENS_NCCL_ERROR=9 on_cuda bf16 train_ranks 2 1 unplugged "${steps[@]}"
grep -qE 'rank [01] \(host .*\), step 0: reduce-scatter of a test of speed, .*: remote process exited' unplugged.err ||
    fail "$(cat unplugged.err)"
LENS_NCCL_ERROR=100 on_cuda bf16 train_ranks 2 1 broken "${steps[@]}"
grep -qE 'rank [01] \(host .*\), step [1-9]: all-reduce of (gradients|norm), .*: NCCL: remote process exited' broken.err ||
    fail "$(cat broken.err)"
LENS_NCCL_HANG=100 on_cuda bf16 train_ranks 2 1 hangs "${steps[@]}" train.watchdog_s=2
grep -qE 'all ranks wait for each other: .*in "(gradients|norm)" of step [0-9]' hangs.err || fail "$(cat hangs.err)"
