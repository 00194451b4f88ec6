#!/usr/bin/env bash
# lens ingest on a full disk: one line, exit status 1, nothing half-written under a final name. Needs a file system of its
# own to fill: as root, or in a user namespace; where neither is allowed the test is skipped.
set -u
lens=$1
here=$(dirname "$0")
if [ "${2:-}" != mounted ]; then
    unshare --mount true 2>/dev/null && exec unshare --mount "$0" "$lens" mounted
    unshare --map-root-user --mount true 2>/dev/null && exec unshare --map-root-user --mount "$0" "$lens" mounted
    echo 'skipped: cannot mount a small file system here'
    exit 77
fi
. "$here/pictures.sh"
work=$(mktemp -d)
trap 'umount "$work/disk" 2>/dev/null; rm -rf "$work"' EXIT
mkdir "$work/disk" "$work/in"
mount -t tmpfs -o size=192k none "$work/disk" || { echo 'skipped: cannot mount a small file system here'; exit 77; }

write_jpeg "$work/in/0000.jpg"
for i in $(seq 1 400); do ln "$work/in/0000.jpg" "$work/in/$(printf %04d "$i").jpg"; done
"$lens" ingest "$work/in" -o "$work/disk/set" --shard-samples 100 --unit-samples 50 >"$work/out" 2>"$work/err" </dev/null
status=$?
cat "$work/out" "$work/err"
[ $status = 1 ] || { echo "FAILED: exit status $status, expected 1"; exit 1; }
[ "$(wc -l <"$work/err")" = 1 ] && grep -q 'No space left on device' "$work/err" || { echo 'FAILED: expected one line that names the full disk'; exit 1; }
[ ! -e "$work/disk/set/rejects.jsonl" ] || { echo 'FAILED: rejects.jsonl of a run that failed'; exit 1; }
find "$work/disk" -name '*.tmp*' | grep . && { echo 'FAILED: temporary files are left'; exit 1; }
[ -e "$work/disk/set/.ingest/part-000000.log" ] || { echo 'FAILED: the disk was full before the first part'; exit 1; }

# With room, the same command goes on, and ends as if nothing had happened.
mount -o remount,size=16m "$work/disk" || exit 1
"$lens" ingest "$work/in" -o "$work/disk/set" --shard-samples 100 --unit-samples 50 >"$work/out" </dev/null ||
    { echo 'FAILED: the run does not go on'; exit 1; }
grep -q '^resumed ' "$work/out" || { echo 'FAILED: nothing of the first run was used'; exit 1; }
"$lens" ingest "$work/in" -o "$work/whole" --shard-samples 100 --unit-samples 50 >"$work/out" </dev/null || exit 1
for file in base rejects.jsonl; do
    diff -r "$work/whole/$file" "$work/disk/set/$file" || { echo 'FAILED: another result'; exit 1; }
done
"$lens" shards verify "$work/disk/set" || { echo 'FAILED: what was published is not whole'; exit 1; }
exit 0
