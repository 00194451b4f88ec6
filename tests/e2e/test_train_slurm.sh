#!/usr/bin/env bash
# launch/slurm/train.sbatch runs the command that is there, with stand-ins for srun and scontrol: one task on this host. A
# run that is told to stop is put into the queue again, and goes on.
set -eu
lens=$1
# shellcheck source-path=SCRIPTDIR source=train.sh
. "$(dirname "$0")/train.sh"
make_set
mkdir -p bin build/release
ln -s "$lens" build/release/lens
ln -s "$root/launch" launch
cat >bin/srun <<'SH'
#!/bin/sh
# Options are noted, the command is run.
: >srun.options
while [ "${1#--}" != "$1" ]; do
    echo "$1" >>srun.options
    shift
done
exec "$@"
SH
cat >bin/scontrol <<'SH'
#!/bin/sh
echo "$*" >>scontrol.calls
SH
chmod +x bin/srun bin/scontrol
export PATH=$work/bin:$PATH SLURM_SUBMIT_DIR=$work SLURM_CPUS_PER_TASK=1 SLURM_JOB_ID=4711
job() { # STATUS RESTARTS ARGUMENT...
    local status=$1 restarts=$2 got=0
    shift 2
    SLURM_RESTART_COUNT=$restarts bash "$root/launch/slurm/train.sbatch" "$@" >job.out 2>job.err </dev/null || got=$?
    expect_status "$status" $got job "train.sbatch $*"
}
job 2 0
one_line '^usage: sbatch' job
job 0 0 tiny.yaml run.dir=run run.threads=0 train.steps=3
grep -q 'device: cpu, 1 rank x 1 thread, ' job.err || fail "OMP_NUM_THREADS: $(cat job.err)"
grep -qx -- '--mpi=pmix' srun.options || fail "srun: $(cat srun.options)"
grep -qx -- '--kill-on-bad-exit=1' srun.options || fail "srun: $(cat srun.options)"
job 1 0 tiny.yaml run.dir=run
one_line 'run holds checkpoints' job
job 0 1 tiny.yaml run.dir=run train.steps=6
grep -q '^resumed from step 3$' job.err || fail "requeued: $(cat job.err)"
job 0 0 tiny.yaml run.dir=run train.steps=9 --resume
[ ! -e scontrol.calls ] || fail "a finished run was requeued: $(cat scontrol.calls)"

# The time limit is near: Slurm sends SIGUSR1 to the ranks.
bash "$root/launch/slurm/train.sbatch" tiny.yaml run.dir="$work/long" train.steps=99999999 >job.out 2>job.err </dev/null &
pid=$!
lines() { grep -c . long/metrics.jsonl 2>/dev/null || true; }
until [ "$(lines)" ] && [ "$(lines)" -ge 3 ]; do
    kill -0 $pid 2>/dev/null || fail "a run ended early: $(cat job.err)"
    sleep 0.01
done
rank=$(ps -eo pid,comm,args | awk -v dir="run.dir=$work/long" '$2 == "lens" && index($0, dir) { print $1 }')
kill -USR1 "$rank"
got=0
wait $pid || got=$?
expect_status 0 $got job "train.sbatch, told to stop"
[ "$(cat scontrol.calls)" = "requeue 4711" ] || fail "not requeued: $(cat job.err)"
at=$(sed -n 's/^SIGUSR1 step \([0-9]*\)$/\1/p' long/requeue)
[ -n "$at" ] || fail "long/requeue: $(cat long/requeue)"
job 0 1 tiny.yaml run.dir="$work/long" train.steps=$((at + 3))
grep -q "^resumed from step $at\$" job.err || fail "not resumed from $at: $(cat job.err)"
[ "$(wc -l <scontrol.calls)" = 1 ] || fail "a finished run was requeued"
