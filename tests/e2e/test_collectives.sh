#!/bin/sh
# Collectives on buffers under mpirun: the unit test of kernels/collectives.h as 2, 3 and 4 ranks.
# usage: test_collectives.sh PATH_OF_LENS
set -eu
test_collectives=$(dirname "$1")/test_collectives
command -v mpirun >/dev/null || { echo "skipped: mpirun is not installed"; exit 77; }
export OMPI_ALLOW_RUN_AS_ROOT=1 OMPI_ALLOW_RUN_AS_ROOT_CONFIRM=1 ASAN_OPTIONS=detect_leaks=0

for n in 2 3 4; do
    LENS_TEST_SEEDS=20 timeout 60 mpirun --oversubscribe -np $n "$test_collectives" ||
        { echo "FAILED: $n ranks"; exit 1; }
done
