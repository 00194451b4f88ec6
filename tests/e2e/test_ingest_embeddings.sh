#!/usr/bin/env bash
# lens ingest with near_duplicate by embeddings: what is near in .npy files alone is dropped, with threads, ranks, units of
# one tar and after an interruption the same; rows that do not fit the source end the run.
set -u
lens=$1
DETECT_LEAKS=0
# shellcheck source-path=SCRIPTDIR source=ingest.sh
. "$(dirname "$0")/ingest.sh"
command -v python3 >/dev/null || { echo 'skipped: python3 is not installed'; exit 77; }

"$lens" scenes -n 40 --size 48 -o scenes >/dev/null || exit 1
"$lens" shards export scenes -o tars >/dev/null || exit 1
mkdir -p in emb conf
tar xf tars/shard-00000.tar -C in
mv tars/shard-00000.tar b.tar
# The second file of the folder is no picture, and is counted; b.tar's keys are told apart by their source's name.
second=$(cd in && printf '%s\n' *.webp | sed -n 2p)
echo broken >"in/${second%.webp}.webp"

# rows FILE N TYPE SAME...: N unit vectors of 24 components, orthogonal but for small noise; every pair "i=j" of SAME makes
# row i nearly row j.
rows() {
    python3 - "$@" <<'PY'
import random, struct, sys
path, n, kind = sys.argv[1], int(sys.argv[2]), sys.argv[3]
random.seed(path)
d = 96
rows = [[random.gauss(0, 0.005) + (k == (i + 48 * ('b.' in path)) % d) for k in range(d)] for i in range(n)]
for pair in sys.argv[4:]:
    i, j = map(int, pair.split('='))
    rows[i] = [x + 0.003 for x in rows[j]]
head = "{'descr': '<f%d', 'fortran_order': False, 'shape': (%d, %d), }" % (4 if kind == 'f' else 2, n, d)
head += ' ' * (63 - (10 + len(head)) % 64) + '\n'
with open(path, 'wb') as f:
    f.write(b'\x93NUMPY\1\0' + struct.pack('<H', len(head)) + head.encode())
    for row in rows: f.write(struct.pack('<%d%s' % (d, kind), *row))
PY
}
n=$(find in -name '*.webp' | wc -l)
rows emb/in.npy "$n" f 7=3 9=7 20=1
rows emb/b.npy "$n" e 30=4 5=4
cat >conf/config.yaml <<'YAML'
unit-samples: 6
shard-samples: 9
prefix-keys: true
filters:
  - near_duplicate: {radius: 0, embedding: {dir: ../emb, cosine: 0.98}}
YAML
# Of b.tar the pictures are those of in/, and a perceptual hash would find them: other pictures there.
"$lens" scenes -n "$n" --size 48 --seed 7 -o other >/dev/null && "$lens" shards export other -o tars >/dev/null && mv tars/shard-00000.tar b.tar
ingest() {
    "$lens" ingest in b.tar --config conf/config.yaml "$@" >out 2>err
}

for threads in 1 2 4; do
    ingest -o "threads-$threads" --threads $threads || fail "$threads threads"
    result "threads-$threads" >"result-$threads"
    cmp -s result-1 "result-$threads" || fail "$threads threads: another result"
done
whole threads-1
grep near_duplicate threads-1/rejects.jsonl | grep cosine | sed 's/.*"key":"\([^"]*\)".*"reason":"\([^"]*\)".*/\1 \2/' >found
# Row 20 is near to row 1, which was not kept; row 9 is near to row 7, and so to row 3.
for i in 8 10; do (cd in && printf 'in/%s\n' *.webp) | sed -n "${i}p" | sed 's/\.webp$//'; done >wanted
tar tf b.tar | sed -n 's/\.webp$//p' | sed -n 's/^\.\///; s/^/b\//; 6p; 31p' >>wanted
cmp -s <(cut -d ' ' -f 1 found) wanted || fail "dropped: $(diff <(cut -d ' ' -f 1 found) wanted)"
[ "$(grep -cE ' cosine 0\.99[0-9]* to an earlier picture, expected at most 0\.98$' found)" = 4 ] || fail 'reasons'

# A dry run finds the same, and writes its rejects where it is told to.
ingest --dry-run --rejects dry.jsonl || fail 'dry run'
cmp -s dry.jsonl threads-1/rejects.jsonl || fail 'a dry run rejects other samples'
grep -q 'see dry.jsonl' out || fail 'a dry run does not say where the rejects are'
ingest -o told --rejects told.jsonl || fail '--rejects'
cmp -s told.jsonl threads-1/rejects.jsonl && [ ! -e told/rejects.jsonl ] || fail '--rejects FILE'

# Interrupted at every log of a part: the run that goes on reads the same rows.
for log in 1 4 8; do
    rm -rf again
    LENS_FAULT="rename:EIO:nth=$log:path=*/.ingest/part-*.log" LD_PRELOAD=$(dirname "$lens")/io_fault.so \
        "$lens" ingest in b.tar --config conf/config.yaml -o again --threads 1 >out 2>err && fail "log $log: not interrupted"
    ingest -o again --threads 2 || fail "log $log: does not go on"
    result again >result-again
    cmp -s result-1 result-again || fail "log $log: another result"
done

# Other rows than the interrupted run had, and rows that do not fit.
rm -rf again
LENS_FAULT="rename:EIO:nth=2:path=*/.ingest/part-*.log" LD_PRELOAD=$(dirname "$lens")/io_fault.so \
    "$lens" ingest in b.tar --config conf/config.yaml -o again >out 2>err && fail 'not interrupted'
rows emb/b.npy $((n - 1)) e
touch -d '2001-01-01' emb/b.npy
ingest -o again && fail 'goes on with other rows'
grep -q 'input' err || fail 'other rows: no word of the input'
ingest -o short && fail 'too few rows'
grep -q "^lens ingest: .*emb/b.npy: $((n - 1)) rows, but b.tar has $n samples" err || fail 'too few rows'
rows emb/b.npy $((n + 1)) e
ingest --dry-run && fail 'too many rows'
grep -q "^lens ingest: .*emb/b.npy: $((n + 1)) rows, but b.tar has $n samples" err || fail 'too many rows'
rm emb/b.npy
ingest --dry-run && fail 'no rows'
grep -q '^lens ingest: near_duplicate: embeddings of b.tar: .*emb/b.npy: No such file' err || fail 'no rows'

rows emb/b.npy "$n" e 30=4 5=4
command -v mpirun >/dev/null || { echo 'skipped: mpirun is not installed'; exit 77; }
timeout 120 mpirun --oversubscribe -np 2 "$lens" ingest in b.tar --config conf/config.yaml -o ranks --threads 2 >out 2>err || fail '2 ranks'
result ranks >result-ranks
cmp -s result-1 result-ranks || fail '2 ranks: another result'

[ $failures = 0 ]
