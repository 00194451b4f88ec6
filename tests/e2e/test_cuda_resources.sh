#!/usr/bin/env bash
# No CUDA kernel spills registers or keeps an array in local memory, by what ptxas said of each; and such a kernel would
# be found. Skipped where CUDA was not built.
set -eu
report=$(dirname "$1")/cuda_resources.txt
if [ ! -f "$report" ]; then
    echo "skipped: built without CUDA"
    exit 77
fi
kernels/cuda/resources.sh table "$report"
kernels/cuda/resources.sh check "$report"
bad=$(mktemp)
trap 'rm -f "$bad"' EXIT
for sizes in "0 8 4" "16 0 0"; do
    # shellcheck disable=SC2086
    printf "ptxas info    : Compiling entry function '_Z1av' for 'sm_90'\n    %d bytes stack frame, %d bytes spill stores, %d \
bytes spill loads\nptxas info    : Used 43 registers\n" $sizes >"$bad"
    if kernels/cuda/resources.sh check "$bad"; then
        echo "FAILED: nothing wrong was found in: $(cat "$bad")"
        exit 1
    fi
done
