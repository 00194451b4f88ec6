#!/usr/bin/env python3
"""Loading pictures for training: lens beside WebDataset and MosaicML Streaming, on one core, from the same bytes.

    peers_loader.py pictures DIR N           N photo-like pictures of 512 x 512 and 768 x 512 px, as JPEG
    peers_loader.py pack DIR                 their bytes as a tar (WebDataset) and as MDS (Streaming); WebP: the very bytes
                                             that lens stored, out of DIR/export
    peers_loader.py time DIR --lens LENS     images/s, as a markdown table

Each loader decodes every picture to 256 x 256 px, RGB, as its users would: from a tar read in order by WebDataset (its
documented decode of "pil", then Pillow's resize), from MDS by Streaming (its "jpeg" and "bytes" encodings, which decode by
Pillow), both with a box filter; and, as the best that a user of theirs could do with JPEG, with Pillow's draft mode, which
has libjpeg shrink while it decodes. lens (`lens bench data`) loads in shuffled order, cropped to the bucket, with a box filter; its first
picture is not timed. No workers: the process's own thread, pinned by taskset. Rounds of all alternate in
one run; the median of each counts. peers_loader.sh makes the environment and calls these in order."""

import argparse
import io
import json
import os
import platform
import statistics
import subprocess
import sys
import tarfile
import time

import numpy as np
from PIL import Image, ImageDraw, features

SIDE = 256


