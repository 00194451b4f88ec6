#!/usr/bin/env bash
# lens ckpt: shows, verifies, converts, averages, compares, merges; its files are read by Python and Python's by it, by the
# safetensors library where it is installed; the released model's table against a list of its own.
set -eu
lens=$1
# shellcheck source-path=SCRIPTDIR source=train.sh
here=$(realpath "$(dirname "$0")")
. "$here/train.sh"
"$python" -c 'import numpy' 2>/dev/null || { echo 'skipped: no numpy'; exit 77; }
export PYTHONPATH=$here PYTHONDONTWRITEBYTECODE=1
make_set
train 0 run train.checkpoint_every=8 train.keep=3 train.ema=0.9,0.99
step=run/checkpoints/step-00000020

# ckpt STATUS ACTION...: its streams go to out and err.
ckpt() {
    local status=$1 got=0
    shift
    "$lens" ckpt "$@" >out 2>err </dev/null || got=$?
    [ $got = "$status" ] || fail "ckpt $*: exit status $got, expected $status: $(cat out err)"
}
says() { grep -qE -- "$1" out err || fail "expected \"$1\": $(cat out err)"; }

# ---- show, verify ----
ckpt 0 show run
says '^step 20: 20 updates, 0 skipped, 160 images; seed 1, 200 samples; world 1, zero 0, adamw$'
says '^weights +66 tensors +43946 values +F32 .* 2 files$'
says '^ema-0.99 +66 tensors +43946 values'
says '^state v +66 tensors +43946 values'
says '^  captions: "truth-dense"$'
ckpt 0 show run --json
"$python" - <<'PY' || fail 'show --json'
import json
j = json.load(open("out"))
assert j["parameters"] == 43946 and j["trainer"]["step"] == 20 and "truth-dense" in j["config"]
assert [c["name"] for c in j["contents"]] == ["weights", "ema", "ema-0.99", "state m", "state v"]
PY
ckpt 0 verify run run/checkpoints/step-00000008
says '^run/checkpoints/latest: step 20, 18 files, .*: whole$'
says '^run/checkpoints/latest: 66 tensors, 43946 parameters: those of its configuration$'
cp -r $step torn
printf x >>torn/config.yaml
ckpt 1 verify torn
says '^torn/config.yaml: torn: [0-9]* bytes, [0-9]* by the manifest$'
says '^lens ckpt: 1 fault found$'

# ---- what Python reads ----
"$python" - $step <<'PY' || fail 'Python does not read the checkpoint'
import json, sys, tensors
step = sys.argv[1]
w = tensors.read(f"{step}/transformer/diffusion_pytorch_model.safetensors")
config = json.load(open(f"{step}/transformer/config.json"))
table = tensors.table(config)
assert {k: v.shape for k, v in w.items()} == table, set(w) ^ set(table)
m = tensors.read(f"{step}/state/rank-0000-of-0001.safetensors")
assert {k.rsplit(":", 1)[0] for k in m} == {f"{f}.{n}" for f in "mv" for n in [*table, "text_encoder.embedding.weight"]}
PY

# ---- convert: another type, other files, one file; and back ----
ckpt 0 convert run -o half --dtype bf16
ckpt 1 convert run -o half
says '^lens ckpt: half: is there already$'
ckpt 1 diff run half
says '^img_in.weight: max abs .*, relative L2 .*, cosine 0.99999'
says '^lens ckpt: 6[0-9] tensors differ$'
ckpt 0 diff run half --tolerance 0.01
ckpt 0 convert half -o full --dtype f32
ckpt 0 diff half full
ckpt 0 convert run -o one.safetensors --part ema
ckpt 1 diff $step/ema one.safetensors
says '^embedding.weight: in the first alone$'
says '^lens ckpt: 1 tensor differs$'
ckpt 0 verify half

# ---- average ----
ckpt 0 average run/checkpoints/step-00000008 run -o mean --weights 1,3
"$python" - <<'PY' || fail 'the mean is another'
import numpy as np, tensors
name = "transformer/diffusion_pytorch_model.safetensors"
a, b, mean = (tensors.read(f"{d}/{name}") for d in ("run/checkpoints/step-00000008", "run/checkpoints/latest", "mean"))
for k in mean: assert np.array_equal(mean[k], (0.25 * a[k].astype("f8") + 0.75 * b[k].astype("f8")).astype("f4")), k
PY
ckpt 2 average run half -o other --weights 1
says 'expected 2 numbers'

# ---- merge-lora: names of diffusers and of peft ----
"$python" - <<'PY'
import json, numpy as np, tensors
rng = np.random.default_rng(1)
w = tensors.read("run/checkpoints/latest/transformer/diffusion_pytorch_model.safetensors")
def adapter(path, prefix, meta):
    pairs = {}
    for module in ("transformer_blocks.0.attn.img_qkv", "transformer_blocks.1.img_mlp.w2"):
        out, inn = w[module + ".weight"].shape
        pairs[f"{prefix}{module}.lora_A.weight"] = rng.standard_normal((4, inn)).astype("f4")
        pairs[f"{prefix}{module}.lora_B.weight"] = rng.standard_normal((out, 4)).astype("f4")
    tensors.write(path, pairs, meta)
