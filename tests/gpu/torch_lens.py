#!/usr/bin/env python3
"""The training step of a configuration in PyTorch on a GPU, for `lens bench train` to be compared with.

    torch_lens.py time LENS CONFIG [KEY=VALUE...] [--seconds S] [--device cuda|cpu]    a JSON line
    torch_lens.py check FILE...       what this trains is what `lens bench train --dump FILE` trains

The model is that of tests/bench/torch_train.py with PyTorch's usual means: weights, activations and gradients in bf16
with float32 master weights, fused AdamW, blocks compiled by torch.compile (one compilation for all), fused attention.
The batch is random: the configuration's first bucket, all text.max_tok tokens valid, no mask. Where memory does not
suffice, activations are computed again as torch.compile chooses (activation_memory_budget), then by whole blocks, then
the batch is cut into micro-batches: the first way that fits is measured, and told as `recompute` and `accumulate`.
"""
import argparse
import json
import os
import subprocess
import sys
import time

import torch
import torch.nn.functional as F
from torch.utils.checkpoint import checkpoint

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "bench"))
from torch_train import Batch, Config, File, LENS_TOLERANCE, MMDiT, median, relative, stream_names  # noqa: E402

# (activation_memory_budget, whole blocks again, micro-batches), the least work first.
WAYS = ((1.0, False, 1), (0.7, False, 1), (0.4, False, 1), (1.0, True, 1), (1.0, True, 2), (1.0, True, 4))
CHUNK = 1 << 28  # elements of one optimiser's tensors: float32 gradients exist for one chunk at a time


def random_parameters(c, channels, device, dtype):
    """All tensors of the model by released name."""
    D, M, e, n, K = c.dim, int(c.dim / 3 * 8), c.enc_hidden_dim, c.num_text_layers, c.head_dim
    side = {"mod_w": (6 * D, D), "mod_b": (6 * D,), "norm1": (D,), "norm2": (D,), "w1": (M, D), "w2": (D, M),
            "w3": (M, D), "qkv_w": (3 * D, D), "qkv_b": (3 * D,), "norm_q": (K,), "norm_k": (K,), "out_w": (D, D),
            "out_b": (D,)}
    shapes = {stream_names(i, name)[key]: shape
              for i in range(c.num_layers) for name in ("img", "txt") for key, shape in side.items()}
    time_name = "time_text_embed.timestep_embedder.linear_"
    for name, shape in (("img_in", (D, channels)), ("txt_in", (D, n * e)), (time_name + "1", (D, 256)),
                        (time_name + "2", (D, D)), ("norm_out.linear", (2 * D, D)), ("proj_out", (channels, D))):
        shapes[name + ".weight"], shapes[name + ".bias"] = shape, shape[:1]
    shapes.update({f"txt_norm.{i}.weight": (e,) for i in range(n)})
    return {name: torch.randn(shape, device=device, dtype=dtype) * 0.02 + ("norm" in name and len(shape) == 1)
            for name, shape in shapes.items()}


class RandomBatch:
    mask = None

    def __init__(self, c, n, h, w, text, channels, device, dtype):
        random = lambda *shape: torch.randn(shape, device=device, dtype=dtype)
        self.x, self.target = random(n, h * w, channels), random(n, h * w, channels)
        self.t = torch.rand(n, device=device)
        self.texts = [random(n, text, c.enc_hidden_dim) for _ in range(c.num_text_layers)]

    def part(self, i, n):
        """Micro-batch i of n."""
        b = object.__new__(RandomBatch)
        b.x, b.target, b.t = (v.chunk(n)[i] for v in (self.x, self.target, self.t))
        b.texts = [v.chunk(n)[i] for v in self.texts]
        return b


def again_in_backward(block):
    """The block keeps its inputs alone."""
    forward = block.forward
    block.forward = lambda *args: checkpoint(forward, *args, use_reentrant=False)


def loss_of(model, b):
    return F.mse_loss(model(b.x, b.t, b.texts, b.mask).float(), b.target.float())


