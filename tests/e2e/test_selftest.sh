#!/usr/bin/env bash
# lens selftest: passes on the golden files, and fails on a golden file that is wrong or damaged.
set -eu
lens=$1
# shellcheck source-path=SCRIPTDIR source=train.sh
. "$(dirname "$0")/train.sh"
golden=$root/tests/golden

"$lens" selftest --device cpu >out 2>err || fail "exit status $?: $(cat out err)"
[ ! -s err ] || fail "stderr: $(cat err)"
for name in one-block tiny; do
    grep -qE "^mmdit-$name(\.safetensors)?: ok$" out || fail "mmdit-$name is not in: $(cat out)"
done
for mode in selective full; do
    [ "$(grep -c "gradients, checkpointing $mode " out)" = 2 ] || fail "checkpointing $mode is not in: $(cat out)"
done
"$lens" selftest --device cpu --json >json
"$python" - json <<'PY'
import json, sys
result = json.load(open(sys.argv[1]))
assert result["passed"] is True and len(result["files"]) == 2, result
for file in result["files"]:
    assert file["passed"] is True and list(file["checkpointing"]) == ["none", "selective", "full"], file
    for groups in file["checkpointing"].values():
        assert len(groups) == 4, file
        for group in groups:
            assert 0 <= group["worst"] <= group["tolerance"] < 1e-3 and group["tensors"] > 0, group
PY
"$lens" selftest --device cpu "$golden/mmdit-tiny.safetensors" >out

# refused MESSAGE FILE: exit status 1, one line on stderr.
refused() {
    local status=0
    "$lens" selftest --device cpu "$2" >out 2>err </dev/null || status=$?
    [ $status = 1 ] && [ "$(wc -l <err)" = 1 ] && grep -qE -- "$1" err && return
    fail "$2: exit status $status, $(cat out err)"
}
# One weight changed by a tenth of its size, or by one in a thousand: the tolerances are no ornament.
for factor in 1.1 1.01; do
    "$python" - "$golden/mmdit-tiny.safetensors" changed.safetensors $factor <<'PY'
import json, struct, sys
data = bytearray(open(sys.argv[1], "rb").read())
n, = struct.unpack("<Q", data[:8])
tensor = json.loads(data[8:8 + n])["param.transformer_blocks.0.attn.img_qkv.weight"]
begin, end = (8 + n + offset for offset in tensor["data_offsets"])
weights = list(struct.unpack(f"<{(end - begin) // 4}f", data[begin:end]))
largest = max(range(len(weights)), key=lambda i: abs(weights[i]))
weights[largest] *= float(sys.argv[3])
data[begin:end] = struct.pack(f"<{len(weights)}f", *weights)
open(sys.argv[2], "wb").write(data)
PY
    refused '^lens selftest: an error is beyond its tolerance$' changed.safetensors
    grep -q '^changed.safetensors: FAILED$' out && grep -q '<-- beyond tolerance$' out || fail "$(cat out)"
done
"$lens" selftest --device cpu --json changed.safetensors >json 2>err && fail 'a wrong file passed as JSON'
"$python" -c 'import json; assert json.load(open("json"))["passed"] is False'

cp "$golden/mmdit-tiny.safetensors" cut.safetensors
for size in -1 -100000 3000 20 8 7 0; do
    cp "$golden/mmdit-tiny.safetensors" cut.safetensors
    truncate -s "$size" cut.safetensors
    refused '^lens selftest: .*cut.safetensors: ' cut.safetensors
done
refused 'nowhere.safetensors: cannot open: No such file or directory' nowhere.safetensors
refused '^lens selftest: \.: ' .
"$lens" scenes -n 1 -o set >/dev/null 2>&1
refused 'shard-00000.h5: ' set/base/shard-00000.h5
