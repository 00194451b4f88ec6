#!/usr/bin/env bash
# lens plan and lens train --dry-run: the shipped configurations, with the numbers that are known of them; nothing large is
# allocated; what does not fit says so.
set -eu
lens=$(realpath "$1")
root=$PWD
python=${LENS_PYTHON:-/usr/bin/python3}
command -v "$python" >/dev/null || { echo "skipped: no python at $python"; exit 77; }
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work"
# The released model would need a hundred times as much. The address sanitizer cannot live with a limit.
if (ulimit -v 4000000 && "$lens" --version >/dev/null 2>&1); then ulimit -v 4000000; fi

fail() {
    echo "FAILED: $*"
    exit 1
}
plan() { # NAME ARGUMENT...: to NAME.json
    local name=$1
    shift
    "$lens" plan "$@" --json >"$name.json" 2>err.txt || fail "lens plan $*: $(cat err.txt)"
}
plan stage1 "$root/configs/lens-3.8b-stage1.yaml" --gpus 128 --gpu a100-80g
plan stage2 "$root/configs/lens-3.8b-stage2.yaml" --gpus 128 --gpu a100-80g
plan one "$root/configs/lens-3.8b-stage1.yaml" --gpus 1 --gpu h200
plan toy "$root/configs/lens-toy-1.2b.yaml" --gpus 8 --gpu h100
plan nofit "$root/configs/lens-3.8b-stage1.yaml" --gpus 128 --gpu a100-80g train.zero=0 train.checkpointing=none
plan slow "$root/configs/lens-3.8b-stage1.yaml" --gpus 128 --gpu a100-80g --link 1
"$python" - <<'PY' || fail "the plans' numbers"
import json
def read(name): return json.load(open(name + ".json"))
stage1, stage2, one, toy, nofit, slow = map(read, ("stage1", "stage2", "one", "toy", "nofit", "slow"))
def near(got, want, digits, what):
    assert round(got, digits) == want, f"{what}: {got}, expected {want}"
assert stage1["parameters"] == 4104225152, stage1["parameters"]
assert abs(toy["parameters"] / 1.2e9 - 1) < 0.01, toy["parameters"]
cost = {(b["width"], b["height"]): b["image_flop"] * 1e-12 for b in stage2["buckets"]}
mu = {b["tokens"]: b["mu"] for b in stage2["buckets"]}
for size, want in ((512, 10.9), (768, 25.5), (1024, 50.7)): near(cost[size, size], want, 1, f"TFLOP of an image of {size}")
near(mu[1024], 1.06, 9, "mu"), near(mu[4096], 1.3, 9, "mu"), near(mu[4232], 1.311, 3, "mu")
assert len(stage2["buckets"]) == 27 and [a["batch"] for a in stage2["areas"]] == [24, 10, 6]
assert abs(sum(a["share"] for a in stage2["areas"]) - 1) < 1e-12
assert stage1["step_images"] == 3072
for p in (stage1, stage2, one, toy): assert p["fits"], p["device_bytes"]
assert not nofit["fits"] and nofit["areas"][0]["largest_micro"] < nofit["areas"][0]["micro"]
for p in (stage1, stage2, toy, one):
    assert p["device_bytes"] == sum(r["bytes"] for r in p["memory"] if r["where"] == "device")
    for a in p["areas"]: assert a["largest_micro"] >= a["micro"], a
    assert abs(p["step_s"] / (p["compute_s"] + p["update_s"] + p["exposed_s"]) - 1) < 1e-9
    assert abs(p["gpu_hours"] / (p["steps"] * p["step_s"] * p["gpus"] / 3600) - 1) < 1e-9
    assert p["mfu"] <= p["mfu_assumed"]
# The whole recipe: about 2.7e22 FLOP, about 50 K A100 hours at half of the peak.
near((stage1["step_flop"] * stage1["steps"] + stage2["step_flop"] * stage2["steps"]) * 1e-22, 2.8, 1, "FLOP of the recipe")
assert 45e3 < stage1["gpu_hours"] + stage2["gpu_hours"] < 60e3
# A hundredth of the link hides nothing more; one GPU has nothing to send.
assert slow["exposed_s"] > 10 * stage1["exposed_s"] and one["exposed_s"] == one["reduce_s"] == 0
PY

# Key by key, and as text.
[ "$("$lens" plan --get run.dir "$root/configs/nano.yaml" data.dataset=x "run.dir=a b")" = "a b" ] || fail "--get run.dir"
[ "$("$lens" plan --get train.lr "$root/configs/nano.yaml" data.dataset=x run.dir=y)" = 0.002 ] || fail "--get train.lr"
[ -z "$("$lens" plan --get lora.targets "$root/configs/nano.yaml" data.dataset=x run.dir=y lora.rank=0 lora.targets=)" ] ||
    fail "--get of nothing"
refused() { # MESSAGE ARGUMENT...
    local message=$1 got=0
    shift
    "$lens" "$@" >out.txt 2>err.txt || got=$?
    if [ $got = 2 ] && grep -q -- "$message" err.txt && [ ! -s out.txt ]; then return; fi
    fail "lens $*: $got, $(cat out.txt err.txt)"
}
refused 'unknown key "run.dri" (did you mean "run.dir"?)' plan --get run.dri "$root/configs/nano.yaml" data.dataset=x run.dir=y
refused 'expected a configuration' plan
refused 'one of a100-80g, h100, h200\|a100-80g|h100|h200' plan --gpu b17 "$root/configs/nano.yaml" data.dataset=x run.dir=y
refused 'captions of 600 tokens: text.max_tok is 512' plan --text-tok 600 "$root/configs/lens-3.8b-stage1.yaml"
refused 'train.slots = 128: expected a multiple of the 3 ranks' plan --gpus 3 "$root/configs/lens-3.8b-stage1.yaml"
"$lens" plan "$root/configs/lens-3.8b-stage1.yaml" --gpus 128 --gpu a100-80g >text.txt || fail "as text"
grep -q '^model    4,104,225,152 parameters' text.txt || fail "parameters: $(cat text.txt)"
grep -q 'MFU 50 % of 312.0 TFLOP/s' text.txt || fail "the peak beside the MFU: $(cat text.txt)"

for config in "$root"/configs/*.yaml; do
    case $config in *ingest* | *prices*) continue ;; esac
    "$lens" train --dry-run "$config" data.dataset=none run.dir=none >dry.txt 2>err.txt || fail "$config: $(cat err.txt)"
    grep -q '^memory of a rank' dry.txt || fail "$config: $(cat dry.txt)"
done
[ ! -e none ] || fail "a dry run made its folder"
