#!/usr/bin/env bash
# lens train with lora.rank: adapters on frozen weights, the same by any number of ranks, whatever is shared out or
# computed twice, exact when resumed; merged into the model they were trained on, they give the loss they were measured with.
set -eu
lens=$1
# shellcheck source-path=SCRIPTDIR source=train.sh
here=$(realpath "$(dirname "$0")")
. "$here/train.sh"
make_set
"$lens" shards split set -o parts --fractions 0.8,0.2 >split.out 2>&1 || fail "$(cat split.out)"
sed -i 's|dataset: set|dataset: parts/part-0|; s|buckets: .*|buckets: 16x12,20x20|; s|batch: 8|batch: 12,6|' tiny.yaml
cat >>tiny.yaml <<'YAML'
valid:
  dataset: parts/part-1
  samples: 25
YAML
train 0 base
before=$(find base -type f -exec cksum {} + | sort)
adapters="train.init_from=base/checkpoints/latest lora.rank=3 lora.alpha=6 lora.targets=img_qkv,txt_qkv,to_out.0,w1 train.steps=12 valid.every=6"
train 0 lora $adapters sample.every=6
[ "$(ls lora/samples)" = "$(printf 'prompts.txt\nstep-00000006.png\nstep-00000012.png')" ] || fail "sheets: $(ls lora/samples)"

# ---- the same however it is computed ----
train 0 selective $adapters train.checkpointing=selective
train 0 full $adapters train.checkpointing=full
same_numbers lora selective 1 12
same_numbers lora full 1 12
same_checkpoint() { # of adapters, which is fewer files
    local file
    for file in pytorch_lora_weights.safetensors ema/pytorch_lora_weights.safetensors; do
        cmp "$1/checkpoints/latest/$file" "$2/checkpoints/latest/$file" || fail "$1 and $2 end with another $file"
    done
}
same_checkpoint lora full
ways=
if have_mpirun; then
    train_ranks 2 0 two $adapters train.zero=2 train.group_mb=0.001
    train_ranks 3 0 three $adapters train.zero=1
    ways='two three'
fi

# ---- resumed, alone and by two ranks ----
train 0 longer $adapters train.steps=5
train 0 longer $adapters --resume
same_numbers lora longer 1 12
same_checkpoint lora longer
if have_mpirun; then
    train_ranks 2 0 longer-2 $adapters train.zero=2 train.group_mb=0.001 train.steps=5
    train_ranks 2 0 longer-2 $adapters train.zero=2 train.group_mb=0.001 --resume
    same_numbers two longer-2 1 12
    same_checkpoint two longer-2
fi
[ "$before" = "$(find base -type f -exec cksum {} + | sort)" ] || fail 'the run whose weights are frozen has changed'

# ---- merged: the loss on held-out samples is that of the run, of the weights and of their average ----
"$lens" ckpt merge-lora base lora/checkpoints/latest -o merged >merge.out 2>&1 || fail "$(cat merge.out)"
"$lens" ckpt merge-lora base lora/checkpoints/latest/ema -o merged-ema >merge.out 2>&1 || fail "$(cat merge.out)"
for model in base/checkpoints/latest merged merged-ema; do
    train 0 "of-${model%%/*}" train.init_from=$model train.lr=0 train.warmup=0 train.steps=1 valid.every=1
done
"$python" - $ways <<'PY'
import json, sys
def rows(run): return [json.loads(line) for line in open(run + "/metrics.jsonl")]
lora = rows("lora")
worst = {}
for run in sys.argv[1:]:
    other = rows(run)
    assert len(other) == len(lora) == 12
    worst[run] = max(abs(a[k] / b[k] - 1) for a, b in zip(lora, other) for k in ("loss", "valid_loss", "valid_loss_ema") if k in a)
    assert worst[run] < 8e-9, worst
base, merged, average = (rows("of-" + m)[0]["valid_loss"] for m in ("base", "merged", "merged-ema"))
worst["merged"] = abs(merged / lora[-1]["valid_loss"] - 1)
worst["average"] = abs(average / lora[-1]["valid_loss_ema"] - 1)
print("largest relative differences", worst, "; trained:", lora[-1]["valid_loss"] / base - 1)
assert worst["merged"] < 5e-10 and worst["average"] < 5e-10, worst
assert lora[-1]["valid_loss"] < base * (1 - 1e-4), (lora[-1]["valid_loss"], base) # which training has moved
PY

# ---- the file ----
if "$python" -c 'import numpy' 2>/dev/null; then
    PYTHONPATH=$here PYTHONDONTWRITEBYTECODE=1 "$python" - <<'PY'
import re, tensors
pairs = tensors.read("lora/checkpoints/latest/pytorch_lora_weights.safetensors")
w = tensors.read("base/checkpoints/latest/transformer/diffusion_pytorch_model.safetensors")
modules = {}
for name, x in pairs.items():
    found = re.fullmatch(r"transformer\.(transformer_blocks\.[01]\..+)\.lora_([AB])\.weight", name)
    assert found, name
    modules.setdefault(found[1], {})[found[2]] = x.shape
assert len(modules) == 2 * 5 and {m.split(".", 2)[2] for m in modules} == \
    {"attn.img_qkv", "attn.txt_qkv", "attn.to_out.0", "img_mlp.w1", "txt_mlp.w1"}, modules
for m, s in modules.items():
    out, inn = w[m + ".weight"].shape
    assert s == {"A": (3, inn), "B": (out, 3)}, (m, s)
PY
fi

# ---- it is no model ----
got=0
"$lens" sample lora/checkpoints/latest -p 'a red circle' -o x.png >x.out 2>x.err </dev/null || got=$?
expect_status 1 $got x 'sample of an adapter'
one_line '^lens sample: lora/checkpoints/latest: an adapter, not a model: lens ckpt merge-lora BASE lora/checkpoints/latest -o MODEL makes one$' x
"$lens" sample merged -p 'a red circle' -n 1 --steps 2 -o x.png >x.out 2>x.err </dev/null || fail "$(cat x.err)"
refused 1 '^lens train: lora/checkpoints/latest: ' more train.init_from=lora/checkpoints/latest
refused 2 'lora.rank = 3: expected train.init_from, the frozen weights, and adamw$' rootless lora.rank=3
refused 2 'lora.rank = 3: expected train.init_from' more $adapters train.optimizer=muon
