#!/usr/bin/env bash
# lens train by several ranks with emulated GPUs, in bf16: nearly the losses of one rank on the CPU, the same bits after a
# resume; and checkpoints that go over to other ranks, to the CPU and back.
set -eu
lens=$1
# shellcheck source-path=SCRIPTDIR source=train.sh
. "$(dirname "$0")/train.sh"
have_mpirun || { echo 'skipped: no mpirun'; exit 77; }
make_cuda_set
export LENS_CUDA_DEVICES=4 LENS_CUDA_STREAMS=strict
steps=(train.steps=6 train.slots=4 train.group_mb=0.02)

train 0 cpu "${steps[@]}"
# bf16, with gradients as float and as bf16 on their way; averages that are gathered over the weights for sheets.
watched=("${steps[@]}" train.zero=2 sample.every=3 sample.steps=2 valid.dataset=set valid.every=3 valid.samples=8)
on_cuda bf16 train_ranks 2 0 bf16 "${watched[@]}"
near cpu bf16 1.9e-5 1e-3
on_cuda bf16 train_ranks 2 0 narrow "${watched[@]}" train.reduce=bfloat16
near cpu narrow 1.7e-5 8e-4

# To other ranks, to the CPU and back.
on_cuda bf16 train_ranks 2 0 again "${watched[@]}" train.steps=3
on_cuda bf16 train_ranks 2 0 again "${watched[@]}" --resume
same_numbers bf16 again 1 6
same_checkpoint bf16 again
on_cuda f32 train_ranks 4 0 moved "${steps[@]}" train.zero=2 train.steps=2
train 0 moved "${steps[@]}" train.steps=4 --resume
on_cuda f32 train_ranks 2 0 moved "${steps[@]}" train.zero=1 --resume
near cpu moved 4e-8 1.4e-7
