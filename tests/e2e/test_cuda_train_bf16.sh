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
near cpu bf16 2e-4 2e-3
LENS_CUDA_GUARD=1 LENS_CUDA_ORDER=shuffle:3 on_cuda bf16 train 0 guarded
same_numbers bf16 guarded 1 20

# both NAME LOSSES NORMS KEY=VALUE...
both() {
    local name=$1 losses=$2 norms=$3
    shift 3
    train 0 "cpu-$name" train.steps=8 "$@"
    on_cuda bf16 train 0 "bf16-$name" train.steps=8 "$@"
    near "cpu-$name" "bf16-$name" "$losses" "$norms"
}
both varies 4e-5 1.6e-3 run.deterministic=false
both muon 4e-5 1.6e-3 train.optimizer=muon
both sizes 7e-5 1.6e-3 train.checkpointing=full data.buckets=12x8,16x16 train.batch=4,2 train.slots=2 train.accumulate=2
both lora 2.2e-4 1.6e-2 train.init_from=cpu/checkpoints/latest lora.rank=3
