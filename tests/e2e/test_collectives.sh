#!/bin/sh
# Collectives on buffers under mpirun: the unit test of kernels/collectives.h as 2, 3 and 4 ranks, and the same over a
# link of 200 MB/s where every message takes 300 us more (tests/fault/slow_link.c).
# usage: test_collectives.sh PATH_OF_LENS
set -eu
build=$(realpath "$(dirname "$1")")
command -v mpirun >/dev/null || { echo "skipped: mpirun is not installed"; exit 77; }
# The preloaded library comes before that of the sanitizers; Open MPI keeps memory until the process ends.
export OMPI_ALLOW_RUN_AS_ROOT=1 OMPI_ALLOW_RUN_AS_ROOT_CONFIRM=1 ASAN_OPTIONS=detect_leaks=0:verify_asan_link_order=0
export LENS_TEST_SEEDS=20

for n in 2 3 4; do
    timeout 60 mpirun --oversubscribe -np $n "$build/test_collectives" || { echo "FAILED: $n ranks"; exit 1; }
    LENS_TEST_LINK_MBPS=200 LENS_TEST_LINK_US=300 timeout 60 \
        mpirun --oversubscribe -x LD_PRELOAD="$build/slow_link.so" -np $n "$build/test_collectives" ||
        { echo "FAILED: $n ranks over a slow link"; exit 1; }
done
