#!/usr/bin/env bash
# What lens train leaves behind: each file is there, whole, and says what it should, as read by others than lens.
set -eu
lens=$1
# shellcheck source-path=SCRIPTDIR source=train.sh
. "$(dirname "$0")/train.sh"
make_set
printf 'a red circle\n\n  a blue square, "quoted"\nein grünes Dreieck\n' >prompts.txt

train 0 run train.checkpoint_every=6 train.keep=2 sample.every=8 sample.steps=3 sample.prompts=prompts.txt
[ ! -s run.out ] || fail "stdout: $(head -3 run.out)"
grep -qE '^sgemm ratio G/T [01]\.[0-9]+: the products of the last 10 steps alone take [0-9.]+ s of their [0-9.]+ s' run.err ||
    fail "no sgemm ratio: $(cat run.err)"
[ "$(grep -c '^step ' run.err)" -le 20 ] || fail 'more than twenty lines of progress where stderr is no terminal'
grep -q $'\r' run.err && fail 'a progress line where stderr is no terminal'
[ "$(ls run/checkpoints)" = "$(printf 'latest\nstep-00000018\nstep-00000020')" ] || fail "kept: $(ls run/checkpoints)"
[ "$(readlink run/checkpoints/latest)" = step-00000020 ] || fail "latest: $(readlink run/checkpoints/latest)"
find run -name '*.tmp*' | grep . && fail 'temporary files are left'

# The configuration is written with every key, loads again, and is then the same one.
cmp run/config.yaml run/checkpoints/latest/config.yaml
"$lens" train --keys >keys
"$lens" train run/config.yaml run.dir=again >again.out 2>again.err || fail "$(cat again.err)"
diff <(sed 's|^  dir: .*|  dir: -|' run/config.yaml) <(sed 's|^  dir: .*|  dir: -|' again/config.yaml) ||
    fail 'config.yaml, loaded again, is another one'
same_numbers run again 1 20
same_checkpoint run again
cmp run/samples/step-00000016.png again/samples/step-00000016.png

"$python" - <<'PY'
import json, re, struct, zlib
from pathlib import Path
run = Path("run")

# ---- run.json, metrics.jsonl, events ----
record = json.loads((run / "run.json").read_text())
assert record["command"] == "lens train tiny.yaml run.dir=run train.checkpoint_every=6 train.keep=2 sample.every=8 " \
    "sample.steps=3 sample.prompts=prompts.txt", record["command"]
for key, value in dict(world=1, threads=1, device="cpu", datasets=["set"], global_batch=8, steps=20).items():
    assert record[key] == value, (key, record[key])
for key in "version", "commit", "build": assert record[key], key
for key in "started", "finished": assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ", record[key]), record[key]
assert record["peak_gflops"] > 0 and record["wall_s"] > 0 and 0 < record["sgemm_ratio"] < 2, record

rows = [json.loads(line) for line in (run / "metrics.jsonl").read_text().splitlines()]
assert [row["step"] for row in rows] == list(range(1, 21))
for row in rows:
    assert set(row) == {"step", "loss", "lr", "grad_norm", "images_per_s", "mfu", "step_s", "images", "model_flop",
                        "text_tok", "wait_s", "comm_s", "exposed_s", "skipped", *(f"loss_t{i}" for i in range(10))}, row
    bins = [row[f"loss_t{i}"] for i in range(10) if row[f"loss_t{i}"] is not None]
    assert bins and min(bins) <= row["loss"] <= max(bins) and row["skipped"] == 0, row
    assert 0.1 < row["loss"] < 5 and row["grad_norm"] > 0 and row["step_s"] > 0 and 0 < row["mfu"] < 1.5, row
    assert row["images"] == 8 * row["step"] and row["model_flop"] > 0 and 0 < row["text_tok"] <= 8 * 48, row
assert abs(rows[1]["lr"] - 0.4e-3) < 1e-9 and abs(rows[-1]["lr"] - 1e-3) < 1e-9, "warm-up, then constant"

events, = run.glob("events.out.tfevents.*")
data, at, n_records, n_pictures = events.read_bytes(), 0, 0, 0
while at < len(data):
    n, = struct.unpack_from("<Q", data, at)
    n_pictures += b"\x89PNG" in data[at + 12:at + 12 + n]
    at, n_records = at + 12 + n + 4, n_records + 1
assert at == len(data) and n_records >= 1 + 20 + 3 and n_pictures == 3, (n_records, n_pictures)

# ---- samples ----
assert (run / "samples/prompts.txt").read_text() == 'a red circle\na blue square, "quoted"\nein grünes Dreieck\n'
names = sorted(path.name for path in (run / "samples").iterdir())
assert names == ["prompts.txt"] + [f"step-{step:08}.png" for step in (8, 16, 20)], names

def pixels(path):  # of an 8-bit PNG, every filter undone not needed: only that it is whole
    png, at, size, packed = path.read_bytes(), 8, None, b""
    assert png[:8] == b"\x89PNG\r\n\x1a\n"
    while True:
        n, kind = struct.unpack_from(">I4s", png, at)
        body = png[at + 8:at + 8 + n]
        assert zlib.crc32(kind + body) == struct.unpack_from(">I", png, at + 8 + n)[0]
        at += 12 + n
        if kind == b"IHDR": size = struct.unpack(">IIBB", body[:10])
        if kind == b"IDAT": packed += body
        if kind == b"IEND": break
    assert at == len(png)
    return size, zlib.decompress(packed)

