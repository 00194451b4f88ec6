#!/usr/bin/env python3
"""facts.py LENS [DRY_RUN]: one JSON object of what the figures depend on: device, driver, libraries, host, program."""
import ctypes
import json
import os
import platform
import subprocess
import sys

QUERY = ("name", "driver_version", "memory.total", "memory.free", "clocks.max.sm", "clocks.max.memory",
         "ecc.mode.current", "power.limit", "compute_cap", "mig.mode.current", "persistence_mode")
VERSIONS = {"cublasLt": ("libcublasLt.so.13", "cublasLtGetVersion", ctypes.c_size_t),
            "cudnn": ("libcudnn.so.9", "cudnnGetVersion", ctypes.c_size_t)}


def output(*command):
    try:
        return subprocess.run(command, capture_output=True, text=True, timeout=20).stdout.strip()
    except (OSError, subprocess.TimeoutExpired):
        return ""


def library_versions():
    found = {}
    for name, (file, function, kind) in VERSIONS.items():
        try:
            call = getattr(ctypes.CDLL(file), function)
            call.restype = kind
            found[name] = str(call())
        except (OSError, AttributeError) as e:
            found[name] = f"not found: {e}"
    try:
        number = ctypes.c_int()
        ctypes.CDLL("libnccl.so.2").ncclGetVersion(ctypes.byref(number))
        found["nccl"] = str(number.value)
    except (OSError, AttributeError) as e:
        found["nccl"] = f"not found: {e}"
    return found


def main():
    lens, dry_run = sys.argv[1], len(sys.argv) > 2 and sys.argv[2] != ""
    facts = {"date": output("date", "-u", "+%Y-%m-%d %H:%M UTC"), "kernel": platform.release(), "cores": os.cpu_count()}
    facts["program"] = "; ".join(" ".join(line.split()) for line in output(lens, "--version").splitlines())
    with open("/proc/cpuinfo", encoding="ascii", errors="replace") as f:
        facts["processor"] = next((line.split(":", 1)[1].strip() for line in f if line.startswith("model name")), "?")
    if dry_run:
        facts["device"] = {"name": "emulated"}
    else:
        values = output("nvidia-smi", "-i", "0", "--query-gpu=" + ",".join(QUERY), "--format=csv,noheader").split(", ")
        facts["device"] = dict(zip(QUERY, values))
        facts["libraries"] = library_versions()
        facts["nvcc"] = output("nvcc", "--version").splitlines()[-1:]
        module = os.path.join(os.path.dirname(lens), "lens_cuda.so")
        facts["loaded"] = [line.strip() for line in output("ldd", module).splitlines()
                           if any(s in line for s in ("cublas", "cudnn", "nccl"))]
    print(json.dumps(facts))


main()
