#!/usr/bin/env bash
# Runs the commands of docs/training.md as they stand there, in order, on less data: scenes and steps are cut down. The one
# for Slurm is test_train_slurm.sh's.
set -euo pipefail
lens=$(realpath "$1")
root=$(cd "$(dirname "$0")/../.." && pwd)
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
PATH=$(dirname "$lens"):$PATH
export PATH LENS=$lens OMPI_ALLOW_RUN_AS_ROOT=1 OMPI_ALLOW_RUN_AS_ROOT_CONFIRM=1
export ASAN_OPTIONS=${ASAN_OPTIONS:-detect_leaks=0} # Open MPI keeps memory until the process ends
command -v mpirun >/dev/null || { echo "skipped: mpirun is not installed"; exit 77; }
ln -s "$root/launch" "$root/configs" "$work"
cd "$work"
n=0
while read -r line; do
    line=${line/-n 20000/-n 200}
    line=${line/launch\/run.sh -n 2/launch\/run.sh -n 2 --no-bind --threads 1}
    case $line in
    *--dry-run* | *"lens plan"* | *launch-check*) ;;
    *"train.steps=2400"*) line=${line/train.steps=2400/train.steps=5 train.batch=4 train.warmup=1 sample.steps=1} ;;
    *" train configs/"*) line+=" train.steps=3 train.batch=4 train.warmup=1 sample.steps=1" ;;
    *"lens sample"*) line+=" --steps 1" ;;
    esac
    echo "\$ $line"
    if ! timeout 60 bash -c "$line" >out.txt 2>&1 </dev/null; then
        cat out.txt
        echo "FAILED: $line"
        exit 1
    fi
    n=$((n + 1))
done < <(grep -E '^    (lens|mpirun|launch/run.sh) ' "$root/docs/training.md" | sed 's/^    //')
[ "$n" -ge 11 ] || { echo "FAILED: found only $n commands in docs/training.md"; exit 1; }
[ -s circles.png ] || { echo "FAILED: no samples"; exit 1; }
[ -e runs/second/checkpoints/latest ] || { echo "FAILED: no run of two ranks"; exit 1; }
echo "$n commands of docs/training.md work"