class Trainer:
    def __init__(self, model, budget, whole_blocks, accumulate, decays):
        import torch._functorch.config as functorch
        functorch.activation_memory_budget = budget
        torch._dynamo.reset()
        for block in model.blocks:
            block.compile()  # of one class: compiled once, and once for the last
            if whole_blocks:
                again_in_backward(block)
        self.model, self.accumulate, self.decays = model, accumulate, decays
        unused = model.blocks[-1].txt.norm_q  # the last block's text asks nothing
        self.params = [p for p in model.parameters() if p is not unused]
        self.masters = [p.detach().float() for p in self.params]
        self.averages = [[m.clone() for m in self.masters] for _ in decays]
        self.chunks, size = [[]], 0
        for i, m in enumerate(self.masters):
            if size + m.numel() > CHUNK and self.chunks[-1]:
                self.chunks.append([])
                size = 0
            self.chunks[-1].append(i)
            size += m.numel()
        self.optimisers = [torch.optim.AdamW([self.masters[i] for i in chunk], lr=1e-4, betas=(0.9, 0.999),
                                             weight_decay=0.01, fused=True) for chunk in self.chunks]

    def gradients(self, batch):
        for i in range(self.accumulate):
            b = batch.part(i, self.accumulate) if self.accumulate > 1 else batch
            (loss_of(self.model, b) / self.accumulate).backward()

    @torch.no_grad()
    def update(self):
        torch.nn.utils.clip_grad_norm_(self.params, 1.0, foreach=True)
        for chunk, optimiser in zip(self.chunks, self.optimisers):
            masters, params = ([of[i] for i in chunk] for of in (self.masters, self.params))
            for m, p in zip(masters, params):
                m.grad = p.grad.float()
            optimiser.step()
            optimiser.zero_grad(set_to_none=True)
            torch._foreach_copy_(params, masters)
            for average, decay in zip(self.averages, self.decays):
                torch._foreach_lerp_([average[i] for i in chunk], masters, 1 - decay)
        for p in self.params:
            p.grad = None

    def step(self, batch):
        self.gradients(batch)
        self.update()


def settings(lens, config, overrides):
    """Of the configuration, as lens itself reads it."""
    def get(key):
        return subprocess.run([lens, "plan", config, *overrides, "--get", key], check=True, capture_output=True,
                              text=True).stdout.strip()
    patch, downscale, channels = (int(get("model." + k)) for k in ("patch", "downscale", "channels"))
    width, height = (int(v) for v in get("data.buckets").split(",")[0].split("x"))
    axes = tuple(int(get("model." + k)) for k in ("rope_frame", "rope_row", "rope_column"))
    c = Config({"num_layers": get("model.layers"), "num_heads": get("model.heads"), "head_dim": get("model.head_dim"),
                "enc_hidden_dim": get("text.dim"), "num_text_layers": get("text.layers"), "axes_dims_rope": str(axes),
                "rope_theta": "10000", "eps": "1e-6", "txt_norm_eps": "1e-5"})
    return c, {"n": int(get("train.batch").split(",")[0]), "h": height // downscale // patch,
               "w": width // downscale // patch, "text": int(get("text.max_tok")),
               "channels": channels * patch * patch}, [float(d) for d in get("train.ema").split(",") if float(d)]


def measure(trainer, batch, seconds, wait):
    begin = time.perf_counter()
    for _ in range(3):  # compiles and allocates
        trainer.step(batch)
        wait()
    first_s, times, end = time.perf_counter() - begin, [], time.perf_counter() + seconds
    while time.perf_counter() < end or len(times) < 3:
        begin = time.perf_counter()
        trainer.step(batch)
        wait()
        times.append(time.perf_counter() - begin)
    return first_s, times


