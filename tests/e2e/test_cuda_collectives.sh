#!/usr/bin/env bash
# Collectives by NCCL on the emulated device: the unit test by 2, 3 and 4 ranks, where a missing event and a host that
# touches device memory show; and a peer that never comes, fails or is killed: the job ends with a line that says so.
# usage: test_cuda_collectives.sh PATH_OF_LENS
set -eu
build=$(realpath "$(dirname "$1")")
program=$build/test_cuda_collectives
[ -x "$program" ] || { echo "skipped: $program is not built"; exit 77; }
command -v mpirun >/dev/null || { echo "skipped: mpirun is not installed"; exit 77; }
export OMPI_ALLOW_RUN_AS_ROOT=1 OMPI_ALLOW_RUN_AS_ROOT_CONFIRM=1 ASAN_OPTIONS=detect_leaks=0
log=$(mktemp)
trap 'rm -f "$log"' EXIT
fail() {
    cat "$log"
    echo "FAILED: $*"
    exit 1
}

for n in 2 3 4; do
    timeout 60 mpirun --oversubscribe -np $n -x LENS_CUDA_STREAMS=strict -x LENS_CUDA_GUARD=1 "$program" >"$log" 2>&1 ||
        fail "$n ranks"
    grep 'bf16 sum' "$log"
done

# ends PATTERN WHERE HARM [ASSIGNMENT]: steps of three ranks, the second of which comes to HARM. A minute is a hang.
ends() {
    local got=0
    timeout 60 mpirun --oversubscribe -np 1 "$program" steps "$2" none : \
        -np 1 env "${4:-LC_ALL=C}" "$program" steps "$2" "$3" : -np 1 "$program" steps "$2" none \
        >"$log" 2>&1 </dev/null || got=$?
    [ $got != 124 ] || fail "$*: hangs"
    [ $got != 0 ] || fail "$*: nobody noticed"
    grep -qE -- "$1" "$log" || fail "$*: expected \"$1\""
    if grep -q 'emulated device:' "$log"; then fail "$*: a wait without a limit"; fi
}
timeout 60 mpirun --oversubscribe -np 3 "$program" steps finish none >"$log" 2>&1 || fail "steps without harm"
of='all-reduce of gradients, collective 5'
for where in finish download; do
    ends "rank 1 \(host .*\), step 5: $of: NCCL: remote process exited" $where none LENS_NCCL_ERROR=5
    ends 'all ranks wait for each other: .*in "gradients" of step 5' $where none LENS_NCCL_HANG=5
    # The watch says nothing of ranks that wait for one that may take its time.
    ends "step 5: $of: not over after 2 s: a rank did not come to it" $where slow LENS_NCCL_HANG=5
done
ends 'rank 1 .*signal 9' finish kill
ends 'rank 1 \(host .*\) (is gone|has not reached|stopped)' finish stop
