#!/usr/bin/env bash
# launch/slurm/train.sbatch runs the command that is there, with a stand-in for srun: one task on this host.
set -eu
lens=$1
# shellcheck source-path=SCRIPTDIR source=train.sh
. "$(dirname "$0")/train.sh"
make_set
mkdir -p bin build/release
ln -s "$lens" build/release/lens
cat >bin/srun <<'SH'
#!/bin/sh
# The stand-in: options are noted, the command is run.
: >srun.options
while [ "${1#--}" != "$1" ]; do
    echo "$1" >>srun.options
    shift
done
exec "$@"
SH
chmod +x bin/srun
export PATH=$work/bin:$PATH SLURM_SUBMIT_DIR=$work SLURM_CPUS_PER_TASK=1
job() { # STATUS RESTARTS ARGUMENT...
    local status=$1 restarts=$2 got=0
    shift 2
    SLURM_RESTART_COUNT=$restarts bash "$root/launch/slurm/train.sbatch" "$@" >job.out 2>job.err </dev/null || got=$?
    expect_status "$status" $got job "train.sbatch $*"
}
job 2 0
one_line '^usage: sbatch' job
job 0 0 tiny.yaml run.dir=run run.threads=0 train.steps=3
grep -q '; 1 rank x 1 thread, ' job.err || fail "OMP_NUM_THREADS: $(cat job.err)"
grep -qx -- '--mpi=pmix' srun.options || fail "srun: $(cat srun.options)"
job 1 0 tiny.yaml run.dir=run
one_line 'run holds checkpoints' job
job 0 1 tiny.yaml run.dir=run train.steps=6
grep -q '^resumed from step 3$' job.err || fail "requeued: $(cat job.err)"
job 0 0 tiny.yaml run.dir=run train.steps=9 --resume
