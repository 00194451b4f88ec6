#!/usr/bin/env bash
# lens train on the emulated GPU: in float the losses of the CPU, whatever is trained and however; the same bits in whatever
# order threads run, and with a host that may not touch device memory.
set -eu
lens=$1
# shellcheck source-path=SCRIPTDIR source=train.sh
. "$(dirname "$0")/train.sh"
make_cuda_set

# both NAME NORMS KEY=VALUE...: on the CPU, and in float on the device.
both() {
    local name=$1 norms=$2
    shift 2
    train 0 "cpu-$name" "$@"
    on_cuda f32 train 0 "cuda-$name" "$@"
    near "cpu-$name" "cuda-$name" 1.2e-7 "$norms"
}
both plain 1.8e-7
grep -q 'device: cuda, 1 x emulated device, act float32' cuda-plain.err || fail "$(cat cuda-plain.err)"
grep -q 'device: cpu, 1 rank x 1 thread' cpu-plain.err || fail "$(cat cpu-plain.err)"
grep -q '"device": "emulated device"' cuda-plain/run.json || fail "$(cat cuda-plain/run.json)"
LENS_CUDA_GUARD=1 LENS_CUDA_ORDER=shuffle:3 LENS_CUDA_STREAMS=strict on_cuda f32 train 0 guarded
same_numbers cuda-plain guarded 1 20
same_checkpoint cuda-plain guarded

small=(train.steps=8)
both sizes 1.9e-7 "${small[@]}" data.buckets=12x8,8x12,16x16 train.batch=4,2 train.slots=2 train.accumulate=2
both selective 1.8e-7 "${small[@]}" train.checkpointing=selective
both full 1.8e-7 "${small[@]}" train.checkpointing=full
same_numbers cuda-selective cuda-full 1 8
both muon 2.4e-7 "${small[@]}" train.optimizer=muon train.ema=0
both lora 4e-7 "${small[@]}" train.init_from=cpu-plain/checkpoints/latest lora.rank=3
