#!/usr/bin/env bash
# lens train and launch/run.sh, told to stop, killed and stopped: what is saved stays whole, nobody waits for
# ever, and the run goes on to the same losses, to the bit, as one that was left in peace.
set -eu
lens=$1
# shellcheck source-path=SCRIPTDIR source=train.sh
. "$(dirname "$0")/train.sh"
run_sh=$root/launch/run.sh
have_mpirun || { echo 'skipped: mpirun is not installed'; exit 77; }
make_set
mpi="mpirun --oversubscribe -np"
endless="train.steps=99999999 train.checkpoint_every=10 train.keep=2"

ranks() { # RUN: process ids of its ranks, in their order
    ps -eo pid,comm,args | awk -v dir="run.dir=$work/$1 " '$2 == "lens" && index($0 " ", dir) { print $1 }'
}
n_steps() { grep -c . "$1/metrics.jsonl" 2>/dev/null || true; }
# until_or_dead RUN CONDITION...: waits for it; the run, of process $pid, must not end before.
until_or_dead() {
    local dir=$1 begin=$SECONDS
    shift
    until "$@"; do
        kill -0 "$pid" 2>/dev/null || fail "$dir ended early: $(cat "$dir.err")"
        [ $((SECONDS - begin)) -lt 60 ] || fail "$dir: waited a minute for $*"
        sleep 0.01
    done
}
has_steps() { [ "$(n_steps "$1")" ] && [ "$(n_steps "$1")" -ge "$2" ]; }
has_checkpoint() { [ -e "$1/checkpoints/latest/manifest.json" ]; }
catches_usr1() { # RUN: its first rank has its handlers
    local rank
    rank=$(ranks "$1" | head -1)
    [ "$rank" ] && [ $((0x$(sed -n 's/SigCgt:\t//p' "/proc/$rank/status") >> 9 & 1)) = 1 ] 2>/dev/null
}
# begin RUN COMMAND...: in the background, as $pid.
begin() {
    local dir=$1
    shift
    "$@" >"$dir.out" 2>"$dir.err" </dev/null &
    pid=$!
}
# ended STATUS RUN SECONDS: waits for $pid, which has had its signal just now.
ended() {
    local got=0 begin=$SECONDS rank
    wait "$pid" 2>/dev/null || got=$?
    expect_status "$1" $got "$2" "$2"
    [ $((SECONDS - begin)) -le "$3" ] || fail "$2 took $((SECONDS - begin)) s to end"
    rank=$(ranks "$2")
    [ -z "$rank" ] || fail "$2 leaves processes behind: $rank"
}
# whole RUN: its newest checkpoints hold, and nothing else has a final name.
whole() {
    local name
    for name in "$1"/checkpoints/step-*; do
        case $name in *.tmp) ;; *) "$lens" ckpt verify "$name" >verify.out 2>&1 || fail "$name: $(cat verify.out)" ;; esac
    done
    has_checkpoint "$1" || fail "$1: latest leads nowhere"
}
newest() { echo $((10#$(basename "$(readlink "$1/checkpoints/latest")" | cut -d- -f2))); }

# ---- told to stop: a checkpoint of the step under way, RUN/requeue, exit status 0 ----
# told RUN SIGNAL WHOLE: the run that it is compared with, below
told() {
    local at
    ended 0 "$1" 20
    at=$(newest "$1")
    [ "$(cat "$1/requeue")" = "$2 step $at" ] || fail "$1/requeue: $(cat "$1/requeue"), the checkpoint is of $at"
    [ "$(n_steps "$1")" = "$at" ] || fail "$1: $(n_steps "$1") steps are logged, $at saved"
    grep -q "^told to stop: a checkpoint of step $at is saved" "$1.err" || fail "$1: $(cat "$1.err")"
    whole "$1"
    [ "$at" -le "$reached" ] || reached=$at
    stopped+=("$1=$3")
}
reached=0 stopped=()
begin rank-0 $mpi 2 "$lens" train tiny.yaml run.dir="$work/rank-0" $endless
until_or_dead rank-0 has_steps rank-0 3
kill -TERM "$(ranks rank-0 | head -1)"
told rank-0 SIGTERM whole-2
begin rank-1 $mpi 2 "$lens" train tiny.yaml run.dir="$work/rank-1" $endless train.zero=2
until_or_dead rank-1 has_steps rank-1 3
kill -USR1 "$(ranks rank-1 | tail -1)"
told rank-1 SIGUSR1 whole-zero
begin mpirun $mpi 2 "$lens" train tiny.yaml run.dir="$work/mpirun" $endless
until_or_dead mpirun has_steps mpirun 3
kill -USR1 $pid # which mpirun hands on, to ranks that hear it a second time
kill -USR1 $(ranks mpirun)
told mpirun SIGUSR1 whole-2
begin alone "$lens" train tiny.yaml run.dir="$work/alone" $endless
until_or_dead alone has_steps alone 3
kill -TERM $pid
told alone SIGTERM whole-1
begin early "$lens" train tiny.yaml run.dir="$work/early" $endless # as it is set up, or begins
until_or_dead early catches_usr1 early
kill -USR1 $pid
told early SIGUSR1 whole-1
begin script env LENS="$lens" "$run_sh" -n 2 --no-bind --threads 1 train tiny.yaml run.dir="$work/script" $endless
until_or_dead script has_steps script 3
kill -TERM $pid
told script SIGUSR1 whole-2

steps=$((reached + 5))
train 0 whole-1 train.steps=$steps train.checkpoint_every=0
train_ranks 2 0 whole-2 train.steps=$steps train.checkpoint_every=0
train_ranks 2 0 whole-zero train.steps=$steps train.checkpoint_every=0 train.zero=2
for run in "${stopped[@]}"; do
    whole=${run#*=} run=${run%=*}
    case $whole in
    whole-1) train 0 "$run" train.steps=$steps --resume ;;
    whole-2) train_ranks 2 0 "$run" train.steps=$steps --resume ;;
    whole-zero) train_ranks 2 0 "$run" train.steps=$steps train.zero=2 --resume ;;
    esac
    [ ! -e "$run/requeue" ] || fail "$run/requeue stays"
    same_numbers $whole "$run" 1 $steps
    same_checkpoint $whole "$run"
done

# A SIGTERM to mpirun is no way to stop a run: it gives the ranks a second or two. What is saved is whole all the same.
begin term $mpi 2 "$lens" train tiny.yaml run.dir="$work/term" $endless
until_or_dead term has_checkpoint term
kill -TERM $pid
ended 1 term 20
whole term

# ---- a rank dies: mpirun says so and ends the others ----
begin dead $mpi 3 "$lens" train tiny.yaml run.dir="$work/dead" $endless train.batch=12 train.zero=2
until_or_dead dead has_checkpoint dead
kill -KILL "$(ranks dead | head -1)"
ended 137 dead 20
grep -qE 'process rank 0 .*exited on signal 9' dead.err || fail "who died? $(cat dead.err)"
whole dead
train_ranks 3 0 dead train.batch=12 train.zero=2 train.steps=$(($(newest dead) + 5)) --resume
[ -z "$(find dead/checkpoints -name '*.tmp*')" ] || fail "left: $(ls dead/checkpoints)"

# ---- a rank stands still: it is named, the run ends, and nobody is left ----
for rank in 1 2; do # also as the others write a checkpoint, and wait for nobody
    begin still-$rank $mpi 2 "$lens" train tiny.yaml run.dir="$work/still-$rank" $endless train.checkpoint_every=$((rank * rank)) train.watchdog_s=3
    until_or_dead still-$rank has_checkpoint still-$rank
    kill -STOP "$(ranks still-$rank | sed -n ${rank}p)"
    ended 1 still-$rank 30
    grep -qE "^\[rank $((2 - rank))\] error: rank $((rank - 1)) \(host $(uname -n)\) .* in step [0-9]+" still-$rank.err || fail "$(cat still-$rank.err)"
    whole still-$rank
done
