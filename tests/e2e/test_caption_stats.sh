#!/usr/bin/env bash
# lens caption-stats: the same figures by one thread and by four, the table, and what is refused.
set -u
lens=$(realpath "$1")
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work" || exit 1
fail() {
    echo "FAILED: $*"
    tail -3 err 2>/dev/null
    exit 1
}
"$lens" scenes -n 90 --seed 5 --shard-samples 20 -o set >/dev/null || fail scenes
"$lens" recaption set >/dev/null 2>err || fail recaption
"$lens" caption-stats set --json --threads 1 >one 2>err || fail "one thread: $?"
"$lens" caption-stats set --json --threads 4 -o file >four 2>err || fail "four threads: $?"
cmp one four || fail "threads change figures"
cmp one file 2>/dev/null || diff <(cat file; echo) one || fail "the file differs"
grep -q '"dense":{"captions":90,"empty":0,"words_mean":' one || fail "captions: $(cut -c1-300 one)"
# The same figures out of the captions, by other means: sets for sketches, the zstd program for the library.
for i in $(seq 0 89); do echo "$i"; done | xargs "$lens" shards cat set --json >captions 2>err || fail "cat: $?"
python3 - one captions <<'END' || fail "figures by other means"
import collections
import json
import re
import shutil
import subprocess
import sys

told = json.load(open(sys.argv[1]))
samples = [json.loads(line)["captions"] for line in open(sys.argv[2])]
assert len(samples) == 90 and set(told) == {"alt", "dense"}

def words(text):
    bare = (re.sub(r"^[^A-Za-z0-9\x80-\U0010ffff]+|[^A-Za-z0-9\x80-\U0010ffff]+$", "", w) for w in text.split())
    return [w.lower() for w in bare if w]

def runs(w, n):
    return list(zip(*(w[i:] for i in range(n))))

def check(kind, name, expected, part=1e-5):
    if abs(told[kind][name] - expected) > part * abs(expected):
        sys.exit(f"{kind}.{name}: told {told[kind][name]}, expected {expected}")

for kind in told:
    texts = [(s[kind], s["alt"]) for s in samples if s[kind]]
    own = [words(t) for t, _ in texts]
    n = len(texts)
    check(kind, "captions", n)
    check(kind, "empty", 90 - n)
    check(kind, "missing", 0)
    check(kind, "words_mean", sum(map(len, own)) / n)
    lengths = sorted(map(len, own))
    for name, q in ("words_p5", 0.05), ("words_p50", 0.5), ("words_p95", 0.95):
        check(kind, name, lengths[int(q * (n - 1) + 0.5)])
    assert told[kind]["words"] == [list(x) for x in sorted(collections.Counter(lengths).items())], kind
    check(kind, "sentences", sum(len([p for p in re.split(r"[.!?]+(?=\s|$)", t) if words(p)]) for t, _ in texts) / n)
    check(kind, "different", sum(len(set(w)) for w in own) / n)
    for k in 1, 2, 4:
        all_runs = [r for w in own for r in runs(w, k)]
        # The sketch counts linearly here, within 0.8 % but for chance: 4 times that.
        check(kind, f"distinct_{k}", len(set(all_runs)) / len(all_runs), 0.032)
    check(kind, "vocabulary", len({w for o in own for w in o}), 0.032)
    pairs = [(p, set(runs(words(alt), 2))) for (t, alt), w in zip(texts, own) for p in runs(w, 2)]
    check(kind, "novelty", sum(p not in known for p, known in pairs) / len(pairs))
    spoken = collections.Counter(t.lower() for t, _ in texts)
    check(kind, "doubled", sum(c - 1 for c in spoken.values()))
    assert [d["times"] for d in told[kind]["doubles"]] == [c for _, c in spoken.most_common(5) if c > 1], kind
    if shutil.which("zstd"):
        open("texts", "w").write("".join(t + "\n" for t, _ in texts))
        n_packed = len(subprocess.run(["zstd", "-19", "--no-check", "-c", "texts"], stdout=subprocess.PIPE).stdout)
        # Headers and the choice of blocks may differ by some bytes.
        check(kind, "bits", 8 * n_packed / n, 0.01)
        check(kind, "bits_word", 8 * n_packed / sum(len(t.split()) for t, _ in texts), 0.01)
END

# The same with the layer in another folder.
mkdir apart && mv set/dense apart || fail "mv"
"$lens" caption-stats set --layers apart --json >out 2>err || fail "layers apart: $?"
cmp out one || fail "another folder changes figures"
mv apart/dense set || fail "mv back"

"$lens" caption-stats set --kinds dense,alt >out 2>err || fail "table: $?"
grep -qE '^captions +90 +88$' out || fail "table: $(cat out)"
"$lens" caption-stats set --kinds dense,nothing >out 2>err && fail "an unknown kind was taken"
grep -q "'nothing'" err || fail "unknown kind: $(cat err)"

# The report shows them, and says where they are damaged.
"$lens" caption-stats set -o set/caption-stats.json >/dev/null || fail "for the report: $?"
"$lens" report -d set -o page.html >/dev/null 2>err || fail "report: $?"
grep -q 'What captions hold' page.html || fail "not in the report"
echo '{"dense":{"captions":"<b>"}}' >set/caption-stats.json
"$lens" report -d set -o page.html >/dev/null 2>err || fail "report of damaged figures: $?"
grep -q 'What captions hold' page.html && fail "damaged figures are shown"
grep -q 'caption-stats.json: dense' page.html || fail "damage is not said"
