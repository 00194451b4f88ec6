"""safetensors files for tests: read by the safetensors library where it is installed, by hand elsewhere; written by hand.
BF16 is read as the float32 it stands for. And the table of a transformer's tensors, from its configuration."""
import json
import struct

import numpy as np

try:
    import safetensors
except ImportError:
    safetensors = None

TYPES = {"F32": "<f4", "F16": "<f2", "F64": "<f8", "BF16": "<u2", "I64": "<i8"}


def read(path):
    raw = open(path, "rb").read()
    (length,) = struct.unpack("<Q", raw[:8])
    header = json.loads(raw[8 : 8 + length])
    out = {}
    for name, t in header.items():
        if name == "__metadata__":
            continue
        begin, end = t["data_offsets"]
        x = np.frombuffer(raw[8 + length + begin : 8 + length + end], TYPES[t["dtype"]]).reshape(t["shape"])
        out[name] = (x.astype("<u4") << 16).view("<f4") if t["dtype"] == "BF16" else x
    if safetensors:
        with safetensors.safe_open(path, framework="np") as f:
            assert set(f.keys()) == set(out)
            for name, x in out.items():
                assert tuple(f.get_slice(name).get_shape()) == x.shape, name
                if header[name]["dtype"] != "BF16":
                    assert np.array_equal(f.get_tensor(name), x), name
    return out


def header_of(shapes, dtype, meta):
    header, at = {"__metadata__": meta} if meta else {}, 0
    for name, shape in shapes.items():
        n = int(np.prod(shape, dtype="i8")) * np.dtype(TYPES[dtype]).itemsize
        header[name] = {"dtype": dtype, "shape": list(shape), "data_offsets": [at, at + n]}
        at += n
    text = json.dumps(header).encode()
    return struct.pack("<Q", len(text)) + text, at


def write(path, tensors, meta, dtype="F32"):
    head, _ = header_of({k: x.shape for k, x in tensors.items()}, dtype, meta)
    with open(path, "wb") as f:
        f.write(head)
        for x in tensors.values():
            if dtype == "BF16":  # to nearest, ties to even
                bits = np.ascontiguousarray(x, "<f4").view("<u4").astype("u8")
                x = ((bits + 0x7FFF + (bits >> 16 & 1)) >> 16).astype("<u2")
            f.write(np.ascontiguousarray(x).tobytes())


def write_holes(path, shapes, dtype):
    head, n = header_of(shapes, dtype, {"format": "pt"})
    with open(path, "wb") as f:
        f.write(head)
        f.truncate(len(head) + n)


def table(c):
    d = c["num_attention_heads"] * c["attention_head_dim"]
    m, e, n = int(d / 3 * 8), c["enc_hidden_dim"], c["num_text_layers"]
    t = {"img_in.weight": (d, c["in_channels"]), "img_in.bias": (d,)}
    t |= {f"txt_norm.{i}.weight": (e,) for i in range(n)}
    t |= {"txt_in.weight": (d, n * e), "txt_in.bias": (d,)}
    for layer, width in ("linear_1", 256), ("linear_2", d):
        t[f"time_text_embed.timestep_embedder.{layer}.weight"] = (d, width)
        t[f"time_text_embed.timestep_embedder.{layer}.bias"] = (d,)
    for i in range(c["num_layers"]):
        b = f"transformer_blocks.{i}."
        for s, q, k, out in ("img", "norm_q", "norm_k", "to_out.0"), ("txt", "norm_added_q", "norm_added_k", "to_add_out"):
            t |= {b + f"{s}_mod.1.weight": (6 * d, d), b + f"{s}_mod.1.bias": (6 * d,)}
            t |= {b + f"{s}_norm1.weight": (d,), b + f"{s}_norm2.weight": (d,)}
            t |= {b + f"{s}_mlp.{w}.weight": (m, d) for w in ("w1", "w3")} | {b + f"{s}_mlp.w2.weight": (d, m)}
            t |= {b + f"attn.{s}_qkv.weight": (3 * d, d), b + f"attn.{s}_qkv.bias": (3 * d,)}
            t |= {b + f"attn.{x}.weight": (c["attention_head_dim"],) for x in (q, k)}
            t |= {b + f"attn.{out}.weight": (d, d), b + f"attn.{out}.bias": (d,)}
    t |= {"norm_out.linear.weight": (2 * d, d), "norm_out.linear.bias": (2 * d,)}
    width = c["out_channels"] * c["patch_size"] ** 2
    return t | {"proj_out.weight": (width, d), "proj_out.bias": (width,)}
