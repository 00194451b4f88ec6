#!/bin/sh
# Collectives under mpirun: the unit test of base/comm.h as 1, 2 and 4 ranks, and an abort that ends every rank.
# usage: test_comm.sh PATH_OF_LENS
set -eu
test_comm=$(dirname "$1")/test_comm
command -v mpirun >/dev/null || { echo "skipped: mpirun is not installed"; exit 77; }

# More ranks than cores and a root user are what containers are made of. Open MPI keeps memory until the process ends, which
# is no leak of ours.
export OMPI_ALLOW_RUN_AS_ROOT=1 OMPI_ALLOW_RUN_AS_ROOT_CONFIRM=1 ASAN_OPTIONS=detect_leaks=0

for n in 1 2 4; do
    LENS_TEST_WORLD=$n timeout 120 mpirun --oversubscribe -np $n "$test_comm" ||
        { echo "FAILED: $n ranks"; exit 1; }
done

status=0
timeout 60 mpirun --oversubscribe -np 3 "$test_comm" abort || status=$?
[ $status -eq 7 ] || { echo "FAILED: a rank aborted with status 7, mpirun ended with $status"; exit 1; }