def time_steps(a):
    cuda = a.device == "cuda"
    if cuda and not torch.cuda.is_available():
        sys.exit("no GPU answers PyTorch")
    wait = torch.cuda.synchronize if cuda else lambda: None
    c, shape, decays = settings(a.lens, a.config, a.overrides)
    n = shape["n"]
    for budget, whole_blocks, accumulate in WAYS:
        if n % accumulate:
            continue
        trainer = model = None
        try:
            if cuda:
                torch.cuda.reset_peak_memory_stats()
            p = random_parameters(c, shape["channels"], a.device, torch.bfloat16)
            model = MMDiT(c, p, shape["h"], shape["w"], shape["text"], torch.bfloat16).to(a.device)
            p = None
            batch = RandomBatch(c, device=a.device, dtype=torch.bfloat16, **shape)
            trainer = Trainer(model, budget, whole_blocks, accumulate, decays)
            first_s, times = measure(trainer, batch, a.seconds, wait)
        except torch.cuda.OutOfMemoryError:
            print(f"does not fit: budget {budget}, whole blocks {whole_blocks}, {accumulate} micro-batches",
                  file=sys.stderr, flush=True)
        else:
            step_s = median(times)
            print(json.dumps({
                "torch": torch.__version__, "device": torch.cuda.get_device_name() if cuda else "cpu", "batch": n,
                "layers": c.num_layers, "parameters": sum(v.numel() for v in model.parameters()),
                "text_tok": shape["text"], "image_tok": shape["h"] * shape["w"], "steps": len(times), "step_s": step_s,
                "best_s": min(times),
                "images_per_s": n / step_s, "recompute": "blocks" if whole_blocks else f"budget {budget}",
                "accumulate": accumulate, "first_steps_s": first_s,
                "memory_gib": torch.cuda.max_memory_allocated() / 2 ** 30 if cuda else None}))
            return 0
        trainer = model = batch = None
        torch.cuda.empty_cache()
    sys.exit("no way of computing the step fits into the GPU's memory")


def check(paths):
    failed = False
    for path in paths:
        f = File(path)
        want = f.group("grad.", torch.float64)
        channels = f.tensors["in.x_t"].shape[-1]
        shapes = {n: p.shape for n, p in random_parameters(f.config, channels, "cpu", torch.float32).items()}
        same = shapes == {n[6:]: p.shape for n, p in f.tensors.items() if n.startswith("param.")}
        print(f"{path}: {len(shapes)} parameters, names and shapes {'agree' if same else 'DIFFER'}")
        failed |= not same
        b = Batch(f, torch.float32)
        for budget, whole_blocks, _ in (WAYS[0], WAYS[2], WAYS[3]):
            model = MMDiT(f.config, f.group("param.", torch.float32), b.h, b.w, b.T, torch.float32)
            trainer = Trainer(model, budget, whole_blocks, 1, [0.9])
            trainer.gradients(b)
            worst = max(relative(torch.zeros_like(want[n]) if g is None else g, want[n])
                        for n, g in model.named_gradients())
            before = loss_of(model, b).item()
            trainer.update()
            trainer.model.zero_grad(set_to_none=True)
            after = loss_of(model, b).item()
            ok = worst <= LENS_TOLERANCE[torch.float32] and after < before
            failed |= not ok
            print(f"{path}: budget {budget}, whole blocks {whole_blocks}: worst gradient {worst:.2e}, loss "
                  f"{before:.6f} -> {after:.6f}{'' if ok else '  <-- FAILED'}")
    return 1 if failed else 0


def main():
    parser = argparse.ArgumentParser(usage=__doc__)
    modes = parser.add_subparsers(dest="mode", required=True)
    t = modes.add_parser("time")
    t.add_argument("lens")
    t.add_argument("config")
    t.add_argument("overrides", nargs="*")
    t.add_argument("--seconds", type=float, default=20)
    t.add_argument("--device", choices=("cuda", "cpu"), default="cuda")
    modes.add_parser("check").add_argument("files", nargs="+")
    a = parser.parse_args()
    return time_steps(a) if a.mode == "time" else check(a.files)


if __name__ == "__main__":
    sys.exit(main())
