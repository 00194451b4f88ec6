#!/usr/bin/env bash
# lens recaption, interrupted and shared out: killed at random times, stopped by a signal, by 3 ranks, with a full disk:
# the layers are always those of one undisturbed run, and what a server answered is not asked for again. And what changes layers: --limit, --apply, --only-rejected.
set -u
lens=$(realpath "$1")
# shellcheck source-path=SCRIPTDIR source=server.sh
. tests/e2e/server.sh
export OMPI_ALLOW_RUN_AS_ROOT=1 OMPI_ALLOW_RUN_AS_ROOT_CONFIRM=1
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work" || exit 1
failures=0
fail() {
    echo "FAILED: $*"
    failures=$((failures + 1))
}
same() { # DIR
    diff -r whole/dense "$1/dense" >difference 2>&1 || fail "$1: other layers than those of an undisturbed run: $(cat difference)"
    [ ! -e "$1/.recaption" ] || fail "$1: work is left: $(ls -A "$1/.recaption")"
}
expect() { # STATUS TEXT COMMAND...
    local status=0 want=$1 text=$2
    shift 2
    "$@" >out 2>err || status=$?
    [ $status = "$want" ] || fail "$*: status $status, expected $want: $(cat err)"
    grep -q -- "$text" out err || fail "$*: no '$text' in: $(cat out err)"
}

# Pictures that look alike share captions at first: doubles are asked for again.
"$lens" scenes -n 1200 --seed 5 --size 32 --shard-samples 200 -o set >out 2>err || fail "scenes: $(cat err)"
"$lens" recaption set -o whole --threads 2 >out 2>err || fail "undisturbed: $(cat err)"
[ "$(find whole/dense -name '*.h5' | wc -l)" = 6 ] || fail 'shards'
grep -q 'asked for more than once' out || fail "summary: $(cat out)"

# Killed again and again: each start goes on, whatever was under way.
kills=0
for i in $(seq 100); do
    "$lens" recaption set -o killed --threads 2 >out 2>err &
    pid=$!
    sleep 0.0$((RANDOM % 10))
    if kill -9 $pid 2>/dev/null; then kills=$((kills + 1)); fi
    wait $pid 2>/dev/null
    [ $kills -lt 10 ] || break
    [ "$(find killed/dense -name '*.h5' 2>/dev/null | wc -l)" -lt 6 ] || break
done
[ $kills -ge 2 ] || fail "$kills kills in $i starts tell nothing"
"$lens" recaption set -o killed >out 2>err || fail "after $kills kills: $(cat err)"
same killed

# A signal: what was answered stays.
"$lens" recaption set -o stopped --limit 300 >out 2>err || fail "limit: $(cat err)"
[ -e stopped/.recaption/shard-00001.journal ] || fail 'no journal of the shard that was begun'
expect 1 'begun with other settings: attempts was 64, now 3' "$lens" recaption set -o stopped --attempts 3
"$lens" recaption set -o stopped --threads 1 >out 2>err &
pid=$!
until [ -e stopped/dense/shard-00001.h5 ] || ! kill -0 $pid 2>/dev/null; do sleep 0.01; done
kill -TERM $pid
wait $pid && fail 'stopped by SIGTERM, but the exit status is 0'
grep -q 'stopped; the same command goes on' err || fail "stopped by SIGTERM: $(cat err)"
expect 0 captions "$lens" recaption set -o stopped
same stopped

# A torn tail is asked for again; --restart drops all.
"$lens" recaption set -o torn --limit 100 >out 2>err || fail "limit: $(cat err)"
truncate -s -5 torn/.recaption/shard-00000.journal
expect 0 'cut off; it is asked for again' "$lens" recaption set -o torn
same torn
"$lens" recaption set -o anew --limit 100 --attempts 3 >out 2>err || fail "limit: $(cat err)"
expect 0 captions "$lens" recaption set -o anew --restart
same anew

# Killed between a shard's last layer and the end of its journal: that holds nobody up, whatever is asked for next.
"$lens" recaption set -o over --limit 100 >out 2>err || fail "limit: $(cat err)"
cp over/.recaption/shard-00000.journal first.journal
expect 0 captions "$lens" recaption set -o over
mkdir over/.recaption && cp first.journal over/.recaption/shard-00000.journal
expect 0 '0 captions in 0 shards' "$lens" recaption set -o over --only-rejected
same over
mkdir over/.recaption && cp first.journal over/.recaption/shard-00000.journal
expect 0 '0 captions in 0 shards' "$lens" recaption set -o over
same over

# One process at a time.
mkdir -p locked/.recaption
(
    flock 9
    failures=0
    expect 1 'another lens recaption is at work here' "$lens" recaption set -o locked
    [ "$failures" = 0 ]
) 9>locked/.recaption/lock || fail 'the lock'
expect 0 captions "$lens" recaption set -o locked
same locked