for name in names[1:]:
    (width, height, depth, colour), rows_ = pixels(run / "samples" / name)
    # 3 pictures of 16 x 12 in a grid of 2 x 2 with gutters of 2 px between them.
    assert (width, height, depth, colour) == (34, 26, 8, 2), (name, width, height, depth, colour)
    assert len(rows_) == height * (1 + 3 * width)
assert pixels(run / "samples" / names[1]) != pixels(run / "samples" / names[3]), "the samples do not change"

# ---- the checkpoint: every tensor of the released model, by name and shape ----
d, m, e, head_dim, blocks, channels = 20, 53, 18, 10, 2, 48
expected = {"img_in.weight": [d, channels], "img_in.bias": [d], "txt_norm.0.weight": [e], "txt_in.weight": [d, e],
            "txt_in.bias": [d], "norm_out.linear.weight": [2 * d, d], "norm_out.linear.bias": [2 * d],
            "proj_out.weight": [channels, d], "proj_out.bias": [channels]}
for i, width in (1, 256), (2, d):
    expected[f"time_text_embed.timestep_embedder.linear_{i}.weight"] = [d, width]
    expected[f"time_text_embed.timestep_embedder.linear_{i}.bias"] = [d]
for i in range(blocks):
    for stream, q, k, out in (("img", "norm_q", "norm_k", "to_out.0"),
                              ("txt", "norm_added_q", "norm_added_k", "to_add_out")):
        block = {f"{stream}_mod.1.weight": [6 * d, d], f"{stream}_mod.1.bias": [6 * d],
                 f"{stream}_norm1.weight": [d], f"{stream}_norm2.weight": [d],
                 f"{stream}_mlp.w1.weight": [m, d], f"{stream}_mlp.w2.weight": [d, m], f"{stream}_mlp.w3.weight": [m, d],
                 f"attn.{stream}_qkv.weight": [3 * d, d], f"attn.{stream}_qkv.bias": [3 * d],
                 f"attn.{q}.weight": [head_dim], f"attn.{k}.weight": [head_dim],
                 f"attn.{out}.weight": [d, d], f"attn.{out}.bias": [d]}
        expected |= {f"transformer_blocks.{i}.{name}": shape for name, shape in block.items()}

def read(path):
    data = path.read_bytes()
    n, = struct.unpack("<Q", data[:8])
    header, body, end = json.loads(data[8:8 + n]), data[8 + n:], 0
    header.pop("__metadata__", None)
    tensors = {}
    for name, t in sorted(header.items(), key=lambda item: item[1]["data_offsets"]):
        begin, size = t["data_offsets"][0], 4
        for length in t["shape"]: size *= length
        assert t["dtype"] == "F32" and begin == end and t["data_offsets"][1] == begin + size, (path, name, t)
        end = begin + size
        tensors[name] = (t["shape"], struct.unpack(f"<{size // 4}f", body[begin:end]))
        assert all(abs(x) < 1e4 for x in tensors[name][1]), (path, name)
    assert end == len(body), path
    return tensors

def shapes(tensors): return {name: shape for name, (shape, _) in tensors.items()}

latest = run / "checkpoints/latest"
embedding = {"embedding.weight": [300, e]}
for folder in latest, latest / "ema":
    weights = read(folder / "transformer/diffusion_pytorch_model.safetensors")
    assert shapes(weights) == expected, set(shapes(weights).items()) ^ set(expected.items())
    text = read(folder / "text_encoder/model.safetensors")
    assert shapes(text) == embedding
    index, config = (json.loads((folder / name).read_text()) for name in ("model_index.json", "transformer/config.json"))
    assert (index["width"], index["height"]) == (16, 12), index
    assert (config["num_layers"], config["num_attention_heads"], config["attention_head_dim"]) == (2, 2, 10), config
    assert config["axes_dims_rope"] == [2, 4, 4] and config["patch_size"] == 4 and config["in_channels"] == 48, config
n_parameters = sum(len(values) for _, values in (weights | text).values())
assert record["model"]["parameters"] == n_parameters, (record["model"], n_parameters)

# One rank owns every tensor whole: its slices begin at 0.
owned = read(latest / "state/rank-0000-of-0001.safetensors")
moments = {name.removesuffix(":0"): values for name, values in owned.items()}
both = expected | {f"text_encoder.{name}": shape for name, shape in embedding.items()}
def n_of(shape): return [shape[0] * n_of(shape[1:])[0]] if shape else [1]
assert shapes(moments) == {f"{kind}.{name}": n_of(shape) for kind in "mv" for name, shape in both.items()}
# Of the last block's text only keys and values reach the output: what else there is has no gradient, all others do.
dead = re.compile(r"transformer_blocks\.1\.(txt_norm2|txt_mlp|attn\.to_add_out|attn\.norm_added_q)")
for name in expected:
    assert any(moments["v." + name][1]) != bool(dead.match(name)), name
assert min(moments["v.img_in.weight"][1]) >= 0
trainer = json.loads((latest / "state/trainer.json").read_text())
assert (trainer["step"], trainer["seed"], trainer["n_images"], trainer["n_samples"]) == (20, 1, 160, 200), trainer

# ---- every key of the configuration is explained ----
written, section = [], None
for line in (run / "config.yaml").read_text().splitlines():
    if re.match(r"\w+:$", line): section = line[:-1]
    if found := re.match(r"  (\w+):", line): written.append(f"{section}.{found[1]}")
listed = re.findall(r"^  (\w+\.\w+)[= ]", Path("keys").read_text(), re.M)
assert len(written) > 35 and written == listed, set(written) ^ set(listed)
PY