adapter("diffusers.safetensors", "transformer.", {"lora_adapter_metadata": json.dumps({"transformer.lora_alpha": 8})})
adapter("peft.safetensors", "base_model.model.", {})
adapter("lost.safetensors", "transformer.blocks.", {})
PY
ckpt 0 merge-lora run diffusers.safetensors -o merged-diffusers
ckpt 0 merge-lora run peft.safetensors -o merged-peft
"$python" - <<'PY' || fail 'merged otherwise'
import numpy as np, tensors
name = "transformer/diffusion_pytorch_model.safetensors"
base = tensors.read("run/checkpoints/latest/" + name)
for kind, prefix, scale in (("diffusers", "transformer.", 2.0), ("peft", "base_model.model.", 1.0)):
    pairs, merged = tensors.read(f"{kind}.safetensors"), tensors.read(f"merged-{kind}/{name}")
    changed = 0
    for k, x in base.items():
        a = pairs.get(prefix + k.replace(".weight", ".lora_A.weight"))
        want = x.astype("f8")
        if a is not None: want = want + scale * pairs[prefix + k.replace(".weight", ".lora_B.weight")].astype("f8") @ a.astype("f8")
        changed += a is not None
        assert np.abs(merged[k] - want).max() <= np.abs(want).max() * 2**-24, k # rounded once
    assert changed == 2
PY
ckpt 1 merge-lora run lost.safetensors -o other
says 'has no tensor blocks.transformer_blocks.0.attn.img_qkv.weight, which the adapter is for'

# Our own adapter: its checkpoint is one, and holds nothing of the frozen model.
train 0 lora train.init_from=run/checkpoints/latest lora.rank=2 lora.targets=img_qkv,w1 train.steps=4 train.checkpoint_every=2
train 0 lora-on train.init_from=run/checkpoints/latest lora.rank=2 lora.targets=img_qkv,w1 train.steps=2
train 0 lora-on train.init_from=run/checkpoints/latest lora.rank=2 lora.targets=img_qkv,w1 train.steps=4 --resume
cmp lora/checkpoints/latest/pytorch_lora_weights.safetensors lora-on/checkpoints/latest/pytorch_lora_weights.safetensors ||
    fail 'an adapter that was resumed is another'
ckpt 0 verify lora
ckpt 0 show lora
says '^weights +12 tensors .* 1 file$'
ckpt 0 merge-lora run lora/checkpoints/latest -o merged-own
ckpt 0 verify merged-own
ckpt 1 diff run merged-own
says '^lens ckpt: 5 tensors differ$' # img_qkv and both w1 of 2 blocks, but for the last text MLP, which has no gradient

# ---- what Python writes: 16 bits, over several files, no embedding of ours ----
"$python" - <<'PY'
import json, os, shutil, tensors
w = tensors.read("run/checkpoints/latest/transformer/diffusion_pytorch_model.safetensors")
os.makedirs("python/transformer")
shutil.copy("run/checkpoints/latest/transformer/config.json", "python/transformer/config.json")
names, files = list(w), {}
for i in range(3):
    part = {k: w[k] for k in names[i::3]}
    files |= {k: f"diffusion_pytorch_model-{i + 1:05}-of-00003.safetensors" for k in part}
    tensors.write(f"python/transformer/{files[names[i]]}", part, {"format": "pt"}, "BF16")
index = {"metadata": {"total_size": sum(2 * x.size for x in w.values())}, "weight_map": files}
json.dump(index, open("python/transformer/diffusion_pytorch_model.safetensors.index.json", "w"))
PY
ckpt 0 verify python
says '^python: 65 tensors, 38546 parameters: those of its configuration$'
ckpt 1 diff half python
says '^lens ckpt: 1 tensor differs$' # the embedding
train 0 from-python train.steps=2 train.init_from=python
grep -q '^python: has not 1 of the 66 tensors' from-python.err || fail "$(cat from-python.err)"

# ---- the released model: names and shapes of 4.1 G parameters, in files that are holes ----
"$python" - <<'PY'
import json, os, tensors
config = dict(num_layers=48, num_attention_heads=24, attention_head_dim=64, in_channels=128, out_channels=32, patch_size=2,
              enc_hidden_dim=2880, num_text_layers=4, axes_dims_rope=[8, 28, 28], rope_theta=10000.0, eps=1e-6, txt_norm_eps=1e-5)
os.makedirs("released/transformer")
json.dump(config, open("released/transformer/config.json", "w"))
table = tensors.table(config)
tensors.write_holes("released/transformer/diffusion_pytorch_model.safetensors", table, "BF16")
del table["norm_out.linear.bias"]
table["proj_out.weight"] = (1536, 128)
table["more.weight"] = (1,)
os.makedirs("wrong/transformer")
json.dump(config, open("wrong/transformer/config.json", "w"))
tensors.write_holes("wrong/transformer/diffusion_pytorch_model.safetensors", table, "BF16")
PY
ckpt 0 verify released
says '^released: 1264 tensors, 4104225152 parameters: those of its configuration$'
ckpt 1 verify wrong
says '^wrong: not the tensors of this model: 1 missing .norm_out.linear.bias.; 1 misshapen .proj_out.weight: expected .128, 1536., found .1536, 128..; 1 extra .more.weight.$'

# ---- said wrong ----
ckpt 2
ckpt 2 shw run
says 'unknown action "shw" .did you mean "show"'
ckpt 2 show
ckpt 2 convert run
ckpt 2 merge-lora run -o x
ckpt 1 show nothing
says '^lens ckpt: nothing: no such file or folder$'
"$python" -c 'import safetensors' 2>/dev/null || echo 'read and written without the safetensors library'
