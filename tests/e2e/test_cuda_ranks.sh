#!/usr/bin/env bash
# lens train by several ranks, each with an emulated GPU: the losses of one rank on the CPU, whatever ranks share; the same
# bits where collectives are waited for late and threads run in another order.
set -eu
lens=$1
# shellcheck source-path=SCRIPTDIR source=train.sh
. "$(dirname "$0")/train.sh"
have_mpirun || { echo 'skipped: no mpirun'; exit 77; }
make_cuda_set
export LENS_CUDA_DEVICES=4 LENS_CUDA_STREAMS=strict
steps=(train.steps=4 train.slots=4 train.group_mb=0.02) # several groups, whose sums are on their way beside compute

train 0 cpu "${steps[@]}"
for n in 2 4; do
    for zero in 0 1 2; do
        on_cuda f32 train_ranks $n 0 n$n-zero$zero "${steps[@]}" train.zero=$zero
        near cpu n$n-zero$zero 4e-8 5e-8
    done
done
grep -q 'device: cuda, 4 x emulated device' n4-zero2.err || fail "$(cat n4-zero2.err)"
LENS_CUDA_GUARD=1 LENS_CUDA_ORDER=shuffle:3 on_cuda f32 train_ranks 2 0 guarded "${steps[@]}" train.zero=2
same_numbers n2-zero2 guarded 1 4
same_checkpoint n2-zero2 guarded

more=("${steps[@]}" data.buckets=12x8,16x16 train.batch=4,2 train.accumulate=2 train.checkpointing=selective)
train 0 cpu-sizes "${more[@]}"
on_cuda f32 train_ranks 2 0 sizes "${more[@]}" train.zero=2
near cpu-sizes sizes 3e-8 1e-7
train 0 cpu-muon "${steps[@]}" train.optimizer=muon
on_cuda f32 train_ranks 2 0 muon "${steps[@]}" train.optimizer=muon train.zero=1
near cpu-muon muon 4e-8 4e-8
