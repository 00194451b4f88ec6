#!/bin/sh
# Collectives under mpirun: the unit test of base/comm.h as 1, 2 and 4 ranks; an abort that ends every rank; and ranks
# that are stopped, loop for ever or are killed, which end the job with a line that names them.
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

# hang STATUS RANK HARM WHERE MESSAGE: the rank, one of 3, comes to harm in step 6; the limit is 2 s.
err=$(mktemp)
trap 'rm -f "$err"' EXIT
hang() {
    status=0
    timeout 30 mpirun --oversubscribe -np 3 "$test_comm" "$3" "$2" "$4" >"$err" 2>&1 || status=$?
    grep -qE "$5" "$err" && [ $status = "$1" ] && return
    cat "$err"
    echo "FAILED: $3 of rank $2 in $4: exit status $status, expected $1 and \"$5\""
    exit 1
}
heard='it was last heard of [2-9] s ago, in step [56]; rank [0-2] \(host .*\) waits for it in'
hang 1 1 stop sum "^\[rank 0\] error: rank 1 \(host .*\) .*$heard \"losses\" of step 6\$"
hang 1 0 stop ring "^\[rank 2\] error: rank 0 \(host .*\) .*$heard \"gradients\" of step 6\$"
hang 1 2 loop ring '^\[rank 0\] error: rank 2 \(host .*\) stopped in step 6: it is in step 6, in no collective, without progress'
hang 137 1 kill ring 'rank 1 .*signal 9'
