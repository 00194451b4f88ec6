#!/usr/bin/env bash
# lens report as a whole program: a page on a run that crashed and its dataset, one on a dataset alone, and clear errors.
set -eu
lens=$(realpath "$1")
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
fail() {
    echo "FAILED: $*"
    exit 1
}
command -v python3 >/dev/null || {
    echo "skipped: no python3 to parse the page with"
    exit 77
}

$lens scenes -n 60 --captions --shard-samples 40 -o "$work/scenes" >/dev/null
mkdir "$work/run"
cat >"$work/run/run.json" <<EOF
{"model": {"parameters": 1234567}, "world": 1, "threads": 2, "datasets": ["$work/scenes", "$work/gone"], "command": "<script>"}
EOF
for step in 1 2 3 4 5; do
    echo "{\"step\": $step, \"loss\": 0.$((9 - step)), \"lr\": 1e-4, \"grad_norm\": 1, \"images\": $((step * 8))}"
done >"$work/run/metrics.jsonl"
printf '{"step": 6, "lo' >>"$work/run/metrics.jsonl"

[ "$($lens report "$work/run" -o "$work/page.html" --title 'A & B')" = "$work/page.html" ] || fail "prints the page's name"
$lens report --dataset "$work/scenes" -o "$work/data.html" >/dev/null

# A strict parser (XML), then: the parts that must be there, and nothing that would be fetched or run.
python3 - "$work/page.html" "$work/data.html" <<'EOF' || fail "the page"
import sys
import xml.etree.ElementTree as tree

def check(path, title, n_notes, n_charts, n_cards):
    text = open(path, encoding="utf-8").read()
    root = tree.fromstring(text)
    assert root.find("head/title").text == title, root.find("head/title").text
    notes = [e.text for e in root.iter("p") if e.get("class") == "note"]
    assert len(notes) == n_notes, notes
    assert len(list(root.iter("svg"))) == n_charts, len(list(root.iter("svg")))
    assert len(list(root.iter("article"))) == n_cards
    assert all(e.get("src").startswith("data:image/") for e in root.iter("img"))
    assert not list(root.iter("script")) and not list(root.iter("link"))
    assert all(e.get("href").startswith("#") for e in root.iter("a"))
    assert "url(" not in text and "@import" not in text
    ids = [e.get("id") for e in root.iter() if e.get("id")]
    assert len(ids) == len(set(ids))
    assert {e.get("href")[1:] for e in root.iter("a")} <= set(ids)
    return notes

# Notes: the run has no end, no samples, no configuration, a last line cut short, and names a dataset that is gone.
notes = check(sys.argv[1], "A & B", 5, 5, 10)
assert any("(6) is cut short" in n for n in notes), notes
check(sys.argv[2], "Dataset report: " + sys.argv[2].rsplit("/", 1)[0] + "/scenes", 0, 2, 10)
EOF

for arguments in "1 $work/nothing-here" "1 $work/scenes" "2" "2 --nonsense"; do
    status=0
    # shellcheck disable=SC2086
    (cd "$work" && $lens report ${arguments#?} >/dev/null 2>"$work/errors") || status=$?
    [ "$status" = "${arguments%% *}" ] || fail "lens report${arguments#?}: status $status: $(cat "$work/errors")"
    [ "$(wc -l <"$work/errors")" -le 2 ] || fail "more than an error: $(cat "$work/errors")"
done
[ ! -e "$work/report.html" ] || fail "an error left a page"
