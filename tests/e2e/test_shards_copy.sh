#!/usr/bin/env bash
# lens shards index, merge, select, split, repair: samples go over with all their layers; damage is left behind and told.
set -u
lens=$1
# shellcheck source-path=SCRIPTDIR source=shards.sh
. "$(dirname "$0")/shards.sh"
whole() {
    expect 0 'no faults$' "$lens" shards verify "$1"
}
# keys DIR: all samples as JSON without what their place decides.
samples() {
    local n
    n=$("$lens" shards ls --json "$1" | sed -n 's/.*"n_samples":\([0-9]*\),"shards".*/\1/p')
    # shellcheck disable=SC2046  # one index a word
    "$lens" shards cat "$1" --json $(seq 0 $((n - 1))) |
        sed -E 's/"index":[0-9]+,//; s/,"shard":"[^"]*","shard_index":[0-9]+//; s/"key":"(one|two)\//"key":"/'
}

"$lens" scenes -n 60 --captions --shard-samples 25 --size 32 -o "$work/one" >/dev/null || exit 1
"$lens" scenes -n 30 --captions --shard-samples 25 --size 32 --seed 1 -o "$work/two" >/dev/null || exit 1

# index
expect 0 'one/index.h5: 60 samples in 3 shards$' "$lens" shards index "$work/one" --buckets 32x32,64x32
rm "$work/two/index.h5"
expect 0 '30 samples in 2 shards' "$lens" shards ls "$work/two"
expect 0 'two/index.h5: 30 samples' "$lens" shards index "$work/two"
cp -r "$work/one" "$work/short" && rm "$work/short/base/shard-00002.h5" "$work"/short/truth-*/shard-00002.h5
expect 1 'shard-00002.h5 is missing; if that is so, make the index again: lens shards index' "$lens" shards ls "$work/short"
expect 1 'index.h5: speaks of 3 shards, there are 2$' "$lens" shards verify "$work/short"
expect 0 '50 samples in 2 shards' "$lens" shards index "$work/short"
cp "$work/one/base/shard-00000.h5" "$work/short/base/shard-00001.h5"
expect 1 'the index has' "$lens" shards cat "$work/short" 30

# merge
expect 0 '90 samples$' "$lens" shards merge "$work/one" "$work/two" -o "$work/all" --shard-samples 40
whole "$work/all"
expect 0 '90 samples in 3 shards' "$lens" shards ls "$work/all"
cmp -s <(samples "$work/one"; samples "$work/two") <(samples "$work/all") || complain "merge: other samples"
expect 2 'the key .* is there already; --prefix-keys' "$lens" shards merge "$work/one" "$work/one" -o "$work/twice"
cp -r "$work/one" "$work/other"
expect 0 '120 samples' "$lens" shards merge "$work/one" "$work/other" -o "$work/prefixed" --prefix-keys
expect 0 '^key +other/scene-0-00000000$' "$lens" shards cat "$work/prefixed" 60
expect 1 'holds 3 shards already' "$lens" shards merge "$work/one" "$work/two" -o "$work/all"
cp -r "$work/two" "$work/bare" && rm -r "$work/bare/truth-dense"
expect 2 'the layer truth-dense of .*one is not \(whole\) in .*bare; --common-layers' \
    "$lens" shards merge "$work/one" "$work/bare" -o "$work/n"
expect 0 '90 samples$' "$lens" shards merge "$work/one" "$work/bare" -o "$work/common" --common-layers
[ -e "$work/common/truth-dense" ] && complain "merge: a layer that not all have"
whole "$work/common"

# select
expect 0 '17 samples$' "$lens" shards select "$work/all" -o "$work/some" --limit 17 \
    --where 'width = 32 and words.truth-dense >= 1 and key startswith "scene-"'
whole "$work/some"
expect 0 'truth-dense$' "$lens" shards ls "$work/some"
printf 'filters: [blur: {min: 0}]\n' >"$work/measured.yaml"
expect 0 '^accepted  17 ' "$lens" ingest "$work/some" -o "$work/measured" --config "$work/measured.yaml"
expect 0 '17 samples$' "$lens" shards select "$work/measured" -o "$work/sharp" --where 'lens.blur > 0 and meta.lens.entropy < 8'
expect 1 'no sample is left' "$lens" shards select "$work/measured" -o "$work/n0" --where 'lens.blur.x > 0'
expect 1 'no sample is left' "$lens" shards select "$work/all" -o "$work/n1" --where 'width > 32'
expect 2 '^lens shards: --where: column 9: expected a value, but it ends$' "$lens" shards select "$work/all" -o "$work/n2" --where 'width > '
expect 2 'no captions of kind "dense"' "$lens" shards select "$work/all" -o "$work/n3" --where 'words.dense > 2'
expect 2 'column 5: compares a text with a number' "$lens" shards select "$work/all" -o "$work/n4" --where 'key > 2'

# split: nothing twice, nothing lost, and the same part with more samples.
expect 0 'part-1: [0-9]+ samples$' "$lens" shards split "$work/all" -o "$work/parts" --fractions 0.7,0.3
expect 0 'part-0: [0-9]+ samples$' "$lens" shards split "$work/one" -o "$work/parts1" --fractions 0.7,0.3
whole "$work/parts/part-0"
cmp -s <(samples "$work/all" | sort) <({ samples "$work/parts/part-0"; samples "$work/parts/part-1"; } | sort) ||
    complain "split: other samples"
[ -z "$(comm -23 <(samples "$work/parts1/part-1" | sort) <(samples "$work/parts/part-1" | sort))" ] ||
    complain "split: samples moved"
expect 2 'sum to 0.9' "$lens" shards split "$work/all" -o "$work/p3" --fractions 0.7,0.2
expect 2 'either --parts or --fractions' "$lens" shards split "$work/all" -o "$work/p3"

# repair: a picture, a text, a layer's text, a seal, a missing layer shard, a missing base shard.
cp -r "$work/all" "$work/hurt"
flip "$work/hurt/base/shard-00000.h5" 5000
truncate -s -40 "$work/hurt/base/shard-00001.h5"
rm "$work/hurt/truth-brief/shard-00001.h5"
rm "$work/hurt/base/shard-00002.h5"
expect 1 'faults? found' "$lens" shards verify "$work/hurt"
expect 0 ': 79 samples; lost: 3 files, 1 samples, 0 texts' "$lens" shards repair "$work/hurt" -o "$work/mended"
whole "$work/mended"
expect 0 '79 samples in 2 shards' "$lens" shards ls "$work/mended"
expect 0 '^shard-00001 .* alt truth-dense$' "$lens" shards ls "$work/mended"
grep -q '"shard":"shard-00000","sample":[0-9]*,"key":"scene-.*picture of sample' "$work/mended/lost.jsonl" || complain "repair: lost.jsonl: $(cat "$work/mended/lost.jsonl")"
grep -q '"file":".*shard-00002.h5"' "$work/mended/lost.jsonl" || complain "repair: the lost shard is not told: $(cat "$work/mended/lost.jsonl")"
[ -z "$(comm -23 <(samples "$work/mended" | sed 's/"truth-brief":[^}]*//' | cut -c1-60 | sort) \
    <(samples "$work/all" | cut -c1-60 | sort))" ] || complain "repair: changed samples"

[ $failures = 0 ] && echo "all passed"
exit $((failures > 0))
