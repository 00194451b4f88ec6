#!/usr/bin/env bash
# Every number of an enumeration in the emulated device's headers is the real headers' number. Skipped where the CUDA
# toolkit, cuDNN or NCCL is not there.
set -eu
include=tests/cuda_on_host/include
nvcc=$(command -v nvcc || echo /usr/local/cuda/bin/nvcc)
real=$(dirname "$(dirname "$(readlink -f "$nvcc")")")/include
for header in cuda_runtime_api.h cublasLt.h cudnn.h nccl.h; do
    if [ ! -f "$real/$header" ]; then
        echo "skipped: $real/$header is not there"
        exit 77
    fi
done
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
{
    for header in cuda_runtime_api.h cublasLt.h cudnn.h nccl.h; do echo "#include <$header>"; done
    cat $include/{cuda_runtime,library_types,cublasLt,cudnn,nccl}.h | tr '{},' '\n\n\n' |
        sed -nE 's/^ *(cuda[A-Za-z]+|CUDA_[A-Z0-9_]+|CUBLAS[A-Za-z0-9_]+|CUDNN_[A-Z0-9_]+|nccl[A-Z][A-Za-z0-9]+) *= *([0-9]+) *$/_Static_assert((long)\1 == \2, "\1");/p'
} >"$work/numbers.c"
n=$(grep -c _Static_assert "$work/numbers.c")
if [ "$n" -lt 100 ]; then
    echo "only $n numbers were found in $include"
    exit 1
fi
"${CC:-cc}" -std=c11 -w -isystem "$real" -fsyntax-only "$work/numbers.c"
echo "$n numbers agree"
