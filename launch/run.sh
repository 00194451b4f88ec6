#!/usr/bin/env bash
# Starts `lens train` by several ranks, on this machine or on those of a hostfile, and starts it again after a failure.
#
#   launch/run.sh -n 2 --restarts 3 train configs/nano.yaml data.dataset=scenes run.dir=runs/nano
#   launch/run.sh --hostfile hosts --threads 16 train configs/small.yaml data.dataset=/data/scenes run.dir=/data/runs/a
#
# -n N            ranks; without a hostfile 1, with one as many as it has slots
# --hostfile F    as mpirun reads it: "host slots=2" a line; source tree and data have the same paths on every host
# --threads T     cores of a rank; else OMP_NUM_THREADS, else this machine's cores / its ranks (hosts are taken to be alike)
# --no-bind       ranks wander over the cores: for a machine that others use too
# --restarts K    failures that are followed by a new start; each goes on from the newest checkpoint. A failure with
#                 no new checkpoint since its start counts double: one that comes back ends soon. Default 0
# --srun          the ranks are those of the Slurm allocation (launch/slurm/train.sbatch)
#
# How lens and this script understand each other:
#   exit status 2     the configuration is wrong: starting again would not help, and is not done
#   other than 0      a failure: a restart, if one is left
#   0, RUN/requeue    lens was told to stop (SIGTERM, SIGUSR1), has written a checkpoint and says so in that file. Where
#                     it was this script that was told, it ends with 0 and leaves the file; so does --srun, for the job
#                     script to requeue. Else the run goes on at once: that is no failure and costs no restart
#   0                 done
set -euo pipefail

root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
lens=${LENS:-$root/build/release/lens}

usage() {
    echo "run.sh: $*" >&2
    echo "usage: launch/run.sh [-n N] [--hostfile F] [--threads T] [--no-bind] [--restarts K] [--srun] train CONFIG [KEY=VALUE]... [--resume]" >&2
    exit 2
}
say() {
    echo "run.sh: $*" >&2
}
number() { # OPTION VALUE SMALLEST
    if ! [[ $2 =~ ^[0-9]{1,6}$ ]] || [ "$2" -lt "$3" ]; then usage "$1: expected a number of at least $3, got \"$2\""; fi
}

# ---- options ----

ranks='' hostfile='' threads=${OMP_NUM_THREADS:-} restarts=0 bind=yes launcher=mpirun
while [ $# -gt 0 ] && [ "$1" != train ]; do
    case $1 in
    -n | --hostfile | --threads | --restarts)
        [ $# -ge 2 ] || usage "$1: expected a value after it"
        case $1 in
        -n) number "$1" "$2" 1 && ranks=$2 ;;
        --hostfile) hostfile=$2 ;;
        --threads) number "$1" "$2" 1 && threads=$2 ;;
        --restarts) number "$1" "$2" 0 && restarts=$2 ;;
        esac
        shift 2
        ;;
    --no-bind) bind=no && shift ;;
    --srun) launcher=srun && shift ;;
    *) usage "unknown option \"$1\"" ;;
    esac
