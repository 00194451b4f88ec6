#!/usr/bin/env bash
# The loss on held-out samples, and sheets of samples: the same numbers and the same pictures whatever the ranks, the
# batches and what is sharded, of the weights and of their average.
set -eu
lens=$1
# shellcheck source-path=SCRIPTDIR source=train.sh
. "$(dirname "$0")/train.sh"
make_set
"$lens" shards split set -o parts --fractions 0.8,0.2 >split.out 2>&1 || fail "$(cat split.out)"
sed -i 's|dataset: set|dataset: parts/part-0|; s|buckets: .*|buckets: 16x12,12x16,20x20|; s|batch: 8|batch: 12,6|' tiny.yaml
cat >>tiny.yaml <<'YAML'
valid:
  dataset: parts/part-1
  samples: 25
YAML

# Held out: no sample of the one is in the other.
"$lens" shards export parts/part-0 -o tar-0 >/dev/null && "$lens" shards export parts/part-1 -o tar-1 >/dev/null
for part in 0 1; do cat tar-$part/*.tar | tar -itf - | sed -n 's/\.txt$//p' | sort >keys-$part; done
[ -z "$(comm -12 keys-0 keys-1)" ] && [ "$(cat keys-0 keys-1 | sort -u | wc -l)" = 200 ] || fail 'the parts share samples'

# valued FIELD RUN STEP: a number of a step.
valued() {
    "$python" - "$@" <<'PY'
import json, sys
field, run, step = sys.argv[1:]
rows = {row["step"]: row for row in map(json.loads, open(run + "/metrics.jsonl"))}
print(repr(rows[int(step)].get(field)))
PY
}

train 0 base train.steps=12 train.checkpoint_every=10 train.keep=9 valid.every=5 sample.every=4
[ "$(valued valid_loss base 4)" = None ] && [ "$(valued valid_loss base 5)" != None ] && [ "$(valued valid_loss base 12)" != None ] ||
    fail 'validated at other steps than every 5th and the last'
grep -qE '^step 12: loss on 25 held-out samples [0-9.]+, of the averaged weights [0-9.]+' base.err || fail "$(cat base.err)"
find base/samples -name 'step-*.png' | sort | xargs -n1 basename | tr '\n' ' ' | grep -qx \
    'step-00000004.png step-00000008.png step-00000012.png ' || fail "sheets: $(ls base/samples)"

# One more step that changes nothing (lr 0), from one checkpoint: only how the work is shared differs.
rm -rf base/checkpoints/step-00000012 && ln -sfn step-00000010 base/checkpoints/latest
again() { # DIR RANKS KEY=VALUE...
    local dir=$1 n=$2
    shift 2
    cp -r base "$dir"
    if [ "$n" = 1 ]; then
        train 0 "$dir" --resume train.steps=11 train.lr=0 train.warmup=0 valid.every=1 sample.every=1 "$@"
    else
        train_ranks "$n" 0 "$dir" --resume train.steps=11 train.lr=0 train.warmup=0 valid.every=1 sample.every=1 "$@"
    fi
}
again one 1
again small 1 valid.batch=2 data.threads=3
ways='one small'
if have_mpirun; then
    again two 2 train.zero=2 valid.batch=3
    again three 3 train.zero=1

    ways+=' two three'
fi
for way in $ways; do
    cmp one/samples/step-00000011.png "$way/samples/step-00000011.png" || fail "$way draws other samples"
    ! cmp -s base/samples/step-00000012.png "$way/samples/step-00000011.png" || fail 'all sheets are the same'
done
"$python" - $ways <<'PY'
import json, sys
def last(run):
    return json.loads(open(run + "/metrics.jsonl").readlines()[-1])
want, worst = last("one"), 0
assert want["step"] == 11 and 0.3 < want["valid_loss"] < 3, want
assert want["valid_loss"] != want["valid_loss_ema"]
assert abs(sum(want[f"valid_loss_t{i}"] for i in range(10)) / 10 / want["valid_loss"] - 1) < 1e-12
assert len({want[f"valid_loss_t{i}"] for i in range(10)}) == 10
for run in sys.argv[2:]:
    got = last(run)
    for key in want:
        if key.startswith("valid_"):
            error = abs(got[key] / want[key] - 1)
            worst = max(worst, error)
            assert error < 1e-6, (run, key, got[key], want[key])
print("largest relative difference", worst)
PY

# Looking changes nothing, also where the averages have to be gathered over the weights and the weights made anew; and
# what is shared out shows nothing else.
if have_mpirun; then
    train_ranks 2 0 unseen train.zero=2 train.steps=6 valid.every=99 valid.samples=1
    train_ranks 2 0 seen train.zero=2 train.steps=6 valid.every=1 sample.every=1
    train_ranks 3 0 pieces train.zero=1 train.steps=6 valid.every=1 sample.every=1
    train 0 whole train.steps=6 valid.every=1 sample.every=1
    same_numbers unseen seen 1 6
    for step in 1 6; do
        for field in valid_loss valid_loss_ema; do
            a=$(valued $field whole $step)
            for run in seen pieces; do
                b=$(valued $field $run $step)
                "$python" -c "assert abs($b / $a - 1) < 1e-6, ($a, $b)" || fail "step $step, $field of $run: $b, alone: $a"
            done
        done
    done
fi

# What it cannot work with.
refused 1 '^lens train: valid.dataset: nowhere: ' run valid.dataset=nowhere
"$lens" scenes -n 5 --seed 9 --size 20 -o plain >/dev/null 2>&1
refused 2 "^lens train: valid.dataset: captions: plain has no kind 'truth-dense'" run valid.dataset=plain
