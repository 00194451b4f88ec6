#!/usr/bin/env bash
# How many bytes a caption takes on disk: a caption layer of lens beside what the same captions take in WebDataset's tar
# (a member KEY.txt each: a header of 512 bytes, padded to 512), that tar under gzip, and JSON lines under gzip and zstd.
#   tests/bench/caption_sizes.sh [LENS] [N] [FOLDER]     N scenes, 20000 unless given; prints a markdown table
# The captions are of lens scenes: the true dense ones, and those of `lens recaption --captioner describe`. A layer holds a
# JSON record for each caption besides its text; the others hold key and text alone.
set -euo pipefail
root=$(cd "$(dirname "$0")/../.." && pwd)
lens=$(realpath "${1:-$root/build/release/lens}")
n=${2:-20000}
work=${3:-$(mktemp -d)}
[ $# -ge 3 ] || trap 'rm -rf "$work"' EXIT
mkdir -p "$work"
cd "$work"
[ -d set ] || "$lens" scenes -n "$n" --seed 1 --captions -o set >&2
[ -d set/dense ] || "$lens" recaption set --captioner describe >&2

# What stands in each .txt of the exported tars, as KEY.txt members alone and as JSON lines; the raw bytes to stdout.
repack() {
    "${LENS_PYTHON:-/usr/bin/python3}" - "$1" <<'PY'
import glob, io, json, sys, tarfile

kind, raw = sys.argv[1], 0
with tarfile.open(f"{kind}.tar", "w") as texts, open(f"{kind}.jsonl", "w") as lines:
    for path in sorted(glob.glob(f"{kind}-tars/*.tar")):
        with tarfile.open(path) as tar:
            for member in tar:
                if not member.name.endswith(".txt"):
                    continue
                text = tar.extractfile(member).read()
                raw += len(text)
                one = tarfile.TarInfo(member.name)
                one.size = len(text)
                texts.addfile(one, io.BytesIO(text))
                lines.write(json.dumps({"key": member.name[:-4], "caption": text.decode()}) + "\n")
print(raw)
PY
}

bytes() {
    cat "$@" | wc -c
}
row() {
    awk -v kind="$1" -v what="$2" -v bytes="$3" -v lens="$4" -v n="$n" \
        'BEGIN { printf "| %s | %s | %.1f | %.2f |\n", kind, what, bytes / n, bytes / lens }'
}
echo "$("$lens" --version | head -1); $n captions a kind; gzip -6, zstd -3"
echo
echo '| captions | kept as | bytes a caption | times the layer |'
echo '| --- | --- | --- | --- |'
for kind in truth-dense dense; do
    [ -d "$kind-tars" ] || "$lens" shards export set -o "$kind-tars" --caption "$kind" >&2
    raw=$(repack "$kind")
    layer=$(bytes set/"$kind"/*.h5)
    row "$kind" 'lens: layer shards' "$layer" "$layer"
    row "$kind" 'the texts alone, as they are' "$raw" "$layer"
    row "$kind" 'webdataset: tar' "$(bytes "$kind.tar")" "$layer"
    row "$kind" 'webdataset: tar.gz' "$(gzip -6 -c "$kind.tar" | wc -c)" "$layer"
    row "$kind" 'JSON lines, gzip' "$(gzip -6 -c "$kind.jsonl" | wc -c)" "$layer"
    if command -v zstd >/dev/null; then row "$kind" 'JSON lines, zstd' "$(zstd -3 -q -c "$kind.jsonl" | wc -c)" "$layer"; fi
done
