#!/usr/bin/env bash
# Kills lens ingest after random times, again and again, and compares the result with an undisturbed run's.
# usage: ingest_kill.sh PATH_OF_LENS [ROUNDS] [RANKS]
set -u
lens=$1
rounds=${2:-50}
ranks=${3:-1}
DETECT_LEAKS=0
# shellcheck source-path=SCRIPTDIR source=../e2e/ingest.sh
. "$(dirname "$0")/../e2e/ingest.sh"
make_input
run=("$lens" ingest in a.tar b.tar -o set --config config.yaml --threads 2)
[ "$ranks" -gt 1 ] && run=(mpirun --oversubscribe -np "$ranks" "${run[@]}")
"${run[@]}" >out 2>err || { fail undisturbed; exit 1; }
result set >wanted
kills=0 rests=0
for round in $(seq 1 "$rounds"); do
    rm -rf set
    # Shorter and longer than the run takes; the group, so that mpirun's ranks die with it.
    until [ -e set/ingest.json ]; do
        delay=$(printf '0.%03d' $((RANDOM % 700 + 20)))
        setsid "${run[@]}" >out 2>err &
        pid=$!
        sleep "$delay"
        if kill -9 -- -$pid 2>/dev/null; then kills=$((kills + 1)); fi
        wait $pid 2>/dev/null
        rests=$((rests + 1))
        [ $rests -lt $((rounds * 200)) ] || { fail 'it does not get on'; exit 1; }
    done
    "${run[@]}" >out 2>err # removes what a killed end left
    result set >got
    cmp -s wanted got || fail "round $round: another result"
done
echo "$rounds rounds, $kills kills: $failures failures"
[ $failures = 0 ]
