#!/usr/bin/env python3
"""What tests/gpu/run.sh measured, part by part, as one JSON file and one page. Python's own library alone.

    summarise.py check NAME STATUS LOG                           a JSON line of one test program, from its log
    summarise.py part OUT NAME STATUS RC SECONDS LIMIT           OUT/parts/NAME.json, from OUT/logs/NAME.*
    summarise.py report OUT [DRY_RUN]                            OUT/benchmarks-gpu.json and .md, from OUT/parts/*.json
"""
import csv
import glob
import json
import os
import re
import statistics
import sys

TRAIN = ("train_512", "train_512_keep", "train_512_varies", "train_768", "train_1024")
TELLING = (r" units of at most |^ERROR: |\"good\": false|^check_attention: |ERROR SUMMARY|"
           r"========= (Invalid|Error|Race|Program)|lens: ")  # lines of a check's log that say what failed
# Parts are cut off at any moment: a result appears whole or not at all.


def write(path, text):
    with open(path + ".tmp", "w", encoding="utf-8") as f:
        f.write(text)
        f.flush()
        os.fsync(f.fileno())
    os.replace(path + ".tmp", path)


def read(path):
    try:
        with open(path, encoding="utf-8", errors="replace") as f:
            return f.read()
    except FileNotFoundError:
        return ""


def objects(text):
    """The JSON objects that begin a line of the text."""
    decoder, found, at = json.JSONDecoder(), [], 0
    for m in re.finditer(r"^\{", text, re.M):
        if m.start() < at:
            continue
        try:
            value, at = decoder.raw_decode(text, m.start())
            found.append(value)
        except ValueError:
            at = m.start() + 1
    return found


def device_samples(path):
    rows = [r for r in csv.reader(read(path).splitlines()) if len(r) == 4]
    columns = []
    for column in zip(*rows):
        columns.append([float(v) for v in column if re.fullmatch(r" *[\d.]+ *", v)])
    if not columns or not all(columns):
        return None
    memory, sm, power, heat = columns
    return {"memory_mib": max(memory), "sm_mhz": statistics.median(sm), "power_w": max(power), "celsius": max(heat)}


def check(name, status, log):
    text = read(log)
    failed = re.findall(r"\[  FAILED  \] ([a-z]\w*)", text)
    errors = [line.strip() for line in text.splitlines()
              if re.search(TELLING, line)]
    worst = [(float(a) / float(b) if float(b) else 0.0, n) for n, a, b in
             re.findall(r"^observed (.+?)\s+([\d.]+|inf) of ([\d.]+)$", text, re.M)]
    print(json.dumps({"check": name, "status": int(status), "failed": sorted(set(failed)), "errors": errors[:12],
                      "n_compared": len(worst), "nearest": max(worst, default=(0.0, ""))}))


def part(out, name, status, rc, seconds, limit):
    log = os.path.join(out, "logs", name)
    text, errors = read(log + ".out"), read(log + ".err")
    found = objects(text)
    reason = (text.strip() or errors.strip()).splitlines()[-1:] if status != "ok" else []
    if status in ("failed", "out of time") and errors.strip():
        reason = errors.strip().splitlines()[-1:]
    if any("check" in r for r in found):
        reason = [", ".join(r["check"] for r in found if r.get("status"))]
    result = {"part": name, "status": status, "reason": reason[0] if reason else "", "rc": int(rc),
              "seconds": int(seconds), "limit_s": int(limit), "results": found, "gpu": device_samples(log + ".smi"),
              "text": [] if found else text.splitlines()[-30:], "errors": errors.splitlines()[-20:]}
    write(os.path.join(out, "parts", name + ".json"), json.dumps(result, indent=1) + "\n")


# ---- figures ----

def merged(p):
    """All objects of a part as one."""
    all_of = {}
    for r in (p or {}).get("results", []):
        all_of.update(r)
    return all_of


def train_row(p):
    r = merged(p)
    if "step_s" not in r:
        return None
    settings = dict(s.split("=", 1) for s in r.get("settings", "").split())
    mfu = r.get("mfu_sheet")  # lens knows the data sheets
    return {"size": settings.get("data.buckets"), "layers": r.get("layers"), "batch": settings.get("train.batch"),
            "micro_batches": settings.get("train.accumulate"),
            "checkpointing": settings.get("train.checkpointing"),
            "deterministic": settings.get("run.deterministic", "true"),
            "step_s": r["step_s"], "images_per_s": r["images_per_s"], "mfu": mfu, "mfu_measured_peak": r["mfu"],
            "sheet_tflops": r["mfu"] * r["peak_gflops"] / 1e3 / mfu if mfu else None,
            "peak_tflops": r["peak_gflops"] / 1e3, "ratio": r["ratio"], "used_mib": r.get("used_mib"),
            "seen_mib": (p.get("gpu") or {}).get("memory_mib"),
            "planned_mib": r.get("planned_mib") or r.get("plan_mib"),
            "phases": {k: r[k] for k in ("input_s", "forward_s", "backward_s", "update_s") if k in r}}


