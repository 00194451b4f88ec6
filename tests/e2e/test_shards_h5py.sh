#!/usr/bin/env bash
# Shards are plain HDF5: the reader printed in docs/shard-format.md, run with h5py and the plugin of this build, reads what
# lens prints; h5dump too, where it is installed.
set -u
lens=$1
python=/usr/bin/python3
"$python" -c 'import h5py' 2>/dev/null || { echo "skipped: $python has no h5py" && exit 77; }
if "$lens" --version | grep -q '^build: .*sanitizers'; then
    echo "skipped: a plugin built with sanitizers does not load into python" && exit 77
fi
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
HDF5_PLUGIN_PATH=$(dirname "$lens")/plugins
export HDF5_PLUGIN_PATH
failures=0
complain() {
    echo "FAILED: $1"
    failures=$((failures + 1))
}

"$lens" scenes -n 60 --captions --shard-samples 25 --size 48 -o "$work/set" >/dev/null || exit 1
"$lens" shards export "$work/set" -o "$work/tar" --caption truth-dense >/dev/null || exit 1
# shellcheck disable=SC2046  # one index a word
"$lens" shards cat "$work/set" --json $(seq 0 59) >"$work/lens.jsonl" || exit 1
"$lens" shards ls "$work/set" --json >"$work/ls.json" || exit 1

# shellcheck disable=SC2016  # backquotes of Markdown
sed -n '/^```python$/,/^```$/p' docs/shard-format.md | sed '1d;$d' >"$work/reader.py"
for shard in "$work"/set/base/*.h5; do
    name=$(basename "$shard")
    "$python" "$work/reader.py" "$shard" "$work/set/truth-brief/$name" "$work/set/truth-dense/$name" || exit 1
done >"$work/h5py.jsonl"

"$python" - "$work" <<'PYTHON' || complain "h5py reads something else than lens"
import glob, json, os, sys, tarfile
import h5py

work = sys.argv[1]
ours = [json.loads(line) for line in open(os.path.join(work, "lens.jsonl"))]
theirs = [json.loads(line) for line in open(os.path.join(work, "h5py.jsonl"))]
assert len(ours) == len(theirs) == 60, (len(ours), len(theirs))
members = {}
for path in sorted(glob.glob(os.path.join(work, "tar", "*.tar"))):
    with tarfile.open(path) as tar:
        for member in tar:
            members[member.name] = tar.extractfile(member).read()
assert len(members) == 180
for a, b in zip(ours, theirs):
    for field in ("key", "width", "height", "original_width", "original_height", "meta", "captions"):
        assert a[field] == b[field], (field, a[field], b[field])
    webp = bytes.fromhex(b["picture"])
    assert len(webp) == a["image_bytes"] and webp[:4] == b"RIFF"
    assert webp == members[a["key"] + ".webp"]
    assert members[a["key"] + ".txt"].decode() == b["captions"]["truth-dense"]
    record = json.loads(members[a["key"] + ".json"])
    assert record["key"] == a["key"] and record["alt"] == a["captions"]["alt"] and record["meta"] == a["meta"]

for shard in json.load(open(os.path.join(work, "ls.json")))["shards"]:
    with h5py.File(os.path.join(work, "set", "base", shard["name"] + ".h5"), "r") as base:
        n = shard["n_samples"]
        assert base.attrs["n_samples"] == n
        assert "%016x" % base.attrs["content_hash"] == shard["content_hash"]
        json.loads(base.attrs["provenance"].decode())
        assert base.attrs["writer"].decode().startswith("lens ")
        shapes = {name: (str(set_.dtype), set_.shape) for name, set_ in base.items()}
        n_bytes = {name: set_.shape[0] for name, set_ in base.items()}
        expected = {"image_hashes": ("uint64", (n,)), "images": ("uint8", (int(base["image_offsets"][n]),))}
        for name in ("width", "height", "original_width", "original_height"):
            expected[name] = ("int32", (n,))
        expected["image_offsets"] = ("uint64", (n + 1,))
        for name, lengths in (("keys", "key_lengths"), ("alt", "alt_lengths"), ("meta", "meta_lengths")):
            expected[name] = ("uint8", (int(base[lengths][...].sum()),))
            expected[lengths] = ("uint32", (n,))
            assert base[name].chunks == (65536,) and base[lengths].chunks == (16384,) and base[lengths].shuffle
        assert shapes == expected, (shapes, expected)
        with h5py.File(os.path.join(work, "set", "truth-dense", shard["name"] + ".h5"), "r") as layer:
            assert layer.attrs["base_shard"].decode() == shard["name"]
            assert sorted(layer) == ["meta", "meta_lengths", "text", "text_lengths"]
            assert layer["meta"][...].tobytes() == b"{}" * n and set(layer["meta_lengths"][...]) == {2}

# The plugin writes too, for those who make files in this format.
with h5py.File(os.path.join(work, "made.h5"), "w") as made:
    made.create_dataset("x", data=list(range(250)) * 999, dtype="u1", chunks=(65536,), compression=32015,
                        compression_opts=(5,))
with h5py.File(os.path.join(work, "made.h5"), "r") as made:
    assert made["x"][...].tolist() == list(range(250)) * 999
    assert made["x"].id.get_storage_size() < 20000
PYTHON

if command -v h5dump >/dev/null; then
    h5dump -d /keys -y -w 0 -o "$work/keys" -b LE "$work/set/base/shard-00001.h5" >/dev/null || complain "h5dump fails"
    expected=$("$lens" shards cat "$work/set" $(seq 25 49) | sed -n 's/^key *//p' | tr -d '\n')
    [ "$(cat "$work/keys")" = "$expected" ] || complain "h5dump reads other keys"
fi

[ $failures = 0 ] && echo "all passed"
exit $((failures > 0))
