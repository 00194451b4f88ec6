#!/usr/bin/env bash
# What lens recaption counts: tokens and cost are the server's, a budget is not exceeded, and runs that it stopped add up to
# one that nothing stopped.
set -u
lens=$(realpath "$1")
# shellcheck source-path=SCRIPTDIR source=server.sh
. tests/e2e/server.sh
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work" || exit 1
fail() {
    echo "FAILED: $*"
    tail -3 err server.err 2>/dev/null
    exit 1
}
ask() { # OUT [OPTION]...
    local out=$1
    shift
    "$lens" recaption set -o "$out" --model test-model --captioner "$server_url" --kinds dense=detailed,second=detailed \
        --min-words 1 --max-words 1000 --threads 2 --price-in 100 --price-out 400 "$@" >out 2>err
}
figure() { # FILE NAME: the first number of that name
    grep -oE "\"$2\":[0-9.e+-]+" "$1" | head -1 | cut -d: -f2
}
holds() { # EXPRESSION of awk
    awk "BEGIN { exit !($1) }" || fail "$1"
}
"$lens" scenes -n 120 --seed 5 --shard-samples 25 -o set >/dev/null || fail scenes
server_start server --latency-ms 20 || exit 1

ask whole || fail "whole: $?"
[ ! -e whole/.recaption ] || fail "left behind: $(ls whole/.recaption)"
[ "$(figure whole/stats.json captions)" = 240 ] || fail "captions: $(cat whole/stats.json)"
[ "$(figure whole/stats.json captions_left)" = 0 ] || fail "left: $(cat whole/stats.json)"
in=$(figure whole/stats.json tokens_in) tokens_out=$(figure whole/stats.json tokens_out) usd=$(figure whole/stats.json usd)
grep -q '"endpoints":\[{"name":"http://127' whole/stats.json || fail "endpoints: $(cat whole/stats.json)"
holds "$in > 0 && $tokens_out > 0 && ($in * 100 + $tokens_out * 400) / 1e6 - $usd < 1e-6 && $usd - ($in * 100 + $tokens_out * 400) / 1e6 < 1e-6"

# Two fifths of it, then four fifths, then enough.
for part in 0.4 0.8; do
    budget=$(awk "BEGIN { print $usd * $part }")
    ask parts --concurrency 4 --budget "${budget}USD"
    status=$?
    [ $status = 1 ] || fail "budget $budget of $usd: status $status"
    grep -q -- '--budget' err || fail "the budget is not named: $(cat err)"
    spent=$(figure parts/stats.json usd)
    # The last request is not sent where it could exceed, so at most the dearest answer is left: here 0.4 and 0.1 %.
    holds "$spent <= $budget && $spent > 0.985 * $budget"
    [ "$(grep -c . err)" = 1 ] || fail "more than one line: $(cat err)"
    holds "$(figure parts/stats.json total_usd) > 0.7 * $usd && $(figure parts/stats.json total_usd) < 1.4 * $usd"
done
ask parts --budget "$(awk "BEGIN { print $usd * 2 }")" || fail "the last part: $?"
diff -r -x stats.json whole parts || fail "other layers than in one run"
for name in captions tokens_in tokens_out usd; do
    [ "$(figure whole/stats.json $name)" = "$(figure parts/stats.json $name)" ] ||
        fail "$name: $(cat whole/stats.json parts/stats.json)"
done

# Ranks count together, and share a budget.
export OMPI_ALLOW_RUN_AS_ROOT=1 OMPI_ALLOW_RUN_AS_ROOT_CONFIRM=1
ranks() { # [OPTION]...
    ASAN_OPTIONS=detect_leaks=0 timeout 60 mpirun --oversubscribe -np 3 "$lens" recaption set -o ranks --model test-model --captioner "$server_url" \
        --kinds dense=detailed,second=detailed --min-words 1 --max-words 1000 --threads 2 --price-in 100 \
        --price-out 400 "$@" >out 2>err
}
budget=$(awk "BEGIN { print $usd * 0.5 }") # each rank leaves what a request might cost: 2 % were left
ranks --concurrency 4 --budget "$budget"
status=$?
[ $status = 1 ] || fail "ranks: status $status"
[ "$(grep -c 'lens recaption: stopped: --budget' err)" = 1 ] || fail "ranks: the budget is not named once: $(cat err)"
holds "$(figure ranks/stats.json usd) <= $budget && $(figure ranks/stats.json usd) > 0.93 * $budget"
[ "$(grep -o '"answered":[0-9]*' ranks/stats.json | cut -d: -f2)" = "$(figure ranks/stats.json answers)" ] ||
    fail "ranks: endpoints of all: $(cat ranks/stats.json)"
ranks || fail "ranks: $?"
diff -r -x stats.json whole ranks || fail "ranks: other layers than of one process"
for name in captions tokens_in tokens_out usd; do
    [ "$(figure whole/stats.json $name)" = "$(figure ranks/stats.json $name)" ] ||
        fail "ranks: $name: $(cat whole/stats.json ranks/stats.json)"
done

# The progress line, on a terminal.
command -v script >/dev/null && {
    script -qec "stty cols 400; '$lens' recaption set -o line --model test-model --captioner '$server_url' \
        --kinds dense=detailed,second=detailed --min-words 1 --max-words 1000 --threads 2 --concurrency 4 --price-in 100 \
        --price-out 400" typescript >/dev/null </dev/null || fail "on a terminal: $?"
    line=$(tr '\r' '\n' <typescript | grep ' left, .*USD of' | tail -1)
    for part in ' captions, [0-9]*/s of 240, [0-9.]* pictures/s, ' ' left, [0-9.]* USD of [0-9.]*, tokens [0-9.]*k in, [0-9.]*k out' \
        ', 127.0.0.1:[0-9]* [0-9.]*/s'; do
        [[ $line =~ $part ]] || fail "the progress line has no '$part': $line"
    done
}

# What cannot be.
ask none --budget 5EUR && fail "another currency was taken"
grep -q 'US dollars' err || fail "currency: $(cat err)"
"$lens" recaption set -o none --model m --captioner "$server_url" --budget 5 >out 2>err && fail "a budget without prices"
grep -q -- '--price-in' err || fail "prices: $(cat err)"
mkdir -p none/.recaption && echo '{"captions":-1}' >none/.recaption/account-0.json
ask none && fail "a damaged account was taken"
grep -q 'account-0.json' err || fail "damaged: $(cat err)"
server_stop "$server_pid" || fail "the server's end"
