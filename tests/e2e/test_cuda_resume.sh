#!/usr/bin/env bash
# A run on the emulated GPU, stopped and resumed: the same bits. A run that moves between CPU and GPU goes on as one that did
# not, but for rounding. Sheets of samples, held-out losses and lens sample are those of the CPU.
set -eu
lens=$1
# shellcheck source-path=SCRIPTDIR source=train.sh
. "$(dirname "$0")/train.sh"
make_cuda_set

for act in f32 bf16; do
    on_cuda $act train 0 whole-$act train.steps=8
    on_cuda $act train 0 again-$act train.steps=5
    LENS_CUDA_GUARD=1 on_cuda $act train 0 again-$act train.steps=8 --resume
    same_numbers whole-$act again-$act 1 8
    same_checkpoint whole-$act again-$act
done

train 0 cpu train.steps=8
train 0 moved train.steps=3
on_cuda f32 train 0 moved train.steps=6 --resume
train 0 moved train.steps=8 --resume
near cpu moved 8e-8 1.8e-7

# Sheets and the held-out loss, in training, from averages of the weights, which bf16 gathers over them.
watched=(train.steps=4 sample.every=4 sample.steps=4 valid.dataset=set valid.every=4 valid.samples=20)
train 0 cpu-watched "${watched[@]}"
for act in f32 bf16; do LENS_CUDA_GUARD=1 on_cuda $act train 0 cuda-watched-$act "${watched[@]}"; done

# same_pictures A B LEVELS: no value differs by more; says the most.
same_pictures() {
    "$python" - "$@" <<'PY' || fail "$1 and $2 differ"
import struct, sys, zlib
def pixels(path):
    data, at, out = open(path, "rb").read(), 8, b""
    while at < len(data):
        n, kind = struct.unpack(">I4s", data[at:at + 8])
        if kind == b"IHDR": width, height = struct.unpack(">II", data[at + 8:at + 16])
        if kind == b"IDAT": out += data[at + 8:at + 8 + n]
        at += 12 + n
    raw, rows, stride = zlib.decompress(out), [], 3 * width
    for y in range(height):
        kind, line = raw[y * (stride + 1)], bytearray(raw[y * (stride + 1) + 1:(y + 1) * (stride + 1)])
        up = rows[-1] if rows else bytes(stride)
        for x in range(stride):
            a, b, c = line[x - 3] if x >= 3 else 0, up[x], up[x - 3] if x >= 3 else 0
            p = (abs(b - c), abs(a - c), abs(a + b - 2 * c))
            paeth = a if p[0] <= p[1] and p[0] <= p[2] else b if p[1] <= p[2] else c
            line[x] = (line[x] + (0, a, b, (a + b) // 2, paeth)[kind]) % 256
        rows.append(bytes(line))
    return b"".join(rows)
a, b = pixels(sys.argv[1]), pixels(sys.argv[2])
worst = max(abs(x - y) for x, y in zip(a, b))
print(f"{sys.argv[1]}, {sys.argv[2]}: {len(a)} values, they differ by {worst} at most, {sys.argv[3]} allowed")
sys.exit(len(a) != len(b) or len(set(a)) < 10 or worst > int(sys.argv[3]))
PY
}
"$python" - <<'PY' || fail 'held-out losses differ'
import json, sys
def read(run):
    row = [json.loads(line) for line in open(run + "/metrics.jsonl")][-1]
    return [row[key] for key in ("valid_loss", "valid_loss_ema")]
want = read("cpu-watched")
for act, tolerance in (("f32", 2.1e-8), ("bf16", 1.5e-5)):
    worst = max(abs(x / y - 1) for x, y in zip(read("cuda-watched-" + act), want))
    print(f"held-out losses, {act}: {worst:.1e} of {tolerance:.0e}")
    if not worst <= tolerance: sys.exit(1)
PY
same_pictures {cpu-watched,cuda-watched-f32}/samples/step-00000004.png 1
same_pictures {cpu-watched,cuda-watched-bf16}/samples/step-00000004.png 4

sample() { "$lens" sample cpu/checkpoints/latest -p 'a red circle' -n 3 --steps 6 -o "$@"; }
sample cpu.png >sample.out
grep -q ' on cpu$' sample.out || fail "$(cat sample.out)"
LENS_CUDA_GUARD=1 on_cuda f32 sample cuda.png >sample.out
grep -q ' on emulated device$' sample.out || fail "$(cat sample.out)"
same_pictures cpu.png cuda.png 1
on_cuda bf16 sample bf16.png >sample.out
same_pictures cpu.png bf16.png 4
on_cuda f32 sample asked.png --device cpu >sample.out
cmp -s cpu.png asked.png || fail 'lens sample --device cpu draws other pictures'
