#!/usr/bin/env bash
# lens review as a whole program: the same page for the same seed, strata, errors; in headless Chromium a person's keys,
# and what they decided applied to the layers. With LENS_KEEP=DIR the page and the screenshots stay there.
set -u
lens=$(realpath "$1")
here=$(dirname "${BASH_SOURCE[0]}")
# shellcheck source=tests/e2e/shards.sh
. "$here/shards.sh"
# shellcheck source=tests/e2e/server.sh
. "$here/server.sh"
python=${LENS_PYTHON:-/usr/bin/python3}
command -v "$python" >/dev/null || {
    echo "skipped: no $python"
    exit 77
}

# 12 samples in two shards. A person has taken out all captions of one kind; in another folder are the layers of a model
# that often answers badly.
$lens scenes -n 12 --seed 5 --shard-samples 7 --captions -o "$work/set" >/dev/null || complain "scenes"
$lens recaption "$work/set" >/dev/null || complain "recaption"
cd "$work" || exit 1
server_start server --bad-rate 0.6 || exit 1
$lens recaption "$work/set" -o "$work/served" --captioner "$server_url" --model m --kinds served=detailed,tags=tags --attempts 1 \
    >/dev/null || complain "rejects"
server_stop "$server_pid" || complain "the server's end"
cd - >/dev/null || exit 1
for i in $(seq 0 11); do echo "{\"sample\":$i,\"kind\":\"truth-brief\",\"decision\":\"reject\"}"; done >"$work/out.jsonl"
$lens recaption "$work/set" --apply "$work/out.jsonl" >/dev/null || complain "taking out"
printf '%s\n' '{"sample":4,"kind":"dense","decision":"edit","text":"A text: </script><script>window.broken = 1</script><b>bold</b> & \"quotes\" \u202eturned, seven Violet things."}' >"$work/hostile.jsonl"
$lens recaption "$work/set" --apply "$work/hostile.jsonl" >/dev/null || complain "hostile"

expect 0 "24 of 24 captions" $lens review "$work/set" --kinds dense,truth-brief -o "$work/page.html"
$lens review "$work/set" --kinds dense,truth-brief -o "$work/again.html" >/dev/null
cmp "$work/page.html" "$work/again.html" || complain "the same command, another page"
grep -qF '</script><script>window' "$work/page.html" && complain "a caption reaches the markup"
expect 0 " 5 of 12 captions" $lens review "$work/set" --kinds dense -n 5 -o "$work/five.html"
$lens review "$work/set" --kinds dense -n 5 --seed 1 -o "$work/other.html" >/dev/null
cmp -s "$work/five.html" "$work/other.html" && complain "another seed, the same page"
expect 0 "12 of 12 captions" $lens review "$work/set" --rejected -o "$work/rejected.html"
grep -q '"kind":"dense"' "$work/rejected.html" && complain "--rejected shows an accepted caption"
expect 0 "24 of 24 captions" $lens review "$work/set" --layers "$work/served" --kinds served,tags -o "$work/served.html"
n_rejected=$(grep -c '"reason":' "$work/served.html")
[ "$n_rejected" -ge 6 ] || complain "only $n_rejected were rejected"
expect 0 " $n_rejected of $n_rejected captions" $lens review "$work/set" --layers "$work/served" --kinds served,tags --rejected -o "$work/bad.html"
for reason in loop refused truncated; do
    grep -qE "\"kind\":\"served\".*\"reason\":\"$reason\",\"raw\":\"[^\"]" "$work/bad.html" || complain "no answer with reason $reason"
done
# Equal shares of each kind and reason, accepted ones among them.
grep -oE '"kind":"[a-z]+"|"reason":"[a-z]+"' "$work/served.html" | awk '/kind/ { if (k) print k r; k = $0; r = "" } /reason/ { r = $0 } END { print k r }' |
    sort -u >"$work/all-strata"
n=$(wc -l <"$work/all-strata")
[ "$n" -ge 6 ] || complain "only $n strata"
expect 0 " $n of 24 captions" $lens review "$work/set" --layers "$work/served" --kinds served,tags --by kind,reason -n "$n" -o "$work/each.html"
grep -oE '"kind":"[a-z]+"|"reason":"[a-z]+"' "$work/each.html" | awk '/kind/ { if (k) print k r; k = $0; r = "" } /reason/ { r = $0 } END { print k r }' |
    sort >"$work/drawn-strata"
cmp "$work/all-strata" "$work/drawn-strata" || complain "--by kind,reason: not one of each"
expect 0 " 9 of 36 captions" $lens review "$work/set" --by kind,reason -n 9 -o "$work/strata.html"
[ "$(grep -c '"kind":"dense"' "$work/strata.html")" = 3 ] || complain "--by kind: no equal shares"
expect 2 "no caption layer 'none'" $lens review "$work/set" --kinds none -o "$work/x.html"
expect 2 "expected kind, reason" $lens review "$work/set" --by size -o "$work/x.html"
$lens scenes -n 2 -o "$work/bare" >/dev/null
expect 1 "no captions to review" $lens review "$work/bare" -o "$work/x.html"
[ ! -e "$work/x.html" ] || complain "an error left a page"

chromium=$(command -v chromium || command -v chromium-browser || command -v google-chrome)
if [ -z "$chromium" ]; then
    [ $failures = 0 ] || exit 1
    echo "skipped: no Chromium to drive the page in"
    exit 77
