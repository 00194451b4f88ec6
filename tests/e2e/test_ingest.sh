#!/usr/bin/env bash
# lens ingest: what it takes, what it names as rejected, what it says to mistakes, and its exit statuses.
set -u
lens=$1
. "$(dirname "$0")/pictures.sh"
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work" || exit 1
failures=0

fail() {
    printf 'FAILED: %s\n' "$1"
    sed 's/^/  out: /' out
    sed 's/^/  err: /' err
    failures=$((failures + 1))
}
# expect STATUS STDOUT STDERR COMMAND...: the two texts are extended regular expressions, "" for nothing at all.
expect() {
    local status=$1 out=$2 err=$3 got
    shift 3
    "$@" >out 2>err </dev/null
    got=$?
    [ $got = "$status" ] || fail "$*: exit status $got, expected $status"
    matches "$out" out || fail "$*: stdout does not match \"$out\""
    matches "$err" err || fail "$*: stderr does not match \"$err\""
}
matches() {
    if [ -z "$1" ]; then [ ! -s "$2" ]; else grep -qE -- "$1" "$2"; fi
}
# rejected DIR KEY CLASS REASON: there is such a line, the reason as a regular expression.
rejected() {
    grep -qE "\"key\":\"$2\",\"class\":\"$3\",\"reason\":\".*$4" "$1/rejects.jsonl" || fail "$1: no reject $2, $3, $4"
}

# A folder of everything.
mkdir -p in/sub
write_jpeg in/red_car.jpg
write_webp in/sub/b.webp
write_png in/sub/c.png
echo 'a gradient' >in/sub/c.txt
head -c 600 in/red_car.jpg >in/cut.jpg
printf '\x89PNG\r\n\x1a\n\0\0\0\x0dIHDR\0\0\xea\x60\0\0\xea\x60\x08\x02\0\0\0\0\0\0\0' >in/huge.png
echo 'GIF89a' >in/moving.gif
cp in/red_car.jpg in/red_car.png
expect 0 'accepted  3 samples in 1 shard:' '' "$lens" ingest in -o set --threads 2
[ "$(wc -l <set/rejects.jsonl)" = 4 ] || fail 'four rejects expected'
rejected set cut 'cannot decode' 'Premature end of JPEG'
rejected set huge 'cannot decode' '60000 x 60000 px is too large'
rejected set moving.gif 'no picture' 'not a JPEG, PNG or WebP'
rejected set red_car 'duplicate key' 'red_car'

# What was written is whole, and comes back through a tar.
expect 0 '' '' sh -c '"$1" shards verify set >verified' sh "$lens"
expect 0 '' '' sh -c '"$1" shards export set -o exported >exporting' sh "$lens"
expect 0 'accepted  3 samples' '' "$lens" ingest exported/*.tar -o again --lossless
expect 0 'a gradient' '' "$lens" shards cat again --key sub/c

# A second run does not touch what is there.
before=$(cat set/base/*.h5 set/rejects.jsonl | cksum)
expect 1 '' 'lens ingest: .*set' "$lens" ingest in -o set
[ "$before" = "$(cat set/base/*.h5 set/rejects.jsonl | cksum)" ] || fail 'an existing dataset changed'

# As JSON, and the reasons by class.
expect 0 '^\{"accepted":3,"shards":1,.*"rejected":4,"rejected_by_class":\{.*"cannot decode":2.*\}\}$' '' \
    "$lens" ingest in -o json --json --lossless --max-side 20

# Tars: whole, compressed, cut short.
mkdir tar
for i in 0 1 2 3; do
    write_jpeg tar/00$i.jpg
    echo "number $i" >tar/00$i.txt
done
tar cf whole.tar -C tar --sort=name .
gzip -k whole.tar
expect 0 'accepted  4 samples' '' "$lens" ingest whole.tar -o tar-set
expect 0 'accepted  4 samples' '' "$lens" ingest whole.tar.gz -o gz-set
cmp -s tar-set/base/shard-00000.h5 gz-set/base/shard-00000.h5 && fail 'the provenance of two sources is the same'
head -c 6000 whole.tar >cut.tar
expect 0 'accepted  1 samples' '^warning: cut.tar: Truncated tar archive after [0-9]+ bytes, 1 whole samples' \
    "$lens" ingest cut.tar -o cut-set
rejected cut-set 001 'source cut short or damaged' 'cut.tar: '
echo 'no tar' >no.tar
expect 1 'accepted  0 samples' 'lens ingest: no sample was accepted, 1 were rejected' "$lens" ingest no.tar -o no-set

mkdir nothing
expect 1 'accepted  0 samples' 'lens ingest: the sources hold no pictures' "$lens" ingest nothing -o nothing-set

# Keys that begin anew in each tar.
cp whole.tar other.tar
expect 0 'accepted  4 samples' '' "$lens" ingest whole.tar other.tar -o twice
rejected twice 003 'duplicate key' '003'
expect 0 'accepted  8 samples in 3 shards' '' "$lens" ingest whole.tar other.tar -o apart --prefix-keys --shard-samples 3

# Mistakes: nothing is written.
expect 1 '' 'lens ingest: nowhere: no such file or folder' "$lens" ingest in nowhere -o none
expect 2 '' 'expected a folder or a tar' "$lens" ingest -o none
expect 2 '' 'out' "$lens" ingest in
expect 2 '' 'quality' "$lens" ingest in -o none --quality 101
[ ! -e none ] || fail 'a mistake left a folder'
ls -A set tar-set cut-set twice | grep -q tmp && fail 'a temporary file was left'

[ $failures = 0 ]
