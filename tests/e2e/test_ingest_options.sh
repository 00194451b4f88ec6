#!/usr/bin/env bash
# lens ingest: configuration files, JPEGs kept as they came, standard input, patterns, two runs at once, sources that
# vanish, and what ends a run.
set -u
lens=$1
# shellcheck source-path=SCRIPTDIR source=ingest.sh
. "$(dirname "$0")/ingest.sh"
. "$here/pictures.sh"

mkdir jpeg
for i in 0 1 2 3; do
    write_jpeg jpeg/turned$i.jpg
    # The same without its EXIF data: bytes 20 to 55 are the segment APP1.
    { head -c 20 jpeg/turned$i.jpg; tail -c +57 jpeg/turned$i.jpg; } >jpeg/plain$i.jpg
done
write_webp jpeg/w.webp
write_png jpeg/p.png

# ---- configuration ----
cat >config.yaml <<'YAML'
keep-jpeg: true
unit-samples: 3
shard-samples: 4
filters:
  - side: {min: 8}
YAML
"$lens" ingest jpeg -o kept --config config.yaml --shard-samples 5 >out 2>err || fail 'a configuration'
grep -q 'accepted  9 samples in 2 shards: .* of pictures' out || fail 'the command line has the last word over --config'
grep -q '^side .* min 8 .* 1 .* 9' out || fail 'the funnel'
grep -q '^  4 JPEGs as they came' out || fail 'JPEGs as they came'
grep -q '"key":"p","class":"side","reason":"[^"]* 6, expected at least 8","value":6' kept/rejects.jsonl || fail 'reason and value'
"$lens" shards stat kept >out 2>err || fail 'stat'
grep -qE '^  side +min 8 +1 +9$' out || fail 'the funnel is not in the summary that is kept'
"$lens" shards stat kept --json >out 2>err || fail 'stat --json'
grep -q '"ingest":{"read":10,"accepted":9,"rejected":1,"funnel":\[{"stage":"side","limit":"min 8","dropped":1,"missing":0,"left":9}\]}' out ||
    fail 'the funnel as JSON'
"$lens" shards verify kept >out 2>err || fail 'JPEGs in a shard'
"$lens" shards cat kept --key plain0 --image plain.jpg >out 2>err || fail 'cat'
cmp -s plain.jpg jpeg/plain0.jpg || fail 'a kept JPEG has other bytes'
"$lens" shards cat kept --key turned0 --image turned.webp >out 2>err || fail 'cat'
[ "$(head -c 4 turned.webp)" = RIFF ] || fail 'a turned JPEG was kept'
"$lens" ingest jpeg -o shrunk --keep-jpeg --max-side 20 >out 2>err || fail 'shrinking'
grep -q 'JPEGs as they came' out && fail 'a JPEG that was to be shrunk was kept'

mistake() {
    "$lens" ingest jpeg -o none --config wrong.yaml >out 2>err && fail "$1"
    grep -qE "$2" err && [ "$(wc -l <err)" = 1 ] || fail "$1"
    [ ! -e none ] || fail "$1: a folder was made"
}
echo 'qualty: 80' >wrong.yaml
mistake 'a misspelt key' 'wrong.yaml:1: unknown key "qualty" \(did you mean "quality"\?\)'
printf 'quality: 80\nfilters:\n  - blurr\n' >wrong.yaml
mistake 'a misspelt filter' 'wrong.yaml:3: .*blurr'
echo 'filter: [blur]' >wrong.yaml
mistake 'a misspelt list' 'wrong.yaml:1: filter: expected one value, got a list'
echo 'config: other.yaml' >wrong.yaml
mistake 'a file that names a file' '"config" is for the command line alone'
printf 'filters:\n  - aesthetic\n' >wrong.yaml
"$lens" ingest jpeg -o none --config wrong.yaml >out 2>err && fail 'a score that is missing'
grep -qE 'sample p: aesthetic' err && [ "$(wc -l <err)" = 1 ] || fail 'a score that is missing'

# ---- sources ----
tar cf jpeg.tar --sort=name -C jpeg .
"$lens" ingest jpeg.tar -o from-tar --json >out 2>err || fail 'a tar'
"$lens" ingest - -o from-stdin <jpeg.tar >out 2>err || fail 'standard input'
"$lens" shards cat from-stdin --key plain2 >out 2>err || fail 'standard input: a key'
cp jpeg.tar part-00.tar
cp jpeg.tar part-01.tar
"$lens" ingest 'part-{00..01}.tar' -o from-pattern --prefix-keys >out 2>err || fail 'a pattern'
grep -q 'accepted  20 samples' out || fail 'a pattern'
"$lens" ingest 'part-{00..02}.tar' -o none2 >out 2>err && fail 'a hole in a pattern'
grep -q 'part-02.tar' err || fail 'a hole in a pattern'

# A dataset as a source: the measures are replaced, not given twice.
"$lens" ingest kept -o again --lossless >out 2>err || fail 'a dataset'
"$lens" shards cat again --key plain1 --json >out 2>err || fail 'a dataset: a key'
[ "$(grep -o '"phash"' out | wc -l)" = 1 ] || fail 'a dataset: measures'

# ---- two at once ----
mkfifo pipe
"$lens" ingest - -o busy <pipe >first.out 2>first.err &
first=$!
exec 9>pipe
for _ in $(seq 1 100); do
    [ -e busy/.ingest/lock ] && break
    sleep 0.05
done
"$lens" ingest jpeg -o busy >out 2>err && fail 'two at once'
grep -q 'busy: another ingest is at work here' err || fail 'two at once'
cat jpeg.tar >&9
exec 9>&-
wait $first || fail 'the first of two'

# ---- a source that goes away while it is read ----
mkdir many
for i in $(seq 100 499); do cp jpeg/plain0.jpg many/$i.jpg; done
mkfifo gate
cp jpeg.tar first.tar
"$lens" ingest - many -o vanished --threads 1 --unit-samples 100 <gate >first.out 2>first.err &
first=$!
exec 9>gate
for _ in $(seq 1 100); do
    [ -e vanished/.ingest/lock ] && break
    sleep 0.05
done
rm -r many # after it was listed: the only thread waits for standard input
cat jpeg.tar >&9
exec 9>&-
wait $first || { fail 'a source that vanished'; cat first.err; }
grep -q 'accepted  10 samples' first.out || { fail 'a source that vanished'; cat first.out; }
[ "$(grep -c '"source":"many"' vanished/rejects.jsonl)" = 400 ] || fail 'a source that vanished: rejects'
grep -q 'warning: 4 parts of the input could not be read to their end' first.err || fail 'a source that vanished: silence'

[ $failures = 0 ]