fi
# Alt-texts that do not suit a page.
$lens shards export "$work/bare" -o "$work/bare-tar" >/dev/null || complain "export"
mkdir "$work/hostile" "$work/bare-files" && tar xf "$work"/bare-tar/*.tar -C "$work/bare-files"
for name in html right-to-left word megabyte; do cp "$work"/bare-files/*1.webp "$work/hostile/$name.webp"; done
"$python" - "$work/hostile" <<'PY' || complain "the hostile texts"
import pathlib, sys
folder = pathlib.Path(sys.argv[1])
texts = {
    "html": "<img src=x onerror=\"window.broken = 1\"> \u202eevil\u202c <script>window.broken = 1</script> <b>x</b> </script>",
    "right-to-left": "\u05d7\u05ea\u05d5\u05dc \u05e9\u05d7\u05d5\u05e8 by Dana Levi, \u05e9\u05dc\u05d5\u05e9 (2019)",
    "word": "W" * 4000 + "/a" * 400,
    "megabyte": ("Three Red houses of Berlin, " * 40000)[:(1 << 20) - 7] + "the end",
}
for name, text in texts.items():
    (folder / f"{name}.txt").write_text(text, encoding="utf-8")
PY
$lens ingest "$work/hostile" -o "$work/hostile-set" >/dev/null || complain "ingest"
$lens recaption "$work/hostile-set" >/dev/null || complain "recaption of the hostile texts"
expect 0 "4 of 4 captions" $lens review "$work/hostile-set" -o "$work/hostile.html"

mkdir "$work/browser"
"$python" "$here/review_browser.py" "$chromium" "$work/browser" "$work" || complain "the pages in the browser"
[ -z "${LENS_KEEP:-}" ] || cp "$work"/browser/*.png "$work"/*.html "$LENS_KEEP"

# What was decided reaches the layers, once, and nothing else changes.
captions() { # LAYERS: a line of JSON a sample
    $lens shards cat "$work/set" --layers "$1" --json 0 1 2 3 4 5 6 7 8 9 10 11
}
check_applied() { # DECISIONS BEFORE AFTER
    "$python" - "$@" <<'PY' || complain "$1: not what was decided"
import json, sys
decided = {(r["sample"], r["kind"]): r for r in map(json.loads, open(sys.argv[1]))}
before, after = ([json.loads(line) for line in open(name)] for name in sys.argv[2:])
assert len(before) == len(after) == 12
for old, new in zip(before, after):
    for kind in old["caption_meta"]:
        text, meta, was, had = new["captions"][kind], new["caption_meta"][kind], old["captions"][kind], old["caption_meta"][kind]
        r = decided.pop((new["key"], kind), None)
        if r is None:
            assert (text, meta) == (was, had), (new["key"], kind, meta)
            continue
        assert meta["by"] == "review", meta
        if r["decision"] == "reject":
            assert text == "" and meta["raw"] == r["text"] and meta["status"] == "rejected" and "words" not in meta, meta
            assert meta["reason"] == ("review" if was else had["reason"]), meta
        else:
            assert text == r["text"] and meta["status"] == "accepted" and "reason" not in meta and meta["words"] == len(text.split()), meta
            assert meta.get("raw") == (None if r["decision"] == "accept" else was or had["raw"]), meta
        rest = {"raw", "reason", "status", "value", "words", "by"}
        assert {k: v for k, v in meta.items() if k not in rest} == {k: v for k, v in had.items() if k not in rest}, (meta, had)
assert not decided, decided
PY
}
apply() { # LAYERS DECISIONS SAID
    captions "$1" >"$work/before"
    expect 0 "$3" $lens recaption "$work/set" -o "$1" --apply "$2"
    captions "$1" >"$work/after"
    check_applied "$2" "$work/before" "$work/after"
    rm -rf "$work/once"
    cp -r "$1" "$work/once"
    expect 0 "0 accepted, 0 rejected, 0 edited, 3 already so" $lens recaption "$work/set" -o "$1" --apply "$2"
    diff -r "$1" "$work/once" || complain "the second time $2 changed a file"
}
decisions=$work/browser/decisions.jsonl
apply "$work/set" "$decisions" "1 accepted, 0 rejected, 1 edited, 1 already so"
apply "$work/served" "$work/browser/decisions-served.jsonl" "1 accepted, 1 rejected, 1 edited, 0 already so"
# Of the pages as they are now, what was decided is said.
$lens review "$work/set" --layers "$work/served" --kinds served -o "$work/after.html" >/dev/null || complain "another page"
[ "$(grep -c '"by":"review"' "$work/after.html")" = 3 ] || complain "the page does not say what was judged before"

# Decisions of another page: of layers that the set has not, of samples that it has not.
expect 1 "decisions-served.jsonl:1: kind: the set has no caption layer 'served'" $lens recaption "$work/set" --apply "$work/browser/decisions-served.jsonl"
sed 's/"sample":"/"sample":"other-/' "$decisions" >"$work/other.jsonl"
expect 1 "other.jsonl:1: the set has no sample 'other-scene" $lens recaption "$work/set" --apply "$work/other.jsonl"
# A caption that is newer than the page stays; what else was decided is done.
echo '{"sample":0,"kind":"dense","decision":"edit","text":"Newer than the page."}' >"$work/newer.jsonl"
expect 0 "1 edited" $lens recaption "$work/set" --apply "$work/newer.jsonl"
captions "$work/set" >"$work/before"
expect 1 "decisions.jsonl:1: not applied: dense caption of sample 0, scene-5-00000000 has changed since" $lens recaption "$work/set" --apply "$decisions"
expect 1 "1 of 3 decisions were not applied" $lens recaption "$work/set" --apply "$decisions"
captions "$work/set" >"$work/after"
cmp "$work/before" "$work/after" || complain "a decision of an old page over a new caption"
grep -q "Newer than the page" "$work/after" || complain "the newer caption is lost"
exit $((failures > 0))