# Decisions, then the rejected ones once more: other attempts, other words; all else is as it was.
cp -r whole changed
key=$("$lens" shards cat set 5 --json | sed 's/.*"key":"\([^"]*\)".*/\1/')
cat >decisions.jsonl <<EOF
{"sample":3,"kind":"dense","decision":"reject"}
{"sample":"$key","kind":"dense","decision":"edit","text":"A \"new\" caption."}
{"sample":700,"kind":"dense","decision":"reject"}
{"sample":700,"kind":"dense","decision":"accept","time":1}
EOF
expect 0 '1 accepted, 1 rejected, 1 edited' "$lens" recaption set -o changed --apply decisions.jsonl
cmp -s whole/dense/shard-00000.h5 changed/dense/shard-00000.h5 && fail 'decisions changed nothing'
cmp -s whole/dense/shard-00001.h5 changed/dense/shard-00001.h5 || fail 'a shard without decisions changed'
expect 0 '1 captions in 1 shards' "$lens" recaption set -o changed --only-rejected
cp -r changed once
expect 0 '0 captions in 0 shards' "$lens" recaption set -o changed --only-rejected
diff -r once changed || fail 'a second pass of the same settings changed layers'
printf '{"sample":%d,"kind":"dense","decision":"reject"}\n' 10 150 >decisions.jsonl
cp -r changed over-again
expect 0 '2 rejected' "$lens" recaption set -o over-again --apply decisions.jsonl
expect 0 '1 shards are begun' "$lens" recaption set -o over-again --only-rejected --limit 100
cp over-again/.recaption/shard-00000.journal first.journal
expect 0 '2 captions in 1 shards' "$lens" recaption set -o over-again --only-rejected
cp -r over-again once-again
mkdir over-again/.recaption && cp first.journal over-again/.recaption/shard-00000.journal
expect 0 '0 captions in 0 shards' "$lens" recaption set -o over-again --only-rejected --attempts 3
diff -r over-again once-again || fail 'a journal that was over changed layers'
ln -s "$PWD/set/base" changed/base
"$lens" shards cat changed 5 --json | grep -q '"dense":"A \\"new\\" caption."' || fail 'the edit was lost'
[ "$("$lens" shards cat changed 3 --json | grep -c '"dense":"[A-Z]')" = 1 ] || fail 'the reject has no new caption'
"$lens" shards verify changed >out 2>err || fail "verify: $(cat out err)"
echo '{"sample":"nobody","kind":"dense","decision":"reject"}' >wrong.jsonl
expect 1 "wrong.jsonl:1: the set has no sample 'nobody'" "$lens" recaption set -o changed --apply wrong.jsonl
echo '{"sample":1,"kind":"dense","decision":"perhaps"}' >wrong.jsonl
expect 1 'wrong.jsonl:1: decision: expected accept, reject or edit' "$lens" recaption set -o changed --apply wrong.jsonl

# A server that answers half of all badly, counted: what was turned down before a stop is not asked for again. Only what
# was in flight at a kill may be.
asked() { # LINES PID: waits for so many requests
    until [ "$(wc -l <server.log)" -ge "$1" ] || ! kill -0 "$2" 2>/dev/null; do read -rt 0.01 <> <(:) || true; done
}
twice() { cut -d' ' -f1,2 server.log | sort | uniq -d | wc -l; }
"$lens" scenes -n 240 --seed 6 --size 32 --shard-samples 60 -o few >out 2>err || fail "scenes: $(cat err)"
server_start server --bad-rate 0.5 --latency-ms 20 --log server.log || exit 1
ask=("$lens" recaption few --captioner "$server_url" --model m --min-words 1 --concurrency 8 --threads 1)
"${ask[@]}" -o few-whole >out 2>err || fail "with a server: $(cat err)"
n_asked=$(wc -l <server.log)
server_stop "$server_pid"
rm server.log
server_start server --bad-rate 0.5 --latency-ms 20 --log server.log --port "$server_port" || exit 1
"${ask[@]}" -o few-cut >out 2>err &
pid=$!
asked 100 $pid
kill -TERM $pid
wait $pid && fail 'a run that was stopped has ended well'
n_first=$(wc -l <server.log)
"${ask[@]}" -o few-cut >out 2>err &
pid=$!
asked $((n_first + 100)) $pid
[ "$(twice)" = 0 ] || fail "$(twice) requests were answered before a stop, and sent again"
kill -KILL $pid && wait $pid 2>/dev/null
"${ask[@]}" -o few-cut >out 2>err || fail "after a kill: $(cat err)"
[ "$(twice)" -le 8 ] || fail "$(twice) requests were sent again after a kill, with 8 in flight"
[ "$(wc -l <server.log)" -le $((n_asked + 8)) ] || fail "$(wc -l <server.log) requests, undisturbed $n_asked"
diff -r -x stats.json few-whole few-cut || fail 'other layers than those of an undisturbed run'
server_stop "$server_pid" || fail "the server's end"

command -v mpirun >/dev/null || { echo 'skipped: mpirun is not installed'; exit 77; }
ASAN_OPTIONS=detect_leaks=0 timeout 60 mpirun --oversubscribe -np 3 "$lens" recaption set -o ranks --threads 1 >out 2>err || fail "3 ranks: $(cat err)"
grep -q '1200 captions in 6 shards' out || fail "3 ranks: $(cat out)"
same ranks

[ $failures = 0 ]
