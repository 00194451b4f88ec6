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
command -v python3 >/dev/null || {
    echo "skipped: no python3"
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
mkdir "$work/browser"
python3 "$here/review_browser.py" "$chromium" "$work/page.html" "$work/browser" || complain "the page in the browser"
[ -z "${LENS_KEEP:-}" ] || cp "$work"/browser/*.png "$work/page.html" "$LENS_KEEP"
expect 0 "1 accepted, 1 rejected, 1 edited" $lens recaption "$work/set" --apply "$work/browser/decisions.jsonl"
for i in $(seq 0 11); do $lens shards cat "$work/set" "$i" --json; done >"$work/captions"
grep -q "A new caption, ja" "$work/captions" || complain "the edit did not reach a layer"
exit $((failures > 0))
