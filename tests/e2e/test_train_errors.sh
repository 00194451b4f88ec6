#!/usr/bin/env bash
# lens train, given what it cannot work with: one line that says what and where, exit status 2 for words, 1 for the world.
set -eu
lens=$1
# shellcheck source-path=SCRIPTDIR source=train.sh
. "$(dirname "$0")/train.sh"
make_set

# ---- the configuration ----
# bad FILE_LINE MESSAGE: tiny.yaml with that line after `data:` (line 3).
bad() {
    cp tiny.yaml kept.yaml
    sed -i "/^data:/a\\$1" tiny.yaml
    refused 2 "$2" run
    mv kept.yaml tiny.yaml
}
bad '  bukets: 16x12' '^lens train: tiny.yaml:5: unknown key "data.bukets" \(did you mean "data.buckets"\?\)$'
bad '  threads: two' '^lens train: tiny.yaml:5: data.threads = "two": expected an integer, 1 to 256$'
bad '  threads: 0' '^lens train: tiny.yaml:5: data.threads = "0": expected an integer, 1 to 256$'
bad '  flip: maybe' '^lens train: tiny.yaml:5: data.flip = "maybe": expected '
bad '  threads: [1, 2]' '^lens train: tiny.yaml:5: data.threads: expected one value, got a list$'
bad '  captions: dense' '^lens train: tiny.yaml:7: "data.captions" is set twice, first on line 5$'
bad '	threads: 1' '^lens train: tiny.yaml:5: YAML: '
sed -i 's/^train:/trian:/' tiny.yaml
refused 2 '^lens train: tiny.yaml:[0-9]+: unknown section "trian" \(did you mean "train"\?\)$' run
sed -i 's/^trian:/train:/' tiny.yaml
refused 2 '^lens train: command line: unknown key "trian.steps" \(did you mean "train.steps"\?\)$' run trian.steps=3
refused 2 '^lens train: command line: train.lr = "fast": expected a number, 0 to 10$' run train.lr=fast
refused 2 '^lens train: command line: "train.lr": expected KEY=VALUE$' run train.lr
refused 2 '^lens train: tiny.yaml: flow.mu = "often": expected auto or a number, -10 to 10$' run flow.mu=often
refused 2 '^lens train: tiny.yaml: data.buckets: 18x12: expected multiples of a token.s side, 4 px$' run data.buckets=18x12
refused 2 '^lens train: tiny.yaml: train.batch = "8,4": expected 1 numbers, one for each area of data.buckets$' run train.batch=8,4
refused 2 '^lens train: tiny.yaml: train.batch = "8.5": expected whole numbers' run train.batch=8.5
refused 2 'train.batch = "8": expected multiples of 3: ' run train.accumulate=3
refused 2 '^lens train: tiny.yaml: train.ema = "0.9,1": expected decays of at least 0, below 1$' run train.ema=0.9,1
refused 2 '^lens train: tiny.yaml: train.decay_steps = 0: expected 1 to the 15 steps between' run train.schedule=wsd
refused 2 'rope_column = 10: expected model.head_dim = 12$' run model.head_dim=12
refused 2 '"run.dir" is required' run run.dir=
refused 2 '^lens train: unknown option "--resmue" \(did you mean "--resume"\?\)$' run --resmue
refused 2 '^lens train: tiny.yaml: "data.dataset" is required' run data.dataset=
cp tiny.yaml kept.yaml
sed -i '/dataset:/d' tiny.yaml
refused 2 '^lens train: tiny.yaml: "data.dataset" is required' run
rm tiny.yaml
refused 1 '^lens train: tiny.yaml: cannot open: No such file or directory$' run
mv kept.yaml tiny.yaml
"$lens" train >run.out 2>run.err </dev/null && fail 'lens train without a configuration'
one_line '^lens train: expected a configuration' run

# ---- the data ----
refused 1 '^lens train: nowhere: ' run data.dataset=nowhere
mkdir empty
refused 1 '^lens train: empty: ' run data.dataset=empty
refused 2 "captions: set has no kind 'truth-dens'; it has alt, truth-brief, truth-dense\$" run data.captions=truth-dens
[ ! -e run ] || fail "a run that was refused left a folder: $(ls run)"
: >file
refused 1 '^lens train: file: .*' file
refused 1 '^lens train: .*nowhere.txt: cannot open' run sample.every=5 sample.prompts=nowhere.txt
rm -rf run

# One byte of one picture: the run that meets it ends, and says which.
cp -r set broken
"$python" - broken/base/shard-00001.h5 <<'PY'
import re, sys
path = sys.argv[1]
data = bytearray(open(path, "rb").read())
pictures = [m.start() for m in re.finditer(rb"RIFF....WEBP", data, re.S)]
assert len(pictures) == 90, len(pictures)
data[pictures[17] + 40] ^= 1
open(path, "wb").write(data)
PY
train 1 broken-run data.dataset=broken train.steps=30
grep '^lens' broken-run.err >broken-run.line
[ "$(wc -l <broken-run.line)" = 1 ] && grep -qE '^lens train: step 11: sample 107 .*: broken/base/shard-00001.h5: picture of sample 17 is damaged' broken-run.line ||
    fail "damaged picture: $(cat broken-run.err)"
cp -r set cut
truncate -s -1 cut/base/shard-00002.h5
refused 1 '^lens train: cut/base/shard-00002.h5: .*cut short' run data.dataset=cut

# A loss that is no number is not trained on.
train 1 diverged train.max_skips=3 train.lr=10 train.warmup=0 train.clip=0 train.eps=1e-30 train.weight_decay=10 train.steps=2000
grep -qE '^lens train: step [0-9]+: the loss is .*: 4 steps in a row had to be left out, train.max_skips is 3' diverged.err || fail "$(cat diverged.err)"

# ---- the same, said once by several ranks, none of which waits for ever ----
have_mpirun || { echo "skipped: mpirun is not installed"; exit 77; }
train_ranks 4 2 ranks train.batch=10
one_line_of_ranks 'train.batch = "10": expected multiples of 4' ranks
train_ranks 2 2 ranks train.lr=fast
one_line_of_ranks 'train.lr = "fast"' ranks
train_ranks 2 1 ranks data.dataset=nowhere
one_line_of_ranks '^\[rank 0\] error: nowhere: ' ranks
: >ranks-file
train_ranks 2 1 ranks-file # rank 0 alone fails
one_line_of_ranks '^\[rank 0\] error: ranks-file: ' ranks-file
train_ranks 2 1 broken-ranks data.dataset=broken train.steps=30 # one rank alone meets the picture
one_line_of_ranks 'step 11: .*: broken/base/shard-00001.h5: picture of sample 17 is damaged' broken-ranks
