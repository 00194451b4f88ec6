#!/usr/bin/env bash
# lens bench count and lens bench kernels: what they print of the released model, and of a tiny one on both devices. No time
# is judged here.
set -u -o pipefail
lens=$1
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
fail() {
    echo "FAILED: $*"
    exit 1
}

one_gpu=(configs/lens-3.8b-stage1.yaml train.slots=1 train.accumulate=1)
"$lens" bench count "${one_gpu[@]}" --gpu h200 >"$work/text" 2>"$work/err" || fail "count: $(cat "$work/err")"
for line in "predicted, not measured: h200, 989.5 TFLOP/s" "a step of 512x512, 24 images, captions of 160 tokens" \
    "attention_bwd           48 " "261.55 TFLOP useful" "checkpointing full" "8 ranks, zero 1"; do
    grep -qF "$line" "$work/text" || fail "count: no '$line' in $(cat "$work/text")"
done
"$lens" bench count configs/lens-3.8b-stage2.yaml train.slots=1 --json >"$work/json" 2>"$work/err" ||
    fail "count --json: $(cat "$work/err")"
for name in "512x512, 24 images" "768x768, 10 images" "1024x1024, 6 images"; do
    grep -qF "\"name\": \"$name\"" "$work/json" || fail "count: no area $name in $(cat "$work/json")"
done
if command -v python3 >/dev/null; then
    python3 - "$work/json" <<'P' || fail "count --json: $(cat "$work/json")"
import json, sys
j = json.load(open(sys.argv[1]))
first = j["areas"][0]
assert abs(sum(row["s"] for row in j["rows"]) / first["step_s"] - 1) < 1e-6
assert all(row["bytes"] >= row["least_bytes"] > 0 for row in j["rows"])
cases = {case["name"]: case for case in j["others"]}
none, full = cases["checkpointing none"], cases["checkpointing full"]
assert none["step_s"] < full["step_s"] and none["memory_gb"] > full["memory_gb"]
assert cases["8 ranks, zero 1"]["link_s"] > 0 and first["link_s"] == 0
P
fi

tiny=(configs/nano.yaml model.layers=1 model.heads=1 train.batch=1 text.max_tok=2 data.buckets=16x16)
for device in cpu cuda; do
    program=$lens
    [ $device = cuda ] && program=$lens-cuda-host
    [ -x "$program" ] || continue
    "$program" bench kernels "${tiny[@]}" run.device=$device --seconds 0.2 >"$work/text" 2>"$work/err" ||
        fail "kernels on $device: $(cat "$work/err")"
    for line in "a product" linear_bwd_w attention_fwd adamw rms_mod_bwd embed_bwd; do
        grep -q "$line" "$work/text" || fail "kernels on $device: no $line in $(cat "$work/text")"
    done
done
"$lens" bench kernels "${tiny[@]}" run.device=cpu --seconds 0.2 --json >"$work/json" 2>"$work/err" ||
    fail "kernels --json: $(cat "$work/err")"
grep -q '"copy_gb_s": [0-9]' "$work/json" || fail "kernels --json: $(cat "$work/json")"

refused() { # MESSAGE ARGS...
    local message=$1
    shift
    "$lens" bench "$@" >/dev/null 2>"$work/err"
    [ $? = 2 ] || fail "bench $*: expected exit status 2"
    grep -q -- "$message" "$work/err" || fail "bench $*: expected '$message', got: $(cat "$work/err")"
}
refused "count: expected a configuration" count
refused "captions of 600 tokens: text.max_tok is 512" count "${one_gpu[@]}" --text-tok 600
refused "gpu" count "${one_gpu[@]}" --gpu v100
refused "5" count "${one_gpu[@]}" --ranks 5
