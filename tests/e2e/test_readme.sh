#!/usr/bin/env bash
# Runs the commands of README.md's tour as they stand there, in order, on less data: scenes and steps are cut down, and the
# resumed run is given more steps than it was stopped at.
set -euo pipefail
lens=$(realpath "$1")
root=$(cd "$(dirname "$0")/../.." && pwd)
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
export PATH=$(dirname "$lens"):$PATH OMPI_ALLOW_RUN_AS_ROOT=1 OMPI_ALLOW_RUN_AS_ROOT_CONFIRM=1
export OMPI_MCA_rmaps_base_oversubscribe=1 # a machine with one core
ln -s "$root/data" "$root/configs" "$work"
cd "$work"
n=0
while read -r line; do
    line=${line%%  #*}
    line=${line/-n 20000/-n 200}
    [[ $line != *"lens bench"* ]] || line="${line/-n 256/-n 16} --seconds 1 --rounds 1"
    case $line in
    *"lens train"*--resume*) line+=" train.steps=6" ;;
    *"lens eval compose"*) line+=" -n 2 --steps 4" ;;
    *"lens train"*) line+=" train.steps=4 sample.every=2" ;;
    esac
    echo "\$ $line"
    if ! bash -c "$line" >out.txt 2>&1 </dev/null; then
        cat out.txt
        echo "FAILED: $line"
        exit 1
    fi
    n=$((n + 1))
done < <(sed -n '/^## A tour/,/^## More/p' "$root/README.md" | grep -E '^    (lens|mpirun) ' | sed 's/^    //')
[ "$n" -ge 12 ] || { echo "FAILED: found only $n commands in README.md"; exit 1; }
[ -s report.html ] && [ -s circles.png ] || { echo "FAILED: no report or no samples"; exit 1; }
echo "$n commands of the README work"
