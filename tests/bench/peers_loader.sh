#!/usr/bin/env bash
# peers_loader.py from nothing: an environment with pinned versions, pictures, their copies for each loader, the table.
#   tests/bench/peers_loader.sh [LENS] [N] [FOLDER]    N pictures, 2000 unless given; FOLDER keeps all for the next time
# Needs some 5 GB for the environment: torch comes with it.
set -euo pipefail
root=$(cd "$(dirname "$0")/../.." && pwd)
lens=$(realpath "${1:-$root/build/release/lens}")
n=${2:-2000}
work=${3:-$(mktemp -d)}
[ $# -ge 3 ] || trap 'rm -rf "$work"' EXIT
bench=$root/tests/bench/peers_loader.py
python=$work/venv/bin/python
mkdir -p "$work"
work=$(realpath "$work")
if [ ! -e "$work/venv/ready" ]; then
    "${LENS_PYTHON:-/usr/bin/python3}" -m venv "$work/venv"
    "$python" -m pip install -q webdataset==1.0.2 mosaicml-streaming==0.13.0 numpy==2.1.3 pillow==13.0.0 torch==2.15.0 >&2
    touch "$work/venv/ready"
fi
[ -d "$work/pics/jpg" ] || "$python" "$bench" pictures "$work/pics" "$n" >&2
cd "$work/pics"
[ -d webp.lens ] || "$lens" ingest jpg -o webp.lens --quality 90 >&2
if [ ! -d jpg.lens ] && "$lens" ingest --help | grep -q -e --keep-jpeg; then "$lens" ingest jpg -o jpg.lens --keep-jpeg >&2; fi
[ -d export ] || "$lens" shards export webp.lens -o export >&2
[ -d jpg.mds ] || "$python" "$bench" pack . >&2
OMP_NUM_THREADS=1 taskset -c 0 "$python" "$bench" time . --lens "$lens" --rounds 5