# ---- pictures ----
def noise(rng, height, width):
    """Noise with the spectrum of photographs, a little softer than 1/f, in 0..255, [height, width, 3]."""
    fy, fx = np.fft.fftfreq(height)[:, None], np.fft.rfftfreq(width)[None, :]
    amplitude = np.maximum(np.hypot(fy, fx), 1 / max(height, width)) ** -1.5
    shape = (3, height, width // 2 + 1)
    grain = np.fft.irfft2(amplitude * np.exp(2j * np.pi * rng.random(shape)), (height, width))
    grain[1:] = 0.75 * grain[:1] + 0.25 * grain[1:]  # colours of a photograph go together
    grain = (grain - grain.mean()) / grain.std()
    return np.clip(128 + 48 * grain, 0, 255).astype(np.uint8).transpose(1, 2, 0)


def picture(rng, width, height):
    image = Image.fromarray(noise(rng, height, width))
    draw = ImageDraw.Draw(image)
    for _ in range(int(rng.integers(2, 9))):
        x, y = rng.integers(0, width), rng.integers(0, height)
        w, h = rng.integers(20, 200, 2)
        colour = tuple(int(c) for c in rng.integers(0, 256, 3))
        (draw.ellipse if rng.random() < 0.5 else draw.rectangle)([x, y, x + w, y + h], fill=colour)
    return image


def make_pictures(args):
    os.makedirs(f"{args.dir}/jpg", exist_ok=True)
    rng = np.random.default_rng(1)
    for i in range(args.n):
        image = picture(rng, 768 if i % 2 else 512, 512)
        image.save(f"{args.dir}/jpg/{i:06d}.jpg", quality=90)


# ---- the peers' formats ----
def each_file(args, kind):
    if kind == "jpg":
        for name in sorted(os.listdir(f"{args.dir}/jpg")):
            with open(f"{args.dir}/jpg/{name}", "rb") as file:
                yield name, file.read()
        return
    for name in sorted(os.listdir(f"{args.dir}/export")):
        with tarfile.open(f"{args.dir}/export/{name}") as tar:
            for member in tar:
                if member.name.endswith(".webp"):
                    yield member.name, tar.extractfile(member).read()


def pack(args):
    from streaming import MDSWriter

    for kind in ("jpg", "webp"):
        with tarfile.open(f"{args.dir}/{kind}.tar", "w") as tar:
            for name, data in each_file(args, kind):
                member = tarfile.TarInfo(name)
                member.size = len(data)
                tar.addfile(member, io.BytesIO(data))
        with MDSWriter(out=f"{args.dir}/{kind}.mds", columns={"image": "bytes"}, exist_ok=True) as out:
            for _, data in each_file(args, kind):
                out.write({"image": data})


# ---- loading ----
def resize(image):
    return np.asarray(image.convert("RGB").resize((SIDE, SIDE), Image.Resampling.BOX))


def draft(data):
    image = Image.open(io.BytesIO(data))
    image.draft("RGB", (SIDE, SIDE))
    return resize(image)


def webdataset_rows(args, kind, use_draft):
    import webdataset

    rows = webdataset.WebDataset(f"{args.dir}/{kind}.tar", shardshuffle=False, empty_check=False)
    if use_draft:
        return (draft(row[kind]) for row in rows)
    return (resize(row[kind]) for row in rows.decode("pil"))


def streaming_rows(args, kind, use_draft):
    from streaming import StreamingDataset

    rows = StreamingDataset(local=f"{args.dir}/{kind}.mds", shuffle=False, batch_size=1)
    load = draft if use_draft else lambda data: resize(Image.open(io.BytesIO(data)))
    return (load(row["image"]) for row in rows)


def timed(rows):
    """First picture's delay in s, images/s of all that follow it."""
    begin = time.perf_counter()
    rows = iter(rows())
    next(rows)
    first = time.perf_counter()
    n = 0
    for pixels in rows:
        assert pixels.shape == (SIDE, SIDE, 3)
        n += 1
    return first - begin, n / (time.perf_counter() - first)


def time_lens(args, kind):
    command = [args.lens, "bench", "data", f"{args.dir}/{kind}.lens", "--buckets", f"{SIDE}x{SIDE}"]
    command += ["--threads", "1", "--rounds", "1", "--seconds", "12", "--json"]
    answer = subprocess.run(command, capture_output=True, text=True)
    if answer.returncode != 0:
        sys.exit(f"{' '.join(command)}: {answer.stderr.strip()}")
    return None, json.loads(answer.stdout)["loader_per_s"]


def versions(args):
    import streaming
    import torch
    import webdataset

    lens = subprocess.run([args.lens, "--version"], capture_output=True, text=True).stdout.splitlines()[0]
    yield f"{lens}; Python {platform.python_version()}; webdataset {webdataset.__version__}"
    yield f"mosaicml-streaming {streaming.__version__} (torch {torch.__version__})"
    jpeg = "libjpeg-turbo" if features.check_feature("libjpeg_turbo") else "libjpeg"
    yield f"Pillow {Image.__version__} ({jpeg} {features.version('jpg')}, libwebp {features.version('webp')})"


def time_all(args):
    loaders = {
        "lens": lambda kind: time_lens(args, kind),
        "webdataset, pil": lambda kind: timed(lambda: webdataset_rows(args, kind, False)),
        "webdataset, draft": lambda kind: timed(lambda: webdataset_rows(args, kind, True)),
        "streaming, pil": lambda kind: timed(lambda: streaming_rows(args, kind, False)),
        "streaming, draft": lambda kind: timed(lambda: streaming_rows(args, kind, True)),
    }
    bench = subprocess.run([args.lens, "bench", "--help"], capture_output=True).returncode == 0
    if not bench:
        print("this lens has no `bench`: the peers alone\n")
    print(*(f"- {line}" for line in versions(args)), sep="\n")
    print(f"- median of {args.rounds} alternating rounds, {SIDE} x {SIDE} px, one core\n")
    print("| pictures | loader | images/s | least-most | first picture, s |\n| --- | --- | --- | --- | --- |")
    for kind in ("jpg", "webp"):
        lens_too = bench and os.path.isdir(f"{args.dir}/{kind}.lens")
        named = [name for name in loaders if (kind == "jpg" or "draft" not in name) and (lens_too or name != "lens")]
        rounds = {name: [] for name in named}
        for _ in range(args.rounds):
            for name in named:
                rounds[name].append(loaders[name](kind))
        for name in named:
            rates = [rate for _, rate in rounds[name]]
            delays = [delay for delay, _ in rounds[name] if delay is not None]
            first = f"{statistics.median(delays):.3f}" if delays else "-"
            print(f"| {kind} | {name} | {statistics.median(rates):.0f} | {min(rates):.0f}-{max(rates):.0f} | {first} |", flush=True)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    actions = parser.add_subparsers(required=True)
    for name, call in (("pictures", make_pictures), ("pack", pack), ("time", time_all)):
        action = actions.add_parser(name)
        action.set_defaults(call=call)
        action.add_argument("dir")
        if name == "pictures":
            action.add_argument("n", type=int)
        if name == "time":
            action.add_argument("--lens", required=True)
            action.add_argument("--rounds", type=int, default=5)
    args = parser.parse_args()
    args.call(args)


if __name__ == "__main__":
    main()
