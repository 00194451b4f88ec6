#!/usr/bin/env bash
# tests/gpu/run.sh from end to end on the emulated device: every part runs or says why not, figures land in the page; and
# of made-up results of a real GPU, the figures and verdicts that follow.
set -u -o pipefail
build=$(dirname "$(realpath "$1")")
python=${LENS_PYTHON:-/usr/bin/python3}
command -v "$python" >/dev/null || { echo "skipped: no python at $python"; exit 77; }
[ -x "$build/lens-cuda-host" ] || { echo "skipped: no lens-cuda-host"; exit 77; }
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
fail() {
    echo "FAILED: $*"
    exit 1
}
dry() { DRY_RUN=emulated PREBUILT=$build OUT=$work/out LENS_TORCH_PYTHON=/nonexistent tests/gpu/run.sh "$@"; }

export PARTS="facts selftest_f32 checks train_512 torch train_512_varies kernels train_768 train_1024 sanitizer"
dry >"$work/log" 2>&1 || { cat "$work/log"; fail "a part"; }
for part in facts selftest_f32 checks train_512 train_512_varies kernels train_768 train_1024; do
    grep -q '"status": "ok"' "$work/out/parts/$part.json" || fail "$part: $(cat "$work/out/parts/$part.json")"
done
grep -q '"reason": "no PyTorch in /nonexistent"' "$work/out/parts/torch.json" || fail "torch is not skipped with a reason"
page=$work/out/benchmarks-gpu.md
for line in "A dry run on the emulated device" "| f32 | mmdit-tiny | full | gradients |" "| train_1024 | ok |" \
    "| 64x64 | 2 | 2 | 1 | none | true |" "| 32x32 | 2 | 2 | 1 | selective | false |" "| test_cuda_optim | ok |" "The three bases in turn" "| attention_fwd |"; do
    grep -qF "$line" "$page" || fail "no '$line' in $(cat "$page")"
done

# Programs for a real device load its module: without a GPU, what they lack is the GPU.
if [ -e "$build/gpu_check_norm" ] && [ ! -e /dev/nvidiactl ]; then
    "$build/gpu_check_norm" >"$work/log" 2>&1 && fail "gpu_check_norm without a GPU"
    grep -q "undefined symbol" "$work/log" && fail "the module: $(grep -m 1 "undefined symbol" "$work/log")"
    grep -q "GPU\|CUDA driver" "$work/log" || fail "gpu_check_norm: $(cat "$work/log")"
fi

# No time left: a part is skipped, says so, and leaves the others' results alone.
PARTS=train_512 BUDGET_S=0 dry >"$work/log" 2>&1 || fail "no time: $(cat "$work/log")"
grep -q '"reason": "no time left of BUDGET_S=0"' "$work/out/parts/train_512.json" || fail "no time is not told"
[ -s "$work/out/parts/train_768.json" ] || fail "an older result is gone"
PARTS=nothing dry >"$work/log" 2>&1 && fail "an unknown part"
dry --wrong >"$work/log" 2>&1 && fail "an unknown option"
BUDGET_S=soon dry >"$work/log" 2>&1 && fail "a budget that is no number"

"$python" - "$work/made" <<'P' || fail "made-up results"
import json, os, sys
os.makedirs(sys.argv[1] + "/parts")
def part(name, *results, gpu=None, status="ok"):
    with open(f"{sys.argv[1]}/parts/{name}.json", "w") as f:
        json.dump({"part": name, "status": status, "reason": "", "seconds": 1, "results": results, "gpu": gpu}, f)
part("facts", {"device": {"name": "NVIDIA H200", "driver_version": "1.2"}, "date": "today"})
for name, size, step in (("train_512", "512x512", 0.5), ("train_768", "768x768", 0.4), ("train_1024", "1024x1024", 0.6)):
    part(name, {"settings": f"data.buckets={size} train.batch=24 train.accumulate=1 train.checkpointing=selective",
                "layers": 48, "plan_mib": 7}, {"step_s": step, "images_per_s": 48.0, "mfu": 0.6, "peak_gflops": 8e5,
         "mfu_sheet": 0.48509,
         "ratio": 0.9, "used_mib": 5.0, "planned_mib": 6.0}, gpu={"memory_mib": 140 * 1024})
part("torch", {"torch": "2", "layers": 48, "batch": 24, "step_s": 0.6, "images_per_s": 40.0, "memory_gib": 120.0,
               "recompute": "budget 1.0", "accumulate": 1})
call = lambda row, share, of: {"row": row, "sizes": "x", "calls": 1, "s": 1e-3, "flop": 1e9, "least_bytes": 1e9,
                               "of_ceiling": of, "share": share}
part("kernels", {"calls": [call("linear_fwd", 0.8, 0.7), call("swiglu_fwd", 0.1, 0.9), call("adamw", 0.1, 0.8)]})
P
"$python" tests/gpu/summarise.py report "$work/made" || fail "a report of made-up results"
while read -r line; do
    grep -qF "$line" "$work/made/benchmarks-gpu.md" || fail "no '$line' in $(cat "$work/made/benchmarks-gpu.md")"
done <<'LINES'
| MFU at 512 x 512, batch 24 | >= 45 % (60 % wished) | 48.5 % | yes |
| MFU of stage 2's three bases | >= 45 % (60 % wished) | 48.5 % | yes |
| memory-bound rows over the copy, weighed by time | >= 80 % | 85.0 % | yes |
| images/s over PyTorch's | >= 1.3 | 1.20 | NO |
| 4.1 B parameters, batch 24: memory | <= 139 GiB | 140.0 GiB | NO |
| 512x512 | 48 | 24 | 1 | selective | true | 0.5000 | 48.00 | 48.5 % | 989.5 | 60.0 % | 800.0 | 0.90 |
| swiglu_fwd | x | 1 | 1000.0 | 1000.0 GB/s | 90.0 % | 10.0 % |
NVIDIA H200, driver 1.2, today.
LINES
