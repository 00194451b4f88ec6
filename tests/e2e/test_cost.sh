#!/usr/bin/env bash
# lens cost as a whole program: every figure's arithmetic comes to the figure, stages sum up, a measured MFU is taken, the
# page is well formed, and what is wrong ends with a line.
set -eu
lens=$1
. tests/e2e/train.sh

cost() { # NAME ARGUMENT...: to NAME.out
    local name=$1
    shift
    "$lens" cost "$@" >"$name.out" 2>"$name.err" || fail "lens cost $*: $(cat "$name.err")"
    [ ! -s "$name.err" ] || fail "lens cost $*: words beside its results: $(cat "$name.err")"
}
stages=("$root/configs/lens-3.8b-stage1.yaml" "$root/configs/lens-3.8b-stage2.yaml")
cost paper --paper
cost paper.json --paper --json
cost explain --paper --explain --captions-per-s 4
cost captions.json --paper --json --captions-per-s 4
cost one.json "${stages[0]}" --json
cost two.json "${stages[1]}" --json
cost both.json "${stages[@]}" --json
cost half.json "${stages[0]}" train.steps=200000 "${stages[1]}" --json --gpu h200 --mfu 0.25
cost none.json --json
cost full.json "${stages[0]}" train.checkpointing=full train.slots=512 --json
cost padded.json --json --padded --encoders online --mix batches
cost text --explain

"$python" - <<'PY' || fail "the figures"
import json, re
def read(name): return json.load(open(name + ".json.out"))
def figures(page): return {f["key"]: f for f in page["figures"]}
def same(a, b): assert abs(a - b) <= 1e-9 * abs(b), (a, b)
pages = {name: read(name) for name in ("paper", "captions", "one", "two", "both", "half", "none", "full", "padded")}
for name, page in pages.items():
    keys = [f["key"] for f in page["figures"]]
    assert len(keys) == len(set(keys)) > 10, name
    for f in page["figures"]:
        assert f["how"] and f["source"] and f["section"], (name, f)
        if f["arithmetic"]:
            assert re.fullmatch(r"[-0-9.e+*/() ]+", f["arithmetic"]), f
            value = eval(f["arithmetic"])
            assert abs(value - f["value"]) <= 1e-9 * abs(f["value"]), (name, f, value)
        else:
            assert f["how"] in ("an input", "every caption; padded ones take part in every product") or f["value"] is None, f
    assert len(page["sensitivity"]) == 5 and all(len(row["hours"]) == 6 for row in page["sensitivity"])
paper, captions, one, two, both, half, none, full, padded = map(figures, pages.values())
ratio = paper["ratio"]
assert ratio["paper"] == 19.3 and ratio["agrees"] and round(ratio["value"], 1) == 19.3
assert paper["caption_hours"]["value"] is None
same(captions["caption_hours"]["value"], 800e6 / 4 / 3600)
same(one["model_flop"]["value"] + two["model_flop"]["value"], both["model_flop"]["value"])
same(one["images"]["value"] + two["images"]["value"], both["images"]["value"])
same(half["model_flop"]["value"], one["model_flop"]["value"] / 2 + two["model_flop"]["value"])
same(half["training_hours"]["value"] * 3600 * 0.25 * 989.5e12, half["model_flop"]["value"])
for key in both: same(both[key]["value"], none[key]["value"])  # the paper's stages are those that are counted unasked
assert full["stage1.blocks_again"]["value"] > 0 == one["stage1.blocks_again"]["value"]
assert padded["stage1.text_tok"]["value"] == 512 and padded["model_flop"]["value"] > none["model_flop"]["value"]
assert padded["encoder_flop"]["value"] > none["encoder_flop"]["value"]
assert len(pages["both"]["buckets"]) == 28
cases = [[h["hours"] for h in row["hours"]] for row in pages["none"]["sensitivity"]]
for row in cases:
    for k in range(6): same(row[k] * (k + 1), row[0])
assert all(row[0] > cases[0][0] for row in cases[1:]) and cases[4][0] > max(row[0] for row in cases[:4])
same(cases[0][4], none["gpu_hours"]["value"])  # at 50 %

# As text, the same figures; explained, each with its arithmetic and source.
text, lines = open("paper.out").read(), open("explain.out").read()
for f in captions.values():
    assert f["name"] in lines and f["how"] in lines and f["source"] in lines, f["key"]
    if f["arithmetic"]: assert "= " + f["arithmetic"] in lines, f["key"]
assert lines.count("      source: ") == len(captions)
assert "source:" not in text and "(not measured: --captions-per-s)" in text
assert "19.28 %  paper: 19.3, the same" in text
PY
grep -q '2  1024x1024 ' text.out || fail "no table of buckets: $(cat text.out)"

