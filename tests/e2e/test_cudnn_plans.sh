#!/usr/bin/env bash
# The real cuDNN makes plans of our attention graphs for GPUs that are described to it. Skipped where the CUDA toolkit or
# cuDNN is not there, or cuDNN is too old. The driver is one of our own making: it knows no device, and takes whatever
# kernels it is given.
set -eu
nvcc=$(command -v nvcc || echo /usr/local/cuda/bin/nvcc)
root=$(dirname "$(dirname "$(readlink -f "$nvcc")")")
stub=$(find "$root/" -path '*stubs/libcuda.so' 2>/dev/null | head -1)
if [ ! -f "$root/include/cudnn.h" ] || [ ! -f "$root/lib64/libcudnn.so" ] || [ -z "$stub" ]; then
    echo "skipped: cuDNN or the driver's stub is not in $root"
    exit 77
fi
version=$(echo CUDNN_VERSION | "${CC:-cc}" -E -P -include "$root/include/cudnn_version.h" - | tail -1 | tr -d '()')
if [ $((version)) -lt 91000 ]; then
    echo "skipped: cuDNN $((version)) cannot be told of a device"
    exit 77
fi
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
nm -D --defined-only "$stub" | awk '
    $3 !~ /^cu[A-Z]/ { next }
    { sub(/@.*/, "", $3) }
    $3 ~ /^cu(LibraryLoadData|ModuleLoadData|ModuleLoadDataEx|LibraryGetKernel|KernelGetFunction|ModuleGetFunction)$/ {
        printf "int %s(void **out) { *out = (void *)16; return 0; }\n", $3
        next
    }
    { printf "int %s(void) { return %d; }\n", $3, $3 ~ /^cu(Library|Module|Kernel|Func)/ ? 0 : 34 }' >"$work/driver.c"
"${CC:-cc}" -w -shared -fPIC -o "$work/libcuda.so.1" "$work/driver.c"
"${CC:-cc}" -std=c11 -D_GNU_SOURCE -I . -c base/error.c -o "$work/error.o"
"${CXX:-c++}" -std=c++17 -Wall -Wextra -Werror -D_GNU_SOURCE -I . -isystem "$root/include" -o "$work/cudnn_plans" \
    -x c++ tests/cudnn/cudnn_plans.cu kernels/cuda/cuda_sdpa_plan.cu -x none "$work/error.o" -L "$root/lib64" -lcudnn
LD_LIBRARY_PATH=$work:$root/lib64 "$work/cudnn_plans"
