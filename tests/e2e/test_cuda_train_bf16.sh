#!/usr/bin/env bash
# lens train on the emulated GPU with activations in bf16: nearly the losses of the CPU, and the same bits in whatever order
# threads run.
set -eu
lens=$1
# shellcheck source-path=SCRIPTDIR source=train.sh
. "$(dirname "$0")/train.sh"
make_cuda_set

train 0 cpu
on_cuda bf16 train 0 bf16
grep -q 'act bfloat16' bf16.err || fail "$(cat bf16.err)"
near cpu bf16 2e-3
LENS_CUDA_GUARD=1 LENS_CUDA_ORDER=shuffle:3 on_cuda bf16 train 0 guarded
same_numbers bf16 guarded 1 20

# both NAME TOLERANCE KEY=VALUE...
both() {
    local name=$1 tolerance=$2
    shift 2
    train 0 "cpu-$name" train.steps=8 "$@"
    on_cuda bf16 train 0 "bf16-$name" train.steps=8 "$@"
    near "cpu-$name" "bf16-$name" "$tolerance"
}
both varies 2e-3 run.deterministic=false
both muon 1.6e-3 train.optimizer=muon
both sizes 1.6e-3 train.checkpointing=full data.buckets=12x8,16x16 train.batch=4,2 train.slots=2 train.accumulate=2
both lora 1.6e-2 train.init_from=cpu/checkpoints/latest lora.rank=3
