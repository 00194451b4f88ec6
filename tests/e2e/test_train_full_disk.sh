#!/usr/bin/env bash
# lens train on a disk that is full: the checkpoint fails and training goes on; at the end, exit status 1, no half-written
# checkpoint, and the last whole one resumes to the bit. Needs a file system of its own to fill: as root, or in a user namespace; elsewhere the test is skipped.
set -eu
lens=$1
if [ "${2:-}" != mounted ]; then
    unshare --mount true 2>/dev/null && exec unshare --mount "$0" "$lens" mounted
    unshare --map-root-user --mount true 2>/dev/null && exec unshare --map-root-user --mount "$0" "$lens" mounted
    echo 'skipped: cannot mount a small file system here'
    exit 77
fi
# shellcheck source-path=SCRIPTDIR source=train.sh
. "$(dirname "$0")/train.sh"
trap 'umount "$work/disk" 2>/dev/null; rm -rf "$work"' EXIT
make_set
train 0 whole

# Room for one checkpoint and a half.
mkdir disk
kib=$(du -sk whole/checkpoints/latest/ | cut -f1)
mount -t tmpfs -o size=$((kib * 3 / 2))k none disk || { echo 'skipped: cannot mount a small file system here'; exit 77; }
train 1 disk/run train.checkpoint_every=8
grep -qE '^warning: no checkpoint of step 16: disk/run/checkpoints/step-00000016\..*: No space left on device; training goes on$' disk/run.err &&
    grep -qE '^lens train: no checkpoint of step 20: disk/run/checkpoints/step-00000020\..*: No space left on device$' disk/run.err ||
    fail "expected the full disk twice: $(cat disk/run.err)"
[ "$(wc -l <disk/run/metrics.jsonl)" = 20 ] || fail "training did not go on: $(wc -l <disk/run/metrics.jsonl) steps"
[ "$(ls disk/run/checkpoints)" = "$(printf 'latest\nstep-00000008')" ] || fail "left behind: $(ls disk/run/checkpoints)"
find disk -name '*.tmp*' | grep . && fail 'temporary files are left'

# With room again it goes on as if nothing had been.
mount -o remount,size=100m "$work/disk"
train 0 disk/run --resume
grep -q 'resumed from step 8$' disk/run.err || fail "$(cat disk/run.err)"
same_numbers whole disk/run 1 20
same_checkpoint whole disk/run

# Not even room for the beginning.
umount disk
mount -t tmpfs -o size=12k none disk
train 1 disk/run
grep -qE '^lens train: disk/run.*: No space left on device$' disk/run.err || fail "$(cat disk/run.err)"
