#!/usr/bin/env bash
# lens train, by one and by two ranks, with no room for a checkpoint, with checkpoints that are torn and with samples
# whose loss is no number: it says so once and goes on.
set -eu
lens=$1
# shellcheck source-path=SCRIPTDIR source=train.sh
here=$(realpath "$(dirname "$0")")
. "$here/train.sh"
have_mpirun || { echo 'skipped: mpirun is not installed'; exit 77; }
make_set

# ---- no room for a checkpoint: warned of, and training goes on; without the last one the run has failed ----
faults=$(dirname "$lens")/io_fault.so
if [ -e "$faults" ]; then
    got=0
    GOMP_SPINCOUNT=1000 ASAN_OPTIONS=$ASAN_OPTIONS:verify_asan_link_order=0 LENS_FAULT='write:ENOSPC:path=*/step-0000000[48].tmp/state/rank-0001*' \
        timeout 120 mpirun --oversubscribe -np 2 -x LD_PRELOAD="$faults" "$lens" train tiny.yaml run.dir=full train.steps=8 train.checkpoint_every=2 \
        train.zero=1 >full.out 2>full.err </dev/null || got=$?
    expect_status 1 $got full 'a full disk for one of two ranks'
    file() { echo "rank 1: full/checkpoints/step-0000000$1.tmp/state/rank-0001-of-0002.safetensors: cannot write: No space left on device"; }
    grep -qF "warning: no checkpoint of step 4: $(file 4); training goes on" full.err && grep -qF "error: no checkpoint of step 8: $(file 8)" full.err ||
        fail "$(cat full.err)"
    [ "$(grep -c 'error: ' full.err)" = 1 ] || fail "said more than once: $(cat full.err)"
    [ "$(wc -l <full/metrics.jsonl)" = 8 ] && [ "$(ls full/checkpoints)" = "$(printf 'latest\nstep-00000002\nstep-00000006')" ] || fail "full: $(ls full/checkpoints)"
fi

# ---- torn checkpoints: the one before, with one warning ----
train 0 whole train.steps=6 train.checkpoint_every=0
train 0 torn train.steps=4 train.checkpoint_every=2
torn() { # NAME MESSAGE: a copy of the run, whose newest checkpoint the command on stdin damages
    rm -rf "$1-1" "$1-2"
    cp -r torn "$1-1"
    (cd "$1-1/checkpoints/step-00000004" && bash -eu)
    cp -r "$1-1" "$1-2"
    train 0 "$1-1" train.steps=6 --resume
    train_ranks 2 0 "$1-2" train.steps=6 --resume
    for n in 1 2; do
        grep -q 'resumed from step 2$' "$1-$n.err" && [ "$(grep -c 'is skipped: ' "$1-$n.err")" = 1 ] &&
            grep -qE "checkpoint of step 4 is skipped: .*step-00000004/$2" "$1-$n.err" || fail "$1-$n: $(cat "$1-$n.err")"
        "$lens" ckpt verify "$1-$n" >verify.out 2>&1 || fail "$1-$n: $(cat verify.out)"
    done
    same_numbers whole "$1-1" 1 6
}
torn cut 'state/rank-0000-of-0001.safetensors: torn: ' <<<'truncate -s -1 state/rank-0000-of-0001.safetensors'
torn flipped 'transformer/diffusion_pytorch_model.safetensors: torn: ' <<'PL'
cd transformer
byte=$(od -An -tu1 -j 5000 -N1 diffusion_pytorch_model.safetensors)
printf "\\x$(printf %02x $((byte ^ 4)))" | dd of=diffusion_pytorch_model.safetensors bs=1 seek=5000 conv=notrunc status=none
PL
torn headless 'manifest.json: ' <<<'rm manifest.json'

# ---- samples whose loss is no number: their steps are left out and counted, by any number of ranks the same ----
"$python" -c 'import numpy' 2>/dev/null || { echo 'skipped: no numpy'; exit 77; }
cp -r torn/checkpoints/latest/ poison
PYTHONPATH=$here PYTHONDONTWRITEBYTECODE=1 "$python" - <<'PY'
import tensors
path = "poison/text_encoder/model.safetensors"
w = tensors.read(path)
w["embedding.weight"] = w["embedding.weight"].copy()
w["embedding.weight"][ord("9")] = float("nan")
tensors.write(path, w, {})
PY
train 0 poisoned-1 train.init_from=poison train.max_skips=100
train_ranks 2 0 poisoned-2 train.init_from=poison train.max_skips=100
"$python" - <<'PY'
import json
runs = [[json.loads(line) for line in open(f"poisoned-{n}/metrics.jsonl")] for n in (1, 2)]
skipped = [[r["step"] for r in run if r["skipped"]] for run in runs]
assert skipped[0] == skipped[1] and 0 < len(skipped[0]) < 20, skipped
for run in runs: assert all((r["loss"] is None) == bool(r["skipped"]) for r in run)
at = json.load(open("poisoned-2/checkpoints/latest/state/trainer.json"))
assert at["n_skipped"] == len(skipped[0]) and at["n_updates"] == 20 - at["n_skipped"], at
PY
[ "$(grep -c 'was skipped: loss' poisoned-2.err)" = "$(grep -c '"skipped": 1' poisoned-2/metrics.jsonl)" ] &&
    [ "$(grep -c 'steps were skipped' poisoned-2.err)" = 1 ] || fail "$(cat poisoned-2.err)"
train_ranks 2 1 given-up train.init_from=poison train.max_skips=1
[ "$(grep -c 'error: ' given-up.err)" = 1 ] && grep -qE '^\[rank 0\] error: step [0-9]+: the loss is .*: 2 steps in a row had to be left out' given-up.err ||
    fail "$(cat given-up.err)"
