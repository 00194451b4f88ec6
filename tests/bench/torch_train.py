#!/usr/bin/env python3
"""The Lens MMDiT in PyTorch: a second reference for gradients, and what `lens bench train` is compared with.

    torch_train.py check FILE...                gradients here, in float64 and float32, against those in the files
    torch_train.py time FILE SECONDS THREADS    steps of the model and batch in FILE, eager and compiled; a JSON line

FILE: safetensors as in tests/golden (README.md there), or as `lens bench train --dump FILE` writes it. Tensors have the
released names; letters as in model/README.md. The model is written for PyTorch's speed: fused attention, one product
for w1 and w3, all six modulations in one product, no text behind the last block's attention, fused AdamW.
"""
import ast
import json
import math
import sys
import time

import torch
import torch.nn.functional as F
from safetensors import safe_open

# Of gradients, at most 4 times what was observed: 3.6e-8 and 6.6e-6 for the golden files, which are float64's results
# kept in float32; 1.3e-6 and 5.9e-6 for a pass of lens, which is float32 itself.
GOLDEN_TOLERANCE = {torch.float64: 1.4e-7, torch.float32: 2.5e-5}
LENS_TOLERANCE = {torch.float64: 5e-6, torch.float32: 2.3e-5}
LOSS_TOLERANCE = 2.4e-7  # observed 1.0e-7: two units of the last place of the float32 it is kept in


class Config:
    def __init__(self, meta):
        for key in ("num_layers", "num_heads", "head_dim", "enc_hidden_dim", "num_text_layers"):
            setattr(self, key, int(meta[key]))
        self.axes = ast.literal_eval(meta["axes_dims_rope"])
        self.theta, self.eps, self.txt_eps = (float(meta[k]) for k in ("rope_theta", "eps", "txt_norm_eps"))
        self.dim = self.num_heads * self.head_dim


class File:
    def __init__(self, path):
        with safe_open(path, "pt") as f:
            self.meta = f.metadata()
            self.tensors = {name: f.get_tensor(name) for name in f.keys()}
        self.config = Config(self.meta)

    def group(self, prefix, dtype):
        return {n[len(prefix):]: t.to(dtype) for n, t in self.tensors.items() if n.startswith(prefix)}