done
[ $# -ge 2 ] || usage "expected train CONFIG"
[ -x "$lens" ] || usage "$lens: no such program (cmake --preset release && cmake --build --preset release, or set LENS)"
[ -z "$hostfile" ] || [ -r "$hostfile" ] || usage "$hostfile: cannot be read"
shift

resume=no config=()
for word in "$@"; do
    if [ "$word" = --resume ]; then resume=yes; else config+=("$word"); fi
done
[ ${#config[@]} -ge 1 ] || usage "expected train CONFIG"

# ---- ranks and cores ----

# Slots of the hostfile: the most that one host has, and all of them.
slots() {
    awk '{ sub(/#.*/, "") } NF { n = 1; for (i = 2; i <= NF; i++) if ($i ~ /^slots=[0-9]+$/) n = substr($i, 7) + 0
           all += n; if (n > most) most = n } END { print most + 0, all + 0 }' "$hostfile"
}

command=()
launch_by_mpirun() {
    local here=${ranks:-1} cores most all
    cores=$(nproc)
    command=(mpirun)
    if [ -n "$hostfile" ]; then
        read -r most all < <(slots)
        [ "$all" -gt 0 ] || usage "$hostfile: names no host"
        here=$most ranks=${ranks:-$all}
        command+=(--hostfile "$hostfile")
    fi
    ranks=${ranks:-1}
    local share=$((cores / here))
    threads=${threads:-$((share > 0 ? share : 1))}
    command+=(-n "$ranks")
    # A rank on cores of its own keeps its caches. Where ranks are more than cores, binding would pile them up.
    if [ "$bind" = yes ] && [ $((here * threads)) -le "$cores" ]; then
        command+=(--map-by "slot:PE=$threads" --bind-to core)
    else
        command+=(--oversubscribe --bind-to none)
    fi
    # Variables that the other hosts need too.
    local name
    command+=(-x OMP_NUM_THREADS)
    for name in GOMP_SPINCOUNT OPENBLAS_CORETYPE HDF5_USE_FILE_LOCKING HDF5_PLUGIN_PATH LD_LIBRARY_PATH; do
        [ -z "${!name:-}" ] || command+=(-x "$name")
    done
    [ "$ranks" -gt 1 ] || [ -n "$hostfile" ] || command=()
}

# srun binds a rank to its cores. OMP_PROC_BIND would bind each thread to one core as well, and the threads that decode
# pictures would all be left on the first of them. One failed rank ends the step at once.
launch_by_srun() {
    command=(srun --mpi=pmix --cpu-bind=cores --kill-on-bad-exit=1)
    threads=${threads:-${SLURM_CPUS_PER_TASK:-1}}
}

# HDF5 locks files by default, which Lustre and NFS often refuse; shards are never written while they are read.
export HDF5_USE_FILE_LOCKING=${HDF5_USE_FILE_LOCKING:-FALSE}
# mpirun refuses root unless it is told twice: containers.
if [ "$(id -u)" = 0 ]; then export OMPI_ALLOW_RUN_AS_ROOT=1 OMPI_ALLOW_RUN_AS_ROOT_CONFIRM=1; fi
"launch_by_$launcher"
export OMP_NUM_THREADS=$threads

# ---- one start after the other ----

# A wrong configuration is found here already, by one process.
run_dir=$("$lens" plan --get run.dir "${config[@]}")

newest() { # the newest checkpoint's name; nothing where there is none
    readlink "$run_dir/checkpoints/latest" || true
}

# Whoever stops this script means the run: mpirun and srun hand SIGUSR1 on to all ranks, while a SIGTERM of its own would
# have mpirun kill them.
child='' told=no
trap 'told=yes; [ -z "$child" ] || kill -USR1 "$child" 2>/dev/null || true' TERM INT USR1

# Sets status. A process group of its own: of a terminal's ^C this script hears, not mpirun, which would kill the ranks.
start() {
    local words=("${command[@]}" "$lens" train "${config[@]}")
    [ "$resume" = no ] || words+=(--resume)
    rm -f "$run_dir/requeue"
    set -m
    "${words[@]}" </dev/null &
    child=$!
    set +m
    [ "$told" = no ] || kill -USR1 "$child" 2>/dev/null || true # told between two starts
    while kill -0 "$child" 2>/dev/null; do wait "$child" || true; done # a signal to this script ends a wait early
    status=0
    wait "$child" || status=$? # bash keeps it
    child=''
}

# Without --resume lens refuses a run.dir that is taken; a restart, which resumes, must not get around that.
if [ "$resume" = no ] && [ -n "$(newest)" ]; then restarts=0; fi

left=$restarts
while :; do
    before=$(newest)
    start
    if [ "$status" = 0 ]; then
        [ -e "$run_dir/requeue" ] || exit 0
        if [ "$told" = yes ] || [ "$launcher" = srun ]; then
            say "stopped at a checkpoint ($(head -n 1 "$run_dir/requeue")); --resume goes on from it"
            exit 0
        fi
        say "told to stop ($(head -n 1 "$run_dir/requeue")): going on"
        resume=yes
        continue
    fi
    if [ "$status" = 2 ] || [ "$told" = yes ]; then exit "$status"; fi
    cost=1
    [ "$(newest)" != "$before" ] || cost=2
    if [ "$restarts" = 0 ]; then exit "$status"; fi
    if [ $((left - cost)) -lt 0 ]; then
        say "exit status $status, $([ $cost = 1 ] || echo 'no new checkpoint since the start, ')no restart left of $restarts"
        exit "$status"
    fi
    left=$((left - cost))
    resume=yes
    say "exit status $status; going on from $(n=$(newest); echo "${n:-the beginning}"), restarts left: $left of $restarts"
done