def figures(parts):
    f = {"train": {n: row for n in TRAIN if (row := train_row(parts.get(n)))}}
    mix = [f["train"][n] for n in ("train_512", "train_768", "train_1024") if n in f["train"]]
    if len(mix) == 3:
        time = sum(r["step_s"] for r in mix)
        f["mix"] = {"step_s": time / 3, "images_per_s": sum(r["images_per_s"] * r["step_s"] for r in mix) / time,
                    "mfu": sum(r["mfu"] * r["step_s"] for r in mix) / time if all(r["mfu"] for r in mix) else None}
    f["torch"] = merged(parts.get("torch")) or None
    ours = [r["images_per_s"] for n, r in f["train"].items() if n.startswith("train_512")]
    if f["torch"] and "images_per_s" in f["torch"] and ours:
        f["over_torch"] = max(ours) / f["torch"]["images_per_s"]
    calls = merged(parts.get("kernels")).get("calls", [])
    f["kernels"] = sorted(calls, key=lambda c: -c["share"])
    moving = [c for c in calls if is_moving(c)]
    if moving:
        worst = min(moving, key=lambda c: c["of_ceiling"])
        f["slowest_moving"] = {"row": worst["row"], "sizes": worst["sizes"], "of_ceiling": worst["of_ceiling"]}
        whole = sum(c["share"] for c in moving)
        f["moving_of_ceiling"] = sum(c["of_ceiling"] * c["share"] for c in moving) / whole if whole else 0.0
    return f


def is_moving(call):
    """A row that memory bounds, and whose time is one that counts: half a per mille of the step."""
    return not re.match(r"linear|attention|lora|muon", call["row"]) and call["share"] >= 5e-4


# ---- the page ----

def table(head, rows):
    if not rows:
        return []
    return ["| " + " | ".join(head) + " |", "| " + " | ".join("---" for _ in head) + " |",
            *("| " + " | ".join(str(v).replace("|", "/") for v in row) + " |" for row in rows), ""]


def number(x, digits=3, scale=1.0, unit=""):
    return "not measured" if x is None else f"{x * scale:.{digits}f}{unit}"


def targets(f):
    one, whole = f["train"].get("train_512"), f.get("mix")
    best = max((r["mfu"] or 0 for n, r in f["train"].items() if n.startswith("train_512")), default=None)
    memory = (one or {}).get("seen_mib") or (one or {}).get("used_mib")
    fits = one and one["layers"] == 48 and memory
    rows = [("MFU at 512 x 512, batch 24", ">= 45 % (60 % wished)", best or None, 0.45, 100, " %"),
            ("MFU of stage 2's three bases", ">= 45 % (60 % wished)", whole and whole["mfu"], 0.45, 100, " %"),
            ("memory-bound rows over the copy, weighed by time", ">= 80 %", f.get("moving_of_ceiling"), 0.8, 100, " %"),
            ("images/s over PyTorch's", ">= 1.3", f.get("over_torch"), 1.3, 1, ""),
            ("4.1 B parameters, batch 24: memory", "<= 139 GiB", -memory / 1024 if fits else None, -139, -1, " GiB")]
    for name, want, got, limit, scale, unit in rows:
        verdict = "" if got is None else "yes" if got >= limit else "NO"
        cut = f" with {one['layers']} of 48 blocks" if got is not None and one and one["layers"] != 48 else ""
        yield name, want, number(got, 2 if unit == "" else 1, scale, unit) + cut, verdict


def numerics(parts):
    rows = []
    for name in ("selftest_f32", "selftest_bf16", "selftest_own"):
        for file in merged(parts.get(name)).get("files", []):
            for mode, groups in file["checkpointing"].items():
                for g in groups:
                    if mode == "none" or g["group"].startswith("gradients"):
                        rows.append((name[9:], file["file"], mode, g["group"], f"{g['worst']:.1e}",
                                     f"{g['tolerance']:.0e}", g["worst_tensor"],
                                     "" if g["worst"] <= g["tolerance"] else "NO"))
    return table(("mode", "file", "checkpointing", "group", "worst", "tolerance", "tensor", ""), rows)


def checks(p):
    rows = [(c["check"], {0: "ok", 124: "out of time"}.get(c["status"], f"FAILED ({c['status']})"), c["n_compared"],
             f"{c['nearest'][0]:.2f} {c['nearest'][1]}", "; ".join(c["failed"] + c["errors"][:3]))
            for c in (p or {}).get("results", []) if "check" in c]
    return table(("program", "result", "comparisons", "nearest to its tolerance", "what failed"), rows)