def rope_table(c, h, w, text, dtype):
    """[h w + text, head_dim / 2] angles: a centred grid, then text on all three axes behind it."""
    r, col = torch.meshgrid(torch.arange(h) - (h - h // 2), torch.arange(w) - (w - w // 2), indexing="ij")
    image = torch.stack([torch.zeros(h * w), r.reshape(-1), col.reshape(-1)], 1)
    words = (max(h // 2, w // 2) + torch.arange(text))[:, None].expand(text, 3)
    position = torch.cat([image, words]).double()
    angles = [position[:, a:a + 1] * c.theta ** (-2 * torch.arange(d // 2).double() / d) for a, d in enumerate(c.axes)]
    return torch.cat(angles, 1).to(torch.float64)


def rotate(x, turn):
    """Rotates adjacent pairs of [B, n, H, K]; turn [n, 1, K / 2]: complex, or cosines and sines in one pair."""
    if torch.is_tensor(turn):
        return torch.view_as_real(torch.view_as_complex(x.unflatten(-1, (-1, 2))) * turn).flatten(-2)
    cos, sin = turn
    a, b = x.unflatten(-1, (-1, 2)).unbind(-1)
    return torch.stack([a * cos - b * sin, a * sin + b * cos], -1).flatten(-2).to(x.dtype)


class Stream(torch.nn.Module):
    """One of a block's two streams. `ends`: nothing is computed behind attention."""

    def __init__(self, c, p, names, ends):
        super().__init__()
        self.heads, self.eps, self.ends = c.num_heads, c.eps, ends
        take = lambda name: torch.nn.Parameter(p[names[name]].clone())
        self.mod_w, self.mod_b, self.qkv_w, self.qkv_b = (take(n) for n in ("mod_w", "mod_b", "qkv_w", "qkv_b"))
        self.norm1, self.norm_q, self.norm_k = (take(n) for n in ("norm1", "norm_q", "norm_k"))
        if not ends:
            self.norm2, self.out_w, self.out_b, self.w2 = (take(n) for n in ("norm2", "out_w", "out_b", "w2"))
            self.w13 = torch.nn.Parameter(torch.cat([p[names["w1"]], p[names["w3"]]]))

    def before(self, x, s, turn):
        B, L, D = x.shape
        mod = F.linear(s, self.mod_w, self.mod_b)[:, None].chunk(6, -1)
        xi = F.rms_norm(x, (D,), self.norm1, self.eps) * (1 + mod[1]) + mod[0]
        q, k, v = F.linear(xi, self.qkv_w, self.qkv_b).view(B, L, 3, self.heads, -1).unbind(2)
        K = q.shape[-1]
        q = rotate(F.rms_norm(q, (K,), self.norm_q, self.eps), turn).transpose(1, 2)
        k = rotate(F.rms_norm(k, (K,), self.norm_k, self.eps), turn).transpose(1, 2)
        return q, k, v.transpose(1, 2), mod

    def after(self, x, o, mod):
        if self.ends:
            return None
        x = x + mod[2] * F.linear(o, self.out_w, self.out_b)
        z = F.rms_norm(x, (x.shape[-1],), self.norm2, self.eps) * (1 + mod[4]) + mod[3]
        u, v = F.linear(z, self.w13).chunk(2, -1)
        return x + mod[5] * F.linear(F.silu(u) * v, self.w2)


def stream_names(i, side):
    b = f"transformer_blocks.{i}."
    text = side == "txt"
    names = {"mod_w": f"{side}_mod.1.weight", "mod_b": f"{side}_mod.1.bias", "norm1": f"{side}_norm1.weight",
             "norm2": f"{side}_norm2.weight", "w1": f"{side}_mlp.w1.weight", "w2": f"{side}_mlp.w2.weight",
             "w3": f"{side}_mlp.w3.weight", "qkv_w": f"attn.{side}_qkv.weight", "qkv_b": f"attn.{side}_qkv.bias",
             "norm_q": f"attn.norm_{'added_' if text else ''}q.weight",
             "norm_k": f"attn.norm_{'added_' if text else ''}k.weight",
             "out_w": f"attn.{'to_add_out' if text else 'to_out.0'}.weight",
             "out_b": f"attn.{'to_add_out' if text else 'to_out.0'}.bias"}
    return {key: b + name for key, name in names.items()}


class Block(torch.nn.Module):
    def __init__(self, c, p, i):
        super().__init__()
        self.img = Stream(c, p, stream_names(i, "img"), False)
        self.txt = Stream(c, p, stream_names(i, "txt"), i + 1 == c.num_layers)

    def forward(self, x, y, s, turn_x, turn_y, mask):
        N = x.shape[1]
        qx, kx, vx, mod_x = self.img.before(x, s, turn_x)
        qy, ky, vy, mod_y = self.txt.before(y, s, turn_y)
        q = qx if self.txt.ends else torch.cat([qx, qy], 2)
        o = F.scaled_dot_product_attention(q, torch.cat([kx, ky], 2), torch.cat([vx, vy], 2), mask)
        o = o.transpose(1, 2).flatten(2)
        return self.img.after(x, o[:, :N], mod_x), self.txt.after(y, o[:, N:], mod_y)


class MMDiT(torch.nn.Module):
    def __init__(self, c, p, h, w, text, dtype, complex_rotation=False):
        super().__init__()
        self.c, self.N = c, h * w
        self.blocks = torch.nn.ModuleList(Block(c, p, i) for i in range(c.num_layers))
        take = lambda name: torch.nn.Parameter(p[name].clone())
        time_name = "time_text_embed.timestep_embedder.linear_"
        self.img_w, self.img_b = take("img_in.weight"), take("img_in.bias")
        self.txt_w, self.txt_b = take("txt_in.weight"), take("txt_in.bias")
        self.t1_w, self.t1_b = take(time_name + "1.weight"), take(time_name + "1.bias")
        self.t2_w, self.t2_b = take(time_name + "2.weight"), take(time_name + "2.bias")
        self.norm_w, self.norm_b = take("norm_out.linear.weight"), take("norm_out.linear.bias")
        self.out_w, self.out_b = take("proj_out.weight"), take("proj_out.bias")
        self.txt_norm = torch.nn.ParameterList([take(f"txt_norm.{i}.weight") for i in range(c.num_text_layers)])
        angles = rope_table(c, h, w, text, dtype)
        self.complex_rotation = complex_rotation
        if complex_rotation:
            self.register_buffer("turn", torch.polar(torch.ones_like(angles), angles)
                                 .to(torch.complex64 if dtype == torch.float32 else torch.complex128)[:, None])
        wide = torch.float32 if dtype == torch.bfloat16 else dtype
        self.register_buffer("cos", angles.cos().to(wide)[:, None])
        self.register_buffer("sin", angles.sin().to(wide)[:, None])

    def turns(self, first, n):
        part = slice(first, first + n)
        return self.turn[part] if self.complex_rotation else (self.cos[part], self.sin[part])

    def forward(self, x, t, texts, mask):
        """x [B, N, Cin], t [B] (at least float32), texts: n of [B, T, e], mask: [B, 1, 1, N + T] for scores, or None."""
        c, N, T = self.c, self.N, texts[0].shape[1]
        x = F.linear(x, self.img_w, self.img_b)
        y = F.linear(torch.cat([F.rms_norm(f, (f.shape[-1],), w, c.txt_eps) for f, w in zip(texts, self.txt_norm)], -1),
                     self.txt_w, self.txt_b)
        a = 1000 * t[:, None] * torch.exp(-math.log(10000) * torch.arange(128, dtype=t.dtype, device=t.device) / 128)
        s = F.linear(torch.cat([a.cos(), a.sin()], -1).to(x.dtype), self.t1_w, self.t1_b)
        s = F.silu(F.linear(F.silu(s), self.t2_w, self.t2_b))
        turn_x, turn_y = self.turns(0, N), self.turns(N, T)
        for block in self.blocks:
            x, y = block(x, y, s, turn_x, turn_y, mask)
        scale, shift = F.linear(s, self.norm_w, self.norm_b)[:, None].chunk(2, -1)
        x = F.layer_norm(x, (c.dim,), eps=c.eps) * (1 + scale) + shift
        return F.linear(x, self.out_w, self.out_b)

    def named_gradients(self):
        """Gradients by released name; None where nothing flows back."""
        time_name = "time_text_embed.timestep_embedder.linear_"
        top = {"img_w": "img_in.weight", "img_b": "img_in.bias", "txt_w": "txt_in.weight", "txt_b": "txt_in.bias",
               "t1_w": time_name + "1.weight", "t1_b": time_name + "1.bias", "t2_w": time_name + "2.weight",
               "t2_b": time_name + "2.bias", "norm_w": "norm_out.linear.weight", "norm_b": "norm_out.linear.bias",
               "out_w": "proj_out.weight", "out_b": "proj_out.bias"}
        for field, name in top.items():
            yield name, getattr(self, field).grad
        for i, w in enumerate(self.txt_norm):
            yield f"txt_norm.{i}.weight", w.grad
        for i, block in enumerate(self.blocks):
            for side, stream in (("img", block.img), ("txt", block.txt)):
                for field, name in stream_names(i, side).items():
                    if field in ("w1", "w3"):
                        w13 = getattr(stream, "w13", None)
                        yield name, None if w13 is None else w13.grad.chunk(2)[field == "w3"]
                    else:
                        w = getattr(stream, field, None)
                        yield name, None if w is None else w.grad


class Batch:
    def __init__(self, f, dtype):
        t = f.tensors
        self.h, self.w = (int(v) for v in t["in.grid"])
        self.x, self.t = t["in.x_t"].to(dtype), t["in.t"].to(dtype)
        self.target = t["in.noise"].to(dtype) - t["in.data"].to(dtype)
        self.texts = [t[f"in.txt.{i}"].to(dtype) for i in range(f.config.num_text_layers)]
        self.T = self.texts[0].shape[1]
        valid = t["in.txt_mask"].bool()
        self.mask = None
        if not valid.all():
            bias = torch.zeros(len(self.t), 1, 1, self.h * self.w + self.T, dtype=dtype)
            bias[:, 0, 0, self.h * self.w:].masked_fill_(~valid, float("-inf"))
            self.mask = bias


def loss_of(model, b):
    return F.mse_loss(model(b.x, b.t, b.texts, b.mask), b.target)


def relative(a, b):
    size = b.double().norm()
    return ((a.double() - b.double()).norm() / size).item() if size > 0 else a.double().norm().item()


def check(paths):
    failed = False
    for path in paths:
        f = File(path)
        want = f.group("grad.", torch.float64)
        golden = "float64" in f.meta.get("note", "")
        for dtype, tolerance in (GOLDEN_TOLERANCE if golden else LENS_TOLERANCE).items():
            b = Batch(f, dtype)
            model = MMDiT(f.config, f.group("param.", dtype), b.h, b.w, b.T, dtype)
            loss = loss_of(model, b)
            loss.backward()
            worst, where, n = 0.0, "", 0
            for name, grad in model.named_gradients():
                error = relative(torch.zeros_like(want[name]) if grad is None else grad, want[name])
                worst, where, n = (error, name, n + 1) if error > worst else (worst, where, n + 1)
            loss_error = abs(loss.item() / f.tensors["out.losses"][0].item() - 1)
            failed |= not (worst <= tolerance and loss_error <= LOSS_TOLERANCE and n == len(want))
            print(f"{path}: {str(dtype)[6:]}: loss off by {loss_error:.1e}, {n} of {len(want)} gradients, worst "
                  f"{worst:.2e} of {tolerance:.1e} ({where})")
    return 1 if failed else 0


def step_times(model, call, b, seconds, decays):
    """Seconds, and seconds of processor time, of single steps: forward, backward, clip, AdamW, averages of weights."""
    params = list(model.parameters())
    average = [p.detach().clone() for p in params]
    optimiser = torch.optim.AdamW(params, lr=1e-4, betas=(0.9, 0.99), weight_decay=0.01, fused=True)
    times, cpu_times, end = [], [], None
    while end is None or time.perf_counter() < end or not times:
        begin, cpu_begin = time.perf_counter(), time.process_time()
        optimiser.zero_grad(set_to_none=True)
        loss_of(call, b).backward()
        torch.nn.utils.clip_grad_norm_(params, 1.0, foreach=True)
        optimiser.step()
        for decay in decays:
            torch._foreach_lerp_(average, [p.detach() for p in params], 1 - decay)
        if end is not None:
            times.append(time.perf_counter() - begin)
            cpu_times.append(time.process_time() - cpu_begin)
        else:  # the first step compiles and allocates
            end = time.perf_counter() + seconds
    return times, cpu_times


def median(x):
    return sorted(x)[len(x) // 2]


def time_steps(path, seconds, threads):
    torch.set_num_threads(threads)
    f = File(path)
    b = Batch(f, torch.float32)
    decays = [float(d) for d in f.meta.get("ema", "").split(",") if d]
    out = {"torch": torch.__version__, "batch": len(b.t)}
    for name in ("eager", "compile"):
        model = MMDiT(f.config, f.group("param.", torch.float32), b.h, b.w, b.T, torch.float32, name == "eager")
        times, cpu = step_times(model, model if name == "eager" else torch.compile(model), b, seconds, decays)
        out[name] = {"n": len(times), "step_s": median(times), "best_s": min(times), "cpu_s": median(cpu)}
    print(json.dumps(out))
    return 0


if __name__ == "__main__":
    if len(sys.argv) >= 3 and sys.argv[1] == "check":
        sys.exit(check(sys.argv[2:]))
    if len(sys.argv) == 5 and sys.argv[1] == "time":
        sys.exit(time_steps(sys.argv[2], float(sys.argv[3]), int(sys.argv[4])))
    sys.exit(__doc__)
