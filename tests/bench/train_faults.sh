#!/usr/bin/env bash
# Kills random ranks of a run at random moments, lets launch/run.sh go on, with another number of ranks and another stage of
# sharding now and then, and compares all losses with those of a run that was left in peace: to the bit where nothing but
# the kills differed, to rounding where ranks or stages changed too. Not part of the tests: it takes minutes.
#
#   tests/bench/train_faults.sh [BINARY] [KILLS] [SEED]
set -eu
lens=$(realpath "${1:-build/release/lens}") kills=${2:-20} RANDOM=${3:-1}
# shellcheck source-path=SCRIPTDIR source=../e2e/train.sh
. "$(dirname "$0")/../e2e/train.sh"
make_set
common="train.batch=12 train.group_mb=0.01 train.checkpoint_every=7 train.keep=2 train.watchdog_s=20 data.flip=true"
pause_ms=400 # at most, from a start's first new step to the kill

ranks() {
    ps -eo pid,comm,args | awk -v dir="run.dir=$work/$1 " '$2 == "lens" && index($0 " ", dir) { print $1 }'
}
n_steps() { wc -l 2>/dev/null <"$1/metrics.jsonl" || echo 0; }
newest() { basename "$(readlink "$1/checkpoints/latest" || echo step-0)"; }

# kill_one RUN: a random rank, some time after the run has come beyond its newest checkpoint. Waits for the end of its
# process group's mpirun, so that the next one is of the next start.
kill_one() {
    local before rank all
    before=$(n_steps "$1")
    until all=$(ranks "$1") && [ -n "$all" ] && [ "$(n_steps "$1")" != "$before" ]; do
        kill -0 $pid 2>/dev/null || return 1
        sleep 0.01
    done
    sleep "$(printf 0.%03d $((RANDOM % pause_ms)))"
    all=$(ranks "$1")
    [ -n "$all" ] || return 1
    rank=$(shuf -n 1 --random-source=<(yes $RANDOM) <<<"$all")
    kill -KILL "$rank" 2>/dev/null || return 1
    local begin
    begin=$(date +%s%N)
    while [ -n "$(ps -o pid= -p "$(tr ' \n' ',,' <<<"$all" | sed 's/,*$//')" | head -1)" ]; do sleep 0.02; done
    ended_ms+=($((($(date +%s%N) - begin) / 1000000)))
    n_killed=$((n_killed + 1))
}
ended_ms=() n_killed=0

# run RUN RANKS KILLS KEY=VALUE...: run.sh restarts by itself; it is ended after so many kills.
run() {
    local dir=$1 n=$2 left=$3
    shift 3
    LENS=$lens setsid "$root/launch/run.sh" -n "$n" --no-bind --threads 1 --restarts 999 train tiny.yaml \
        run.dir="$work/$dir" train.steps=99999999 $common "$@" --resume >>"$dir.out" 2>>"$dir.err" </dev/null &
    pid=$!
    while [ "$left" -gt 0 ]; do
        kill_one "$dir" || fail "$dir ended: $(tail -5 "$dir.err")"
        left=$((left - 1))
    done
    local before
    before=$(newest "$dir")
    until [ "$(newest "$dir")" != "$before" ]; do sleep 0.02; done # alive after the last kill
    kill -TERM $pid
    wait $pid || fail "$dir: run.sh told to stop: exit status $? $(tail -5 "$dir.err")"
    [ -e "$dir/requeue" ] || fail "$dir: no requeue"
    [ -z "$(ranks "$dir")" ] || fail "$dir: ranks are left"
}

# The same world and stage all along: to the bit. A third of the kills.
same=$((kills / 3))
run same 2 $same train.zero=2
# Any number of ranks, any stage.
n=$((kills - same)) starts=''
while [ $n -gt 0 ]; do
    k=$((1 + RANDOM % 3))
    [ $k -le $n ] || k=$n
    world=$((1 + RANDOM % 4)) zero=$((RANDOM % 3))
    starts+=" $world/$zero"
    run elastic $world $k train.zero=$zero
    n=$((n - k))
done

steps_same=$(n_steps same) steps=$(n_steps elastic)
train_ranks 2 0 whole-same $common train.zero=2 train.steps="$steps_same" train.checkpoint_every=0
train 0 whole $common train.steps="$steps" train.checkpoint_every=0
train_ranks 2 0 whole-2 $common train.zero=1 train.steps="$steps" train.checkpoint_every=0
same_numbers whole-same same 1 "$steps_same"
for dir in same elastic; do "$lens" ckpt verify $dir >verify.out 2>&1 || fail "$(cat verify.out)"; done
# Rounding grows from step to step: what two ranks in peace differ from one says how far.
"$python" - <<'PY' || fail 'the elastic run drifts from the whole one'
import json
read = lambda run: {r["step"]: r["loss"] for r in map(json.loads, open(run + "/metrics.jsonl"))}
one, two, elastic = map(read, ("whole", "whole-2", "elastic"))
assert list(one) == list(two) == list(elastic) == list(range(1, len(one) + 1))
worst = lambda x, last: max(abs(x[i] / one[i] - 1) for i in one if i <= last)
for last in 100, len(one):
    print(f"largest relative difference of {last} losses to those of one rank: elastic {worst(elastic, last):.2g}, two ranks in peace {worst(two, last):.2g}")
assert worst(elastic, 100) < 1e-7 and worst(elastic, len(one)) < 4 * max(worst(two, len(one)), 1e-8)
PY
echo "same: $steps_same steps, to the bit, after $same kills; elastic: ranks/zero$starts, $((kills - same)) kills"
printf '%s\n' "${ended_ms[@]}" | sort -n | awk -v n=$n_killed '{ t[NR] = $1 } END { print n " ranks killed; the others had ended after " t[1] " to " t[NR] " ms, median " t[int((NR + 1) / 2)] }'
grep -hc 'is skipped:' same.err elastic.err | awk '{ n += $1 } END { print n " torn checkpoints met" }'