# A price that is not given is said to be so, and nothing is made up.
"$python" - "$root/configs/prices.yaml" <<'PY'
import re, sys
text = open(sys.argv[1]).read()
a100 = re.search(r"usd_per_h: 1\.\d+", text)[0]
def write(name, text): open(name + ".yaml", "w").write(text)
write("free", re.sub(r"(usd_per_\w+): [\d.]+", r"\1: 0", text))
write("negative", text.replace(a100, "usd_per_h: -1"))
write("word", text.replace(a100, "usd_per_h: cheap"))
write("unknown", text.replace(a100, a100 + "\n    usd_per_year: 3"))
write("missing", text.replace(a100, "date: x").replace('date: x\n    date: "2026-01"', 'date: "2026-01"', 1))
write("undated", re.sub(r'\n    date: "2026-01"', "", text, count=1))
PY
cost free --prices free.yaml
grep -qE 'money +- USD  \(no price given\)' free.out || fail "money without a price: $(cat free.out)"
cost free_paper --paper --prices free.yaml
[ "$(grep -c 'no price given' free_paper.out)" = 8 ] || fail "the paper without prices: $(cat free_paper.out)"

bad() { # STATUS MESSAGE ARGUMENT...
    local want=$1 message=$2 got=0
    shift 2
    "$lens" cost "$@" >bad.out 2>bad.err || got=$?
    expect_status "$want" $got bad "lens cost $*"
    one_line "$message" bad
}
bad 2 'negative.yaml:[0-9]+: gpu.a100-80g.usd_per_h = "-1": expected a number, 0 to' --prices negative.yaml
bad 2 'word.yaml:[0-9]+: gpu.a100-80g.usd_per_h = "cheap"' --prices word.yaml
bad 2 'unknown.yaml:[0-9]+: unknown key "gpu.a100-80g.usd_per_year"' --prices unknown.yaml
bad 2 'missing.yaml: expected gpu.a100-80g.usd_per_h' --prices missing.yaml
bad 2 'undated.yaml: gpu.a100-80g has a price, expected its date and source too' --prices undated.yaml
bad 1 'nowhere.yaml: cannot open' --prices nowhere.yaml
bad 1 'nowhere.yaml: cannot open' nowhere.yaml
bad 2 'expected a configuration before "train.steps=2"' train.steps=2
bad 2 'unknown key "train.step"' "${stages[0]}" train.step=2
bad 2 'about the paper.s two stages' --paper "${stages[0]}"
bad 2 'lora.rank = 4: adapters are not counted' "${stages[0]}" lora.rank=4 train.init_from=x
bad 2 'captions of 600 tokens' "${stages[0]}" --text-tok 600
bad 2 'mfu "2": expected a number, 0 to 1' --mfu 2
bad 2 'gpu "b17"' --gpu b17
nine=()
for _ in 1 2 3 4 5 6 7 8 9; do nine+=("${stages[0]}"); done
bad 2 'at most 8 configurations' "${nine[@]}"

# The MFU of a run, of a bench, and of files that have none.
make_set
train 0 run train.steps=3
cost from.json --json --from run/metrics.jsonl
cost folder.json --json --from run
"$lens" bench train tiny.yaml --json >bench.json 2>/dev/null || fail "lens bench train"
cost bench.json --json --from bench.json
echo '{"figures": {"mix": {"mfu": 0.41}}}' >gpu.json
cost gpu.json --json --from gpu.json
"$python" - <<'PY' || fail "--from"
import json, statistics
def mfu(name): return next(f for f in json.load(open(name + ".json.out"))["figures"] if f["key"] == "mfu")
steps = [json.loads(line)["mfu"] for line in open("run/metrics.jsonl")]
for name in ("from", "folder"):
    assert abs(mfu(name)["value"] / (100 * statistics.median(steps)) - 1) < 1e-9, (mfu(name), steps)
    assert "median of 3 steps of run on cpu" in mfu(name)["source"], mfu(name)
assert abs(mfu("bench")["value"] / (100 * json.load(open("bench.json"))["mfu"]) - 1) < 1e-9
assert abs(mfu("gpu")["value"] - 41) < 1e-9
PY
bad 2 'expected one of them' --mfu 0.4 --from run
mkdir bare
sed 's/, "mfu": [^,}]*//' run/metrics.jsonl >bare/metrics.jsonl
cp run/run.json bare
bad 1 'bare: no step has an mfu' --from bare/metrics.jsonl
echo '{"loss": 1}' >none.json
bad 1 'none.json: expected .*found no mfu' --from none.json
echo '{"mfu": 43}' >percent.json
bad 1 'percent.json: MFU 43: expected above 0, at most 1.5' --from percent.json
echo '{"mfu": ' >torn.json
bad 1 'torn.json:[0-9]+: JSON' --from torn.json
bad 1 'gone.json: cannot open' --from gone.json

cost page --paper --html page.html
cmp page.out paper.out || fail "--html changes what is printed"
cost page2 "${stages[1]}" --html "page 2.html"
"$python" - page.html "page 2.html" <<'PY' || fail "the page"
import sys
import xml.etree.ElementTree as tree
for path in sys.argv[1:]:
    text = open(path, encoding="utf-8").read()
    root = tree.fromstring(text)
    assert len(list(root.iter("svg"))) == 3 and not list(root.iter("script")) and not list(root.iter("link"))
    assert "url(" not in text and "@import" not in text
    assert len([e for e in root.iter("table") if e.get("class") == "costs"]) >= 3
    assert len(list(root.iter("details"))) > 10
PY
bad 1 'nowhere/page.html' --html nowhere/page.html
