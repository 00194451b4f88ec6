#!/usr/bin/env bash
# Muon: the same losses whatever is shared out, exact when resumed, and other ones than AdamW's. Schedules: the rates that
# a run logs. Steps with outlying gradients are left out, counted, and change nothing.
set -eu
lens=$1
# shellcheck source-path=SCRIPTDIR source=train.sh
. "$(dirname "$0")/train.sh"
make_set
sed -i 's|buckets: .*|buckets: 16x12,12x16,20x20|; s|batch: 8|batch: 12,6|; s|steps: 20|steps: 12|' tiny.yaml

# same_within TOLERANCE A B: losses of all steps.
same_within() {
    "$python" - "$@" <<'PY' || fail "losses of $2 and $3 differ"
import json, sys
tolerance, a, b = float(sys.argv[1]), *([json.loads(line) for line in open(run + "/metrics.jsonl")] for run in sys.argv[2:])
assert len(a) == len(b) == 12
worst = max(abs(x["loss"] / y["loss"] - 1) for x, y in zip(a, b))
print(*sys.argv[2:], "largest relative difference", worst)
sys.exit(not worst <= tolerance)
PY
}

# ---- Muon ----
train 0 adamw
train 0 muon train.optimizer=muon
! (same_within 1e-4 adamw muon) >/dev/null 2>&1 || fail "train.optimizer=muon trains as AdamW does"
train 0 half train.optimizer=muon train.steps=7
train 0 half train.optimizer=muon --resume
same_numbers muon half 1 12
same_checkpoint muon half
if have_mpirun; then
    for way in '2 0' '2 2' '3 1'; do # ranks, train.zero
        dir=muon-${way/ /-}
        train_ranks ${way% *} 0 "$dir" train.optimizer=muon train.zero=${way#* }
        same_within 4e-9 muon "$dir"
    done
fi

# ---- schedules ----
train 0 wsd train.schedule=wsd train.warmup=2 train.decay_steps=4 train.min_lr=1e-4
train 0 cosine train.schedule=cosine train.warmup=2 train.min_lr=1e-4
train 0 longer train.schedule=wsd train.warmup=2 train.decay_steps=4 train.steps=20 # the same until the decay begins
same_numbers wsd longer 1 8
"$python" - <<'PY'
import json, math
def rates(run):
    return [json.loads(line)["lr"] for line in open(run + "/metrics.jsonl")]
wsd, cosine = rates("wsd"), rates("cosine")
want = [5e-4, 1e-3, *[1e-3] * 6, *[1e-3 - 9e-4 * math.sqrt(i / 4) for i in (1, 2, 3, 4)]]
assert all(abs(x - y) < 1e-12 for x, y in zip(wsd, want)), wsd
want = [5e-4, *[1e-4 + 9e-4 * (1 + math.cos(math.pi * i / 10)) / 2 for i in range(11)]]
assert all(abs(x - y) < 1e-12 for x, y in zip(cosine, want)), cosine
PY

# ---- outliers: with a limit that many steps exceed, some are left out; their weights are those of before ----
train 0 guarded train.steps=90 train.skip_zscore=0.5 train.max_skips=1000
train 0 parted train.steps=70 train.skip_zscore=0.5 train.max_skips=1000
train 0 parted train.steps=90 train.skip_zscore=0.5 train.max_skips=1000 --resume
same_numbers guarded parted 1 90
same_checkpoint guarded parted
"$python" - <<'PY'
import json
skipped = [json.loads(line)["skipped"] for line in open("guarded/metrics.jsonl")]
assert not any(skipped[:50]) and 1 <= sum(skipped[50:]) <= 35, skipped
PY
grep -qE 'steps were skipped' guarded.err || fail "$(cat guarded.err)"
