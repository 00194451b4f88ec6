#!/usr/bin/env bash
# Which device computes, and what is said where it cannot: run.device, --device. The golden files, a benchmark and a dump of
# it on the emulated GPU.
set -eu
lens=$1
# shellcheck source-path=SCRIPTDIR source=train.sh
. "$(dirname "$0")/train.sh"
make_cuda_set

# golden ACT: passes with every way to keep activations, in another order of threads too, and the host touches no device memory.
golden() {
    on_cuda "$1" eval '"$lens" selftest' >out 2>err || fail "selftest, $1: $(cat out err)"
    [ "$(grep -c ': ok$' out)" = 2 ] && grep -q "^on emulated device, activations $2\$" out || fail "selftest, $1: $(cat out)"
    LENS_CUDA_GUARD=1 LENS_CUDA_ORDER=shuffle:3 on_cuda "$1" eval '"$lens" selftest' >guarded 2>err || fail "$(cat guarded err)"
    cmp out guarded || fail "selftest, $1, depends on the order of threads"
}
golden f32 float32
golden bf16 bfloat16
"$host" selftest --device cpu | grep -q '^on cpu, activations float32$' || fail 'selftest --device cpu'
LENS_CUDA_DEVICES=0 "$host" selftest | grep -q '^on cpu' || fail 'selftest where no GPU answers'
status=0
LENS_CUDA_DEVICES=0 "$host" selftest --device cuda >x.out 2>x.err || status=$?
[ $status = 1 ] || fail "selftest --device cuda: exit status $status"
one_line '^lens selftest: device cuda: no CUDA device answers: ' x

# ---- runs ----
LENS_CUDA_DEVICES=0 on_cuda f32 refused 1 '^lens train: device cuda: no CUDA device answers: ' none
refused 2 '^lens train: .*run.device = "gpu": expected one of auto|cpu|cuda' none run.device=gpu
[ ! -e none ] || fail 'a refused run left something'
train 0 cpu train.steps=2
on_cuda f32 train 0 asked train.steps=2 run.device=cpu
same_numbers cpu asked 1 2
if have_mpirun; then
    on_cuda f32 train_ranks 2 2 few
    one_line_of_ranks '^\[rank [01]\] error: .*: 2 ranks, and 1 GPU that each of them sees: expected a GPU a rank: run.device=cpu, or fewer ranks$' few
    status=0
    timeout 60 mpirun --oversubscribe -np 1 -x LENS_CUDA_DEVICES=0 "$host" train tiny.yaml run.dir=mixed run.device=auto : \
        -np 1 -x LENS_CUDA_DEVICES=2 "$host" train tiny.yaml run.dir=mixed run.device=auto >mixed.out 2>mixed.err </dev/null || status=$?
    [ $status = 2 ] || fail "GPUs for one of two ranks: exit status $status, $(cat mixed.err)"
    one_line_of_ranks 'no GPU answers, but one does on 1 of the 2 ranks: expected GPUs on all hosts, or run.device=cpu$' mixed
fi

# ---- benchmarks ----
for act in f32 bf16; do
    on_cuda $act eval '"$lens" bench train tiny.yaml run.device=cuda --rounds 1 --json' >bench-$act
    on_cuda $act eval 'LENS_CUDA_GUARD=1 "$lens" bench train tiny.yaml run.device=auto --dump $act'
done
"$lens" bench train tiny.yaml --dump cpu-pass
"$python" - <<'PY' || fail 'benchmarks'
import json, struct, sys
mirror_mib = 1 # of uploads, which no plan has: one segment of it
for act in ("f32", "bf16"):
    b = json.load(open("bench-" + act))
    if b["device"] != "emulated device" or not abs((b["used_mib"] - mirror_mib) / b["planned_mib"] - 1) < 0.03: sys.exit(f"{act}: {b}")
def read(path):
    data = open(path, "rb").read()
    n, = struct.unpack("<Q", data[:8])
    rows = {k: v for k, v in json.loads(data[8:8 + n]).items() if k != "__metadata__" and v["dtype"] == "F32"}
    return {k: struct.unpack(f"<{(e - b) // 4}f", data[8 + n + b:8 + n + e])
            for k, (b, e) in ((k, v["data_offsets"]) for k, v in rows.items())}
want = read("cpu-pass")
for act, tolerance in (("f32", 2.2e-6), ("bf16", 6.6e-2)):
    got, worst = read(act), (0, "")
    if got.keys() != want.keys(): sys.exit(f"{act}: other tensors")
    for k, x in want.items():
        size = sum(v * v for v in x)
        off = sum((v - w) ** 2 for v, w in zip(x, got[k]))
        worst = max(worst, ((off / size if size else off) ** 0.5, k))
    print(f"a pass in {act}: {worst[0]:.1e} of {tolerance:.0e}, {worst[1]}")
    if not worst[0] <= tolerance: sys.exit(1)
PY
