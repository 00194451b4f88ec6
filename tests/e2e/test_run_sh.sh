#!/usr/bin/env bash
# launch/run.sh: what it starts, when it starts again, and a run whose rank is killed, which then gives the losses of one
# that was not.
set -eu
lens=$1
# shellcheck source-path=SCRIPTDIR source=train.sh
. "$(dirname "$0")/train.sh"
run_sh=$root/launch/run.sh

# ---- the protocol, with a stand-in for lens ----

# `lens plan --get run.dir` answers "run"; `lens train` notes its words and does what the next line of `plan.txt` says:
# an exit status, with "checkpoint" before it a new checkpoint first, with "requeue" the file that asks for a new start.
mkdir -p bin run
cat >bin/lens <<'PL'
#!/bin/bash
if [ "$1" = plan ]; then
    [ "$4" != wrong.yaml ] || exit 2
    echo run
    exit 0
fi
echo "$* threads=$OMP_NUM_THREADS" >>calls.txt
read -r -a todo < <(sed -n "$(wc -l <calls.txt)p" plan.txt)
for word in "${todo[@]}"; do
    case $word in
    checkpoint)
        mkdir -p run/checkpoints
        ln -sfn "step-$(wc -l <calls.txt)" run/checkpoints/latest
        ;;
    requeue) echo "SIGUSR1 step 7" >run/requeue ;;
    wait) # for run.sh to be told to stop, and to hand it on
        trap 'echo "SIGUSR1 step 9" >run/requeue; exit 0' USR1
        : >waiting
        for ((i = 0; i < 600; i++)); do sleep 0.05; done
        exit 99
        ;;
    *) exit "$word" ;;
    esac
done
PL
cat >bin/srun <<'PL'
#!/bin/bash
while [ "${1#--}" != "$1" ]; do shift; done
"$@"
PL
chmod +x bin/lens bin/srun
protocol() { # STATUS CALLS "PLAN;..." OPTION...
    local status=$1 calls=$2 plan=$3 got=0
    shift 3
    rm -rf run calls.txt
    mkdir run
    : >calls.txt
    tr ';' '\n' <<<"$plan" >plan.txt
    LENS=$work/bin/lens "$run_sh" "$@" train c.yaml >p.out 2>p.err </dev/null || got=$?
    expect_status "$status" $got p "run.sh $* of [$plan]"
    [ "$(wc -l <calls.txt)" = "$calls" ] || fail "run.sh $* of [$plan]: expected $calls starts, got $(cat calls.txt)"
}
protocol 0 1 "0"
protocol 3 1 "3"
protocol 3 1 "checkpoint 3" --restarts 0
protocol 0 2 "checkpoint 3;0" --restarts 1
grep -q -- '--resume' <(sed -n 2p calls.txt) || fail "the second start does not resume: $(cat calls.txt)"
! grep -q -- '--resume' <(sed -n 1p calls.txt) || fail "the first start resumes: $(cat calls.txt)"
protocol 3 2 "checkpoint 3;checkpoint 3;0" --restarts 1
protocol 3 1 "3;0" --restarts 1 # no progress counts double
protocol 3 2 "3;3;0" --restarts 3
protocol 0 3 "3;checkpoint 3;0" --restarts 3
protocol 2 1 "2;0" --restarts 5 # a wrong configuration stays wrong
protocol 0 3 "checkpoint requeue 0;checkpoint requeue 0;0"
PATH=$work/bin:$PATH protocol 0 1 "checkpoint requeue 0;0" --srun
[ -e run/requeue ] || fail "--srun: the job script has nothing to see"
grep -q 'threads=5$' calls.txt && fail "threads"
protocol 0 1 "0" --threads 5
grep -q 'threads=5$' calls.txt || fail "--threads: $(cat calls.txt)"

# A folder that is taken is lens' to refuse, and not to be resumed by a restart.
mkdir -p run/checkpoints
ln -sfn step-1 run/checkpoints/latest
: >calls.txt
echo 1 >plan.txt
got=0
LENS=$work/bin/lens "$run_sh" --restarts 3 train c.yaml >p.out 2>p.err </dev/null || got=$?
expect_status 1 $got p "run.sh, a folder that is taken"
[ "$(wc -l <calls.txt)" = 1 ] || fail "a folder that is taken was resumed: $(cat calls.txt)"

refuse() { # MESSAGE WORD...
    local message=$1 got=0
    shift
    LENS=$work/bin/lens "$run_sh" "$@" >r.out 2>r.err </dev/null || got=$?
    expect_status 2 $got r "run.sh $*"
    grep -q -- "$message" r.err || fail "run.sh $*: $(cat r.err)"
}
refuse 'expected train CONFIG'
refuse 'expected train CONFIG' -n 2 train
refuse 'unknown option "-x"' -x train c.yaml
refuse '-n: expected a number of at least 1, got "0"' -n 0 train c.yaml
refuse '--restarts: expected a number' --restarts many train c.yaml
refuse 'none: cannot be read' --hostfile none train c.yaml
calls=$(cat calls.txt)
LENS=$work/bin/lens "$run_sh" --restarts 3 train wrong.yaml >r.out 2>r.err && fail "a wrong configuration was started"
[ "$(cat calls.txt)" = "$calls" ] || fail "a wrong configuration was started"

# Told to stop itself, run.sh has the run stop at a checkpoint and does not start it again.
rm -rf run calls.txt waiting
mkdir run
: >calls.txt
echo wait >plan.txt
LENS=$work/bin/lens "$run_sh" --restarts 3 train c.yaml >p.out 2>p.err </dev/null &
pid=$!
until [ -e waiting ]; do
    kill -0 $pid 2>/dev/null || fail "run.sh ended early: $(cat p.err)"
    sleep 0.02
done
kill -TERM $pid
got=0
wait $pid || got=$?
expect_status 0 $got p "run.sh, told to stop"
[ "$(wc -l <calls.txt)" = 1 ] || fail "started again: $(cat calls.txt)"
grep -q 'stopped at a checkpoint (SIGUSR1 step 9)' p.err || fail "$(cat p.err)"

# ---- a rank is killed ----

have_mpirun || { echo "skipped: mpirun is not installed"; exit 77; }
make_set
steps=40
train_ranks 2 0 whole train.steps=$steps train.checkpoint_every=0
LENS=$lens timeout 120 "$run_sh" -n 2 --no-bind --threads 1 --restarts 2 train tiny.yaml run.dir="$work/killed" \
    train.steps=$steps train.checkpoint_every=4 >killed.out 2>killed.err </dev/null &
pid=$!
lines() { grep -c . killed/metrics.jsonl 2>/dev/null || true; }
until [ "$(lines)" ] && [ "$(lines)" -ge 9 ]; do
    kill -0 $pid 2>/dev/null || fail "a run ended early: $(cat killed.err)"
    sleep 0.01
done
rank=$(ps -eo pid,comm,args | awk -v dir="run.dir=$work/killed" '$2 == "lens" && index($0, dir) { print $1 }' | tail -1)
[ -n "$rank" ] || fail "no rank to be killed: $(cat killed.err)"
kill -KILL "$rank"
got=0
wait $pid || got=$?
expect_status 0 $got killed "run.sh, a rank killed"
grep -q 'run.sh: exit status 137; going on from step-' killed.err || fail "no restart: $(cat killed.err)"
same_numbers whole killed 1 $steps
same_checkpoint whole killed
echo "a rank killed after $(grep -o 'step-[0-9]*' killed.err | head -1), $steps steps compared"