def training(f):
    rows = [(r["size"], r["layers"], r["batch"], r["micro_batches"], r["checkpointing"], r["deterministic"],
             number(r["step_s"], 4), number(r["images_per_s"], 2), number(r["mfu"], 1, 100, " %"),
             number(r["sheet_tflops"], 1), number(r["mfu_measured_peak"], 1, 100, " %"), number(r["peak_tflops"], 1),
             number(r["ratio"], 2), number(r["used_mib"], 0), number(r["planned_mib"], 0), number(r["seen_mib"], 0))
            for r in f["train"].values()]
    lines = table(("size", "blocks", "batch", "micro-batches", "checkpointing", "deterministic", "step, s",
                   "images/s", "MFU", "of the data sheet's TFLOP/s", "MFU", "of the measured TFLOP/s", "G/T", "memory, MiB", "plan, MiB",
                   "nvidia-smi, MiB"), rows)
    lines += table(("size", "input, s", "forward, s", "backward, s", "update, s"),
                   [(r["size"] + " " + r["checkpointing"], *(number(v, 4) for v in r["phases"].values()))
                    for r in f["train"].values()])
    if f.get("mix"):
        lines += [f"The three bases in turn: {f['mix']['images_per_s']:.2f} images/s, MFU "
                  f"{number(f['mix']['mfu'], 1, 100, ' %')}.", ""]
    t = f.get("torch")
    if t and "step_s" in t:
        lines += [f"PyTorch {t['torch']}, {t['layers']} blocks, batch {t['batch']}: {t['step_s']:.4f} s a step, "
                  f"{t['images_per_s']:.2f} images/s, {number(t['memory_gib'], 1)} GiB, recomputation: "
                  f"{t['recompute']}, "
                  f"{t['accumulate']} micro-batch(es). lens over it: {number(f.get('over_torch'), 2)}.", ""]
    return lines


def rates(f):
    rows = []
    for c in f["kernels"]:
        products = bool(re.match(r"linear|attention|lora|muon", c["row"]))
        rate = c["flop"] / c["s"] / 1e12 if products else c["least_bytes"] / c["s"] / 1e9
        rows.append((c["row"], c["sizes"], f"{c['calls']:.0f}", f"{c['s'] * 1e6:.1f}",
                     f"{rate:.1f} {'TFLOP/s' if products else 'GB/s'}", f"{100 * c['of_ceiling']:.1f} %",
                     f"{100 * c['share']:.1f} %"))
    return table(("row", "sizes", "calls", "us", "rate", "of the ceiling", "share"), rows)


def page(parts, f, dry_run):
    facts = merged(parts.get("facts"))
    device = facts.get("device", {})
    lines = ["# On a GPU", "", "Written by `tests/gpu/run.sh`.", ""]
    if dry_run:
        lines += ["**A dry run on the emulated device at tiny sizes: no figure here means anything.**", ""]
    lines += [f"{device.get('name', 'unknown device')}, driver {device.get('driver_version', '-')}, "
              f"{facts.get('date', 'no date')}.", "", "## Targets", ""]
    lines += table(("what", "target", "measured", "met"), list(targets(f)))
    lines += ["## Parts", ""] + table(("part", "result", "s", "why"), [
        (n, p["status"], p["seconds"], p["reason"]) for n, p in parts.items()])
    sections = (("Training steps", training(f)), ("Rows at the sizes of a step", rates(f)),
                ("Golden files", numerics(parts)), ("Rows against the CPU's", checks(parts.get("checks"))),
                ("Memory checkers", checks(parts.get("sanitizer"))))
    for title, body in sections:
        lines += ["## " + title, ""] + (body or ["Not measured.", ""])
    flat = {k: v for k, v in facts.items() if k != "device"}
    flat.update(device)
    flat.update(facts.get("libraries", {}))
    flat.pop("libraries", None)
    lines += ["## Machine", ""] + table(("what", "value"), [
        (k, ", ".join(v) if isinstance(v, list) else v) for k, v in flat.items()])
    return "\n".join(lines).rstrip() + "\n"


def report(out, dry_run):
    parts = {}
    for path in sorted(glob.glob(os.path.join(out, "parts", "*.json")), key=os.path.getmtime):
        p = json.loads(read(path))
        parts[p["part"]] = p
    f = figures(parts)
    write(os.path.join(out, "benchmarks-gpu.json"), json.dumps({"figures": f, "parts": parts}, indent=1) + "\n")
    write(os.path.join(out, "benchmarks-gpu.md"), page(parts, f, dry_run))


def main():
    words = sys.argv[1:]
    commands = {"check": (check, 3, 3), "part": (part, 6, 6), "report": (report, 1, 2)}
    if not words or words[0] not in commands:
        sys.exit(__doc__)
    function, least, most = commands[words[0]]
    if not least <= len(words) - 1 <= most:
        sys.exit(__doc__)
    if function is report:
        report(words[1], len(words) > 2 and words[2] != "")
    else:
        function(*words[1:])


main()
