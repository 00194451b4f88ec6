#!/usr/bin/env bash
# lens bench data: makes a set, measures it, and says so in both ways. What it measures is not judged here.
set -u -o pipefail
lens=$1
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
fail() {
    echo "FAILED: $*"
    exit 1
}

"$lens" bench data "$work/set" --make -n 20 --size 80 --shard-samples 8 --captions dense --array latents \
    --buckets 64x64,48x80 --batch 4 --threads 2 --seconds 0.4 --rounds 2 >"$work/text" 2>"$work/err" || {
    cat "$work/err"
    fail "make and measure"
}
grep -q "20 samples, 2 threads, buckets 64x64,48x80, medians of 2 rounds, page cache warm" "$work/text" || fail "head line"
for line in "loader, images/s" "decoder alone, bytes in memory" "captions, random" "loader, arrays alone, MB/s" \
    "loader / decoder alone; by processor time" "loader of arrays / pread; by processor time" \
    "loader of arrays / pread into as much memory; by processor time"; do
    grep -qF "$line" "$work/text" || fail "no line: $line"
done
"$lens" shards verify "$work/set" >"$work/verify" 2>&1 || {
    cat "$work/verify"
    fail "the set that was made"
}

"$lens" bench data "$work/set" --buckets 64x64 --batch 4 --seconds 0.2 --rounds 1 --json >"$work/json" 2>"$work/err" ||
    fail "--json: $(cat "$work/err")"
[ "$(wc -l <"$work/json")" = 1 ] || fail "--json: expected one line"
if command -v python3 >/dev/null; then
    python3 - "$work/json" <<'P' || fail "--json: $(cat "$work/json")"
import json, sys
result = json.load(open(sys.argv[1]))
rates = [result[name] for name in ("raw_read_mb_per_s", "pictures_random_per_s", "pictures_in_order_per_s",
                                   "captions_random_per_s", "decode_per_s", "loader_per_s")]
assert all(rate > 0 for rate in rates) and result["samples"] == 20
assert result["loader_to_decode"]["wall"] > 0 and result["loader_to_decode"]["cpu"] > 0
assert "loader_array_to_raw" not in result
P
fi

refused() { # STATUS MESSAGE ARGS...
    local status=$1 message=$2
    shift 2
    "$lens" bench "$@" >/dev/null 2>"$work/err"
    [ $? = "$status" ] || fail "bench $*: expected exit status $status"
    grep -q "$message" "$work/err" || fail "bench $*: expected '$message', got: $(cat "$work/err")"
}
refused 2 "expected data, train, count or kernels"
refused 2 "eval: expected data, train, count or kernels" eval "$work/set"
refused 2 "expected one dataset folder, got 2" data "$work/set" "$work/set"
refused 2 "has no arrays of kind nothing" data "$work/set" --array nothing
refused 2 "'64': expected lens-27" data "$work/set" --buckets 64
refused 1 "no such folder" data "$work/absent"
refused 1 "set/base" data "$work/set" --make -n 1

# From the disk. A round of this tiny set may be over before the time is: then it says so.
"$lens" bench data "$work/set" --cold --buckets 64x64 --batch 4 --seconds 0.01 --rounds 1 >"$work/text" 2>"$work/err" ||
    grep -q "a larger set" "$work/err" || fail "--cold: $(cat "$work/err")"
[ -s "$work/err" ] || grep -q "page cache cold" "$work/text" || fail "--cold: $(head -1 "$work/text")"

# A loader that is killed leaves nothing that the next one meets: no shared memory, no files.
names() { ls -A /dev/shm | grep -v -e vader -e openmpi -e ompi -e pmix; ls -A "$work/set" "$work/set/base"; } # ranks of other tests come and go
names >"$work/before"
"$lens" bench data "$work/set" --buckets 64x64 --batch 4 --seconds 60 >/dev/null 2>&1 &
pid=$!
until [ -e "/proc/$pid/task" ] && [ "$(find "/proc/$pid/task" -mindepth 1 -maxdepth 1 | wc -l)" -gt 1 ]; do kill -0 $pid 2>/dev/null || break; done
kill -KILL $pid 2>/dev/null || fail "the benchmark ended before it was killed"
wait $pid 2>/dev/null
names >"$work/after"
cmp -s "$work/before" "$work/after" || fail "left by a killed loader: $(diff "$work/before" "$work/after")"
"$lens" bench data "$work/set" --buckets 64x64 --batch 4 --seconds 0.2 --rounds 1 >/dev/null 2>"$work/err" ||
    fail "after a killed run: $(cat "$work/err")"

# lens bench train: a step of a small model, its phases and its products; a pass written down.
small=(configs/nano.yaml model.layers=1 train.batch=2 text.max_tok=4)
"$lens" bench train "${small[@]}" --rounds 1 --json >"$work/json" 2>"$work/err" || fail "bench train: $(cat "$work/err")"
for figure in step_s images_per_s mfu ratio forward_s backward_s update_s exposed_s used_mib planned_mib; do
    grep -q "\"$figure\": [0-9]" "$work/json" || fail "bench train: no $figure in $(cat "$work/json")"
done
"$lens" bench train "${small[@]}" --rounds 1 | grep -q 'G/T' || fail "bench train: no ratio in the text"
"$lens" bench train "${small[@]}" --dump "$work/pass.safetensors" || fail "bench train --dump"
grep -qa 'grad.proj_out.weight' "$work/pass.safetensors" || fail "bench train --dump: no gradients"
