#!/usr/bin/env bash
# lens report on a dataset that was captioned: what the run did and cost, kinds compared, all of it as the files say, and
# the page as a browser lays it out.
set -u
lens=$(realpath "$1")
here=$(realpath tests/e2e)
# shellcheck source-path=SCRIPTDIR source=server.sh
. tests/e2e/server.sh
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work" || exit 1
fail() {
    echo "FAILED: $*"
    tail -3 err 2>/dev/null
    exit 1
}
"$lens" scenes -n 60 --seed 5 --shard-samples 20 -o set >/dev/null || fail scenes
server_start one --bad-rate 0.3 || exit 1
url=$server_url one=$server_pid
server_start two --bad-rate 0.3 --latency-ms 5 || exit 1
"$lens" recaption set --model m --captioner "$url,$server_url" --kinds dense=detailed,brief=brief,tags=tags --min-words 1 \
    --max-words 1000 --price-in 2 --price-out 8 --budget 50USD >out 2>err || fail "recaption: $?"
server_stop "$one"
server_stop "$server_pid"
"$lens" caption-stats set -o set/caption-stats.json >/dev/null 2>err || fail "caption-stats: $?"
"$lens" report -d set -o page.html >/dev/null 2>err || fail "report: $?"

python3 - page.html set/stats.json set/caption-stats.json <<'END' || fail "the page"
import json
import sys
import xml.etree.ElementTree as tree

page, run, kinds = tree.parse(sys.argv[1]).getroot(), json.load(open(sys.argv[2])), json.load(open(sys.argv[3]))
titles = [e.text for e in page.iter("h3")]
assert titles[:2] == ["How the captions were made", "What captions hold"], titles
assert not [e for e in page.iter("p") if e.get("class") == "note"]
figures = {d.find("dt").text: [e.text for e in d.findall("dd")] for d in page.iter("div") if d.find("dt") is not None}
assert figures["Captions settled"] == ["100\u00a0%", "180 of 180"], figures
assert figures["Cost"] == ["%.4f\u00a0USD" % run["usd"] if run["usd"] < 0.1 else "%.2f\u00a0USD" % run["usd"],
                           "budget 50.00\u00a0USD"], (figures, run)
rows = {row[0].text: [e.text for e in row[1:]] for table in page.iter("table") if table.get("class") == "compared"
        for row in table.find("tbody")}
for reason in {r for kind in run["kinds"].values() for r in kind}:
    assert rows[reason][0::2] == [str(kind.get(reason, 0)) for kind in run["kinds"].values()], (reason, rows)
assert sum(e["answered"] for e in run["endpoints"]) == run["answers"] and len(run["endpoints"]) == 2
for e in run["endpoints"]:
    assert rows[e["name"]][0] == str(e["answered"]), rows
assert rows["captions"] == [str(k["captions"]) for k in kinds.values()], rows
for share in ("novelty", "alt_kept"):
    head = {"novelty": "word pairs that the alt-text lacks", "alt_kept": "words of the alt-text kept"}[share]
    shown = [float(x.rstrip("\u00a0%")) for x in rows[head]]
    assert all(abs(a - 100 * k[share]) <= 0.05 for a, k in zip(shown, kinds.values())), (shown, kinds)
marks = [e for e in page.iter() if e.get("class", "").startswith("mark c")]
assert len([e for e in marks if e.tag == "circle"]) == len(kinds)
assert len([e for e in marks if e.tag == "rect"]) == 9 * len(kinds)
END

# The same where the layers stand in another folder, and only with the one dataset that they belong to.
mkdir apart && mv set/dense set/brief set/tags set/stats.json set/caption-stats.json apart || fail mv
"$lens" report -d set -o bare.html >/dev/null 2>err || fail "bare: $?"
grep -q 'How the captions were made' bare.html && fail "figures of layers that are not there"
"$lens" report -d set --layers apart -o apart.html >/dev/null 2>err || fail "--layers: $?"
cmp -s page.html apart.html || fail "--layers makes another page: $(diff page.html apart.html | cut -c1-300 | head -4)"
"$lens" report -d set,set --layers apart -o none.html >/dev/null 2>err && fail "--layers with two datasets"
grep -q -- '--layers' err || fail "two datasets: $(cat err)"
mv apart/dense apart/brief apart/tags apart/*.json set || fail "mv back"

# What is damaged is said, and nothing of it shown.
cp set/stats.json good.json
for damage in 's/"usd":/"usd":-/' 's/"answered":[0-9]*/"answered":"<b>"/' 's/"accepted":/"accepted":1e300,"x":/' 's/}$//' \
    's/"mean":/"mean":null,"m":/' 's/"projection":{/"projection":{"total_usd":1e99,/'; do
    sed "$damage" good.json >set/stats.json
    cmp -s good.json set/stats.json && fail "no damage by $damage"
    "$lens" report -d set -o damaged.html >/dev/null 2>err || fail "damaged by $damage: $?"
    grep -q 'class="note">[^<]*stats.json' damaged.html || fail "the damage by $damage is not said"
    grep -q 'How the captions were made' damaged.html && fail "shown in spite of $damage"
done

chromium=$(command -v chromium || command -v chromium-browser || command -v google-chrome)
if [ -z "$chromium" ]; then
    echo "skipped: no Chromium to lay the page out"
    exit 77
fi
mkdir browser
PYTHONPATH=$here PYTHONDONTWRITEBYTECODE=1 python3 "$here/report_browser.py" "$chromium" "$work/page.html" "$work/browser" ||
    fail "the page in the browser"
[ -z "${LENS_KEEP:-}" ] || cp browser/*.png page.html "$LENS_KEEP"
