#!/usr/bin/env bash
# How much of the communication of 4 ranks is hidden behind compute, over a link that a shim slows (tests/fault/slow_link.c).
#   tests/bench/overlap.sh [LENS] [BATCH] [MB/s...]    build/release/lens, 128 pictures a step, 100 200 400
set -euo pipefail
root=$(cd "$(dirname "$0")/../.." && pwd)
lens=$(realpath "${1:-$root/build/release/lens}")
batch=${2:-128}
[ $# -lt 2 ] && set -- || shift 2
[ $# -gt 0 ] || set -- 100 200 400
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
export OMPI_ALLOW_RUN_AS_ROOT=1 OMPI_ALLOW_RUN_AS_ROOT_CONFIRM=1 GOMP_SPINCOUNT=1000 LENS_TEST_LINK_US=50
"$lens" scenes -n 600 --seed 1 --size 32 --captions -o "$work/set" >/dev/null 2>&1
for zero in 0 1 2; do
    for speed in "$@"; do
        rm -rf "$work/run"
        LENS_TEST_LINK_MBPS=$speed mpirun --oversubscribe -np 4 -x LENS_TEST_LINK_MBPS -x LENS_TEST_LINK_US \
            -x LD_PRELOAD="$(dirname "$lens")/slow_link.so" "$lens" train "$root/configs/nano.yaml" data.dataset="$work/set" \
            data.captions=truth-dense run.dir="$work/run" run.threads=1 train.zero=$zero train.group_mb=1 train.batch="$batch" \
            train.steps=14 sample.every=0 >"$work/log" 2>&1 || { cat "$work/log"; exit 1; }
        "${LENS_PYTHON:-/usr/bin/python3}" - "$work/run/metrics.jsonl" $zero "$speed" <<'PY'
import json, sys
rows = [json.loads(line) for line in open(sys.argv[1])][2:]
step, under_way, exposed = (sum(r[key] for r in rows) / len(rows) for key in ("step_s", "comm_s", "exposed_s"))
print(f"zero {sys.argv[2]}, {sys.argv[3]:>4} MB/s: step {step:.3f} s, communication {under_way:.3f} s, of it waited for {exposed:.3f} s: "
      f"{100 * (1 - exposed / under_way):.0f} % hidden")
PY
    done
done
