#!/usr/bin/env bash
# lens train, killed at every sixth change of a name (files, the checkpoint itself, the link to it, what is pruned): it
# goes on from a whole checkpoint, and ends as if nothing had been. By two ranks too.
set -eu
lens=$1
# shellcheck source-path=SCRIPTDIR source=train.sh
here=$(realpath "$(dirname "$0")")
. "$here/train.sh"
cc=$(command -v cc || command -v gcc || command -v clang) || { echo 'skipped: no C compiler'; exit 77; }
"$cc" -D_GNU_SOURCE -shared -fPIC -o kill_at.so "$here/../fault/kill_at.c" || { echo 'skipped: cannot compile'; exit 77; }
export GOMP_SPINCOUNT=1000 # lens does not start itself anew
export ASAN_OPTIONS=$ASAN_OPTIONS:verify_asan_link_order=0
make_set
sed -i 's/layers: 2/layers: 1/; s/steps: 20/steps: 6/' tiny.yaml
common="train.checkpoint_every=2 train.keep=1"
train 0 whole $common
[ "$(ls whole/checkpoints)" = "$(printf 'latest\nstep-00000006')" ] || fail "$(ls whole/checkpoints)"

killed() { # AT: whether it was
    KILL_AT=$1 LD_PRELOAD=$work/kill_at.so "$lens" train tiny.yaml run.dir=killed $common >killed.out 2>killed.err </dev/null
    [ $? = 137 ]
}
n=0
for at in $(seq 2 6 200); do
    rm -rf killed
    { killed "$at"; } 2>/dev/null || break
    n=$((n + 1))
    if [ -e killed/checkpoints/latest ] && [ ! -e killed/checkpoints/latest/manifest.json ]; then fail "killed at name $at: latest leads nowhere"; fi
    if [ -e killed/checkpoints/step-00000006/manifest.json ]; then
        "$lens" ckpt verify killed/checkpoints/step-00000006 >/dev/null || fail "killed at name $at"
        continue # the run is done; what remained was to say so
    fi
    train 0 killed $common --resume
    same_numbers whole killed 1 6
    same_checkpoint whole killed
    [ "$(ls killed/checkpoints)" = "$(printf 'latest\nstep-00000006')" ] || fail "killed at name $at: left $(ls killed/checkpoints)"
done
[ $n -gt 5 ] || fail "only $n names were changed"

if have_mpirun; then
    train_ranks 2 0 whole-2 $common train.zero=2
    for rank in 0 1; do
        rm -rf killed
        KILL_AT=5 KILL_RANK=$rank timeout 120 mpirun --oversubscribe -np 2 -x LD_PRELOAD="$work/kill_at.so" \
            "$lens" train tiny.yaml run.dir=killed $common train.zero=2 >killed.out 2>killed.err </dev/null &&
            fail "rank $rank was killed, and nobody noticed"
        train_ranks 2 0 killed $common train.zero=2 --resume
        same_numbers whole-2 killed 1 6
        same_checkpoint whole-2 killed
    done
fi
echo "killed at $n names"
