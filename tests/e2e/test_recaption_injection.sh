#!/usr/bin/env bash
# 50 hostile alt-texts (instructions, tags, quotes, control characters, right to left, invalid UTF-8, 1 MB) through lens
# ingest, lens recaption and lens review: samples beside them, templates and settings are as in a run without them.
set -u
lens=$(realpath "$1")
here=$(realpath "$(dirname "${BASH_SOURCE[0]}")")
# shellcheck source-path=SCRIPTDIR source=server.sh
. "$here/server.sh"
python=${LENS_PYTHON:-/usr/bin/python3}
command -v "$python" >/dev/null || {
    echo "skipped: no $python"
    exit 77
}
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work" || exit 1
fail() {
    echo "FAILED: $*"
    tail -3 out err ./*.err 2>/dev/null
    exit 1
}
$lens scenes -n 100 --seed 7 -o scenes >/dev/null && $lens shards export scenes -o tar >/dev/null || fail scenes
mkdir pictures && tar xf tar/*.tar -C pictures || fail pictures
"$python" "$here/injection.py" make pictures hostile harmless || fail "the alt-texts"

recaption() { # SET CAPTIONER [OPTION]...: LAYERS are set-CAPTIONER
    local set=$1 captioner=$2
    shift 2
    "$lens" recaption "$set-set" -o "$set-$captioner" "$@" >out 2>err || fail "$set, $captioner: status $?"
    # shellcheck disable=SC2046  # numbers
    "$lens" shards cat "$set-set" --layers "$set-$captioner" --json $(seq 0 99) >"$set-$captioner.jsonl" || fail "$set, $captioner: cat"
}
for set in hostile harmless; do
    "$lens" ingest "$set" -o $set-set --shard-samples 40 >out 2>err || fail "$set: ingest: status $?"
    "$lens" shards verify $set-set >out 2>err || fail "$set: verify"
    grep -q '"accepted":100,' $set-set/ingest.json || fail "$set: $(cat $set-set/ingest.json)"
    # Answers of a model, which depend on the picture and the seed alone.
    server_start $set --bodies $set.bodies || exit 1
    recaption $set answers --captioner "$server_url" --model m --kinds dense=detailed,tags=tags
    [ "$(server_stat "$server_port" bad_requests_total)" = 0 ] || fail "$set: bad requests"
    server_stop "$server_pid" || fail "the server's end"
    # A model that says all messages again.
    server_start $set-echo --echo || exit 1
    recaption $set echo --captioner "$server_url" --model m --kinds dense=detailed,tags=tags --attempts 1
    server_stop "$server_pid" || fail "the server's end"
    recaption $set describe
done
for captioner in answers echo describe; do
    echo "$captioner:"
    "$python" "$here/injection.py" records hostile-$captioner.jsonl harmless-$captioner.jsonl || fail "$captioner: records"
done
"$python" "$here/injection.py" bodies hostile.bodies harmless.bodies || fail "bodies"
"$lens" review hostile-set --layers hostile-echo -o page.html >out 2>err || fail "review"
"$python" "$here/injection.py" page page.html || fail "the page"
exit 0
