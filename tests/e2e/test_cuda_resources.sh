#!/usr/bin/env bash
# No CUDA kernel spills registers or keeps an array in local memory: what ptxas said of each (cuda_resources.txt beside
# the binary). A table of registers and shared memory by kernel on stdout. Skipped where CUDA was not built. Timesteps may
# have a stack: the reduction of large angles has one, and the kernel is no hot one.
set -u
report=$(dirname "$1")/cuda_resources.txt
if [ ! -f "$report" ]; then
    echo "skipped: built without CUDA"
    exit 77
fi
c++filt <"$report" | awk '
    /Compiling entry function/ {
        kernel = $0
        sub(/.*Compiling entry function ./, "", kernel)
        arch = kernel
        sub(/.* for .sm_/, "sm_", arch); sub(/.$/, "", arch)
        sub(/. for .sm_.*/, "", kernel)
        sub(/\(.*/, "", kernel); sub(/^void /, "", kernel)
    }
    /bytes stack frame/ { stack = $1; stores = $5; loads = $9 }
    /Used [0-9]+ registers/ {
        shared = 0
        for (i = 1; i < NF; i++) if ($(i + 1) == "bytes" && $(i + 2) ~ /^smem/) shared = $i
        for (i = 1; i < NF; i++) if ($i == "Used") registers = $(i + 1)
        printf "%-70s %s %4d registers %6d bytes shared %4d stack %4d spilled\n", kernel, arch, registers, shared, stack, stores + loads
        n++
        if (stores + loads > 0 || (stack > 0 && kernel !~ /^timestep/)) bad++
    }
    END {
        if (!n) { print "no kernel in the report"; exit 1 }
        if (bad) { printf "%d of %d kernels spill or keep arrays in local memory\n", bad, n; exit 1 }
    }'
