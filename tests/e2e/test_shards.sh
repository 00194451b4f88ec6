#!/usr/bin/env bash
# lens shards: what each action prints, what it says to mistakes, damage found, a full disk borne.
set -u
lens=$1
# shellcheck source-path=SCRIPTDIR source=shards.sh
. "$(dirname "$0")/shards.sh"

set_=$work/set
"$lens" scenes -n 90 --captions --shard-samples 40 --size 32 -o "$set_" >/dev/null || exit 1

expect 0 '^shard-00002 +10 samples .* alt truth-brief truth-dense$' "$lens" shards ls "$set_"
expect 0 '"n_samples":90' "$lens" shards ls --json "$set_"
expect 0 '^  truth-dense +90 ' "$lens" shards stat "$set_"
expect 0 '"kind":"alt","n_samples":90' "$lens" shards stat --json "$set_"
expect 0 ': 10 files, .*: no faults$' "$lens" shards verify "$set_"
expect 0 '^key +scene-0-00000042$' "$lens" shards cat "$set_" 42 --image "$work/42.webp"
[ "$(head -c 4 "$work/42.webp")" = RIFF ] || complain "cat --image: no WebP"
expect 0 '^index +42$' "$lens" shards cat "$set_" --key scene-0-00000042
expect 0 '^\{"index":89,' "$lens" shards cat "$set_" 89 --json

# Export: the same bytes twice, members adjacent, nothing overwritten.
expect 0 '90 samples in 3 tar files$' "$lens" shards export "$set_" -o "$work/tar" --caption truth-dense
expect 0 '90 samples in 3 tar files$' "$lens" shards export "$set_" -o "$work/again" --caption truth-dense
cmp -s "$work/tar/shard-00001.tar" "$work/again/shard-00001.tar" || complain "export: other bytes the second time"
expect 1 'shard-00000.tar: is there already$' "$lens" shards export "$set_" -o "$work/tar" --caption alt
[ "$(tar tf "$work/tar/shard-00001.tar" | head -3 | tr '\n' ' ')" = \
    "scene-0-00000040.webp scene-0-00000040.txt scene-0-00000040.json " ] || complain "export: unexpected members"
tar xf "$work/tar/shard-00001.tar" -C "$work" scene-0-00000042.webp scene-0-00000042.txt
cmp -s "$work/42.webp" "$work/scene-0-00000042.webp" || complain "export and cat differ"
"$lens" shards cat "$set_" 42 | grep -qF "truth-dense  $(cat "$work/scene-0-00000042.txt")" || complain "export: other caption"
find "$work/tar" -name '*.tmp.*' | grep -q . && complain "export: temporary files are left"

# Layers that stand in another folder.
cp -r "$set_" "$work/bare" && mkdir "$work/other" && mv "$work/bare/truth-dense" "$work/other"
expect 0 'alt truth-brief$' "$lens" shards ls "$work/bare"
expect 0 'alt truth-brief truth-dense$' "$lens" shards ls "$work/bare" --layers "$work/other"
expect 0 ': 10 files' "$lens" shards verify "$work/bare" --layers "$work/other"

# Mistakes.
expect 2 'expected an action' "$lens" shards
expect 2 'unknown action "verfy" \(did you mean "verify"\?\)' "$lens" shards verfy "$set_"
expect 2 'no sample 90: there are 90, counted from 0' "$lens" shards cat "$set_" 90
expect 2 '"4x": expected the index' "$lens" shards cat "$set_" 4x
expect 2 'no sample with the key "nobody"' "$lens" shards cat "$set_" --key nobody
expect 2 'no captions of kind dense; there are: alt, truth-brief, truth-dense' "$lens" shards export "$set_" -o "$work/n" --caption dense
expect 1 'no such folder' "$lens" shards stat "$work/nothing"
expect 1 'no dataset' "$lens" shards verify "$work"

# Damage: each fault one line, the rest is still checked.
cp -r "$set_" "$work/hurt"
flip "$work/hurt/base/shard-00001.h5" 5000
flip "$work/hurt/truth-dense/shard-00000.h5" 300
truncate -s -1 "$work/hurt/truth-brief/shard-00002.h5"
expect 1 'base/shard-00001.h5: picture of sample [0-9]+ is damaged' "$lens" shards verify "$work/hurt"
[ "$(wc -l <"$work/out")" = 3 ] || complain "verify: $(wc -l <"$work/out") lines for three faults: $(cat "$work/out")"
expect 1 '3 faults found' "$lens" shards verify "$work/hurt"
expect 1 'truth-brief/shard-00002.h5' "$lens" shards verify "$work/hurt"
expect 1 'truth-dense/shard-00000.h5: damaged' "$lens" shards verify "$work/hurt"
# A picture is damaged, so reading it fails; what is not read is not looked at.
expect 1 'seal|damaged' "$lens" shards stat "$work/hurt"
# A base shard that is gone; a layer of another base.
cp -r "$set_" "$work/gone" && rm "$work/gone/base/shard-00001.h5"
expect 1 'base/shard-00001.h5: is missing' "$lens" shards verify "$work/gone"
cp -r "$set_" "$work/mixed" && cp "$set_/truth-dense/shard-00000.h5" "$work/mixed/truth-dense/shard-00001.h5"
expect 1 'shard-00001.h5: made for another base' "$lens" shards verify "$work/mixed"

# A full disk: one line, no half-written shard, no temporary file.
if unshare -rm true 2>/dev/null; then
    mkdir "$work/disk"
    # shellcheck disable=SC2016  # expanded inside
    unshare -rm bash -c 'mount -t tmpfs -o size=400k none "$2" || exit 77
        "$1" scenes -n 2000 --size 64 --shard-samples 300 -o "$2/set" >/dev/null 2>"$3"
        echo "status $?"; wc -l <"$3"; find "$2" -name "*.tmp.*"; rm -f "$2"/set/base/*.tmp.*
        "$1" shards verify "$2/set"' bash "$lens" "$work/disk" "$work/err" >"$work/out"
    if [ $? != 77 ]; then
        grep -q 'No space left on device' "$work/err" || complain "full disk: said: $(cat "$work/err")"
        [ "$(head -2 "$work/out" | tr '\n' ' ')" = "status 1 1 " ] || complain "full disk: $(cat "$work/out")"
        grep -q '\.tmp\.' "$work/out" && complain "full disk: a temporary file is left"
        grep -q 'no faults$' "$work/out" || complain "full disk: $(cat "$work/out")"
    fi
fi

[ $failures = 0 ] && echo "all passed"
exit $((failures > 0))
