#!/usr/bin/env bash
# lens train, stopped and resumed: the same numbers and weights to the bit as a run that was not, alone and by two ranks;
# stopped between checkpoints by SIGKILL; what does not fit is refused.
set -eu
lens=$1
# shellcheck source-path=SCRIPTDIR source=train.sh
. "$(dirname "$0")/train.sh"
make_set
newest() { # RUN: the step that checkpoints/latest points to
    local name
    name=$(readlink "$1/checkpoints/latest") || fail "$1 has no newest checkpoint"
    [ -d "$1/checkpoints/$name" ] || fail "$1: latest points to $name, which is not there"
    echo $((10#${name#step-}))
}

# Killed somewhere: where, depends on the clock, so that the others go as far as this one gets.
"$lens" train tiny.yaml run.dir=killed train.steps=99999999 train.checkpoint_every=5 >/dev/null 2>killed.err </dev/null &
pid=$!
until [ "$(cat killed/metrics.jsonl 2>/dev/null | wc -l)" -ge 7 ]; do
    kill -0 $pid 2>/dev/null || fail "a run ended early: $(cat killed.err)"
    sleep 0.01
done
kill -KILL $pid
wait $pid 2>/dev/null || true
at=$(newest killed)
steps=$((at + 10))
# What a run can leave that dies while it writes a checkpoint, or just before it says that one is the newest.
mkdir -p killed/checkpoints/step-00000777.tmp.1/transformer
cp -r "killed/checkpoints/$(readlink killed/checkpoints/latest)" killed/checkpoints/step-99999999
printf '{"step": %d, "loss": 0.1' $((at + 9)) >>killed/metrics.jsonl
train 0 killed train.steps=$steps train.checkpoint_every=3 train.keep=1 --resume
grep -q "resumed from step $at\$" killed.err || fail "not resumed from $at: $(cat killed.err)"
grep -q "metrics.jsonl:[0-9]*: removed the last line, which was cut short" killed.err || fail "$(cat killed.err)"
[ "$(ls killed/checkpoints)" = "$(printf 'latest\nstep-%08d' $steps)" ] || fail "killed: $(ls killed/checkpoints)"

train 0 whole train.steps=$steps train.checkpoint_every=0
same_numbers whole killed 1 $steps
same_checkpoint whole killed
[ "$(wc -l <killed/metrics.jsonl)" = $steps ] || fail "killed/metrics.jsonl has $(wc -l <killed/metrics.jsonl) lines"

# Stopped at its end, and made longer. --resume also starts where there is nothing yet.
train 0 longer train.steps=10 --resume
train 0 longer train.steps=$steps --resume
same_numbers whole longer 1 $steps
same_checkpoint whole longer
# The same bits are not a matter of course: another seed gives others.
train 0 other train.steps=10 run.seed=2
cmp -s other/checkpoints/latest/state/optimizer.safetensors whole/checkpoints/latest/state/optimizer.safetensors &&
    fail "two seeds end with the same moments"

if have_mpirun; then
    train_ranks 2 0 whole-2
    train_ranks 2 0 longer-2 train.steps=10
    train_ranks 2 0 longer-2 --resume
    same_numbers whole-2 longer-2 1 20
    same_checkpoint whole-2 longer-2
fi

# ---- refused, and nothing is touched ----
before=$(find longer -type f -exec cksum {} + | sort)
path=longer/checkpoints/latest/state/trainer.json
more=train.steps=$((steps + 5))
refused 1 "^lens train: longer holds checkpoints: --resume goes on from the newest" longer $more
refused 1 "^lens train: longer: the newest checkpoint is of step $steps; train.steps is 7\$" longer train.steps=7 --resume
refused 1 "$path: cannot resume: seed is 1 there, 3 here\$" longer $more run.seed=3 --resume
for key in data.captions=truth-brief data.caption_dropout=0.5 data.buckets=24x12 train.batch=4 train.slots=2 data.flip=true data.random_crop=true \
    data.resample=lanczos data.linear_light=true data.window_shards=1; do
    refused 1 "$path: cannot resume: other shards, or another value of one of data" longer $more $key --resume
done
"$lens" scenes -n 200 --seed 9 --size 20 --captions -o set9 >/dev/null 2>&1
refused 1 "$path: cannot resume: other shards, or another value of one of data" longer $more data.dataset=set9 --resume
refused 1 "longer/checkpoints/latest/transformer/.*: .*" longer $more model.layers=3 --resume
[ "$before" = "$(find longer -type f -exec cksum {} + | sort)" ] || fail "a refused run changed its folder"

# ---- damaged checkpoints ----
damaged() { # FILE COMMAND MESSAGE: after the command, with $f set to the file
    rm -rf damaged
    cp -r longer damaged
    # shellcheck disable=SC2034  # the command uses it
    f=damaged/checkpoints/latest/$1
    eval "$2"
    refused 1 "$3" damaged $more --resume
}
weights=transformer/diffusion_pytorch_model.safetensors
damaged $weights 'truncate -s -1 "$f"' "damaged/checkpoints/latest/$weights: "
damaged $weights 'truncate -s 100 "$f"' "damaged/checkpoints/latest/$weights: "
damaged $weights ': >"$f"' "damaged/checkpoints/latest/$weights: "
damaged $weights 'rm "$f"' "damaged/checkpoints/latest/$weights: .*No such file"
damaged ema/$weights 'truncate -s -1 "$f"' "damaged/checkpoints/latest/ema/$weights: "
damaged state/optimizer.safetensors 'truncate -s -1 "$f"' "damaged/checkpoints/latest/state/optimizer.safetensors: "
damaged state/trainer.json 'truncate -s 20 "$f"' "damaged/checkpoints/latest/state/trainer.json: "
damaged state/trainer.json 'echo "{\"version\": 2}" >"$f"' "trainer.json: .*version"
rm -rf damaged && cp -r longer damaged && rm -r damaged/checkpoints/step-*
refused 1 "damaged/checkpoints/latest" damaged $more --resume
echo "killed after step $at, $steps steps compared"
