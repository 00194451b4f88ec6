#!/usr/bin/env bash
# What the compiler says of each kernel. resources.sh table REPORT: a line a kernel, registers, bytes of static shared
# memory and bytes spilled a thread, for each architecture. resources.sh check REPORT: names kernels that spill or keep
# an array in local memory, and fails. Timesteps may have a stack: the reduction of large angles has one, and the kernel
# is no hot one.
set -euo pipefail
mode=$1
report=$2

# KERNEL ARCHITECTURE REGISTERS SHARED SPILLED STACK, by tabs
entries() {
    awk '
        /Compiling entry function/ { split($0, quoted, "\x27"); kernel = quoted[2]; arch = quoted[4] }
        /bytes spill stores/ { stack = $1; spilled = $5 + $9 }
        /: Used [0-9]+ registers/ {
            shared = match($0, /[0-9]+ bytes smem/) ? substr($0, RSTART, RLENGTH) + 0 : 0
            match($0, /Used [0-9]+/)
            printf "%s\t%s\t%d\t%d\t%d\t%d\n", kernel, arch, substr($0, RSTART + 5, RLENGTH - 5), shared, spilled, stack
        }' "$report" | c++filt | sed -E 's/^void //; s/\(norm_kind\)//; s/\([^\t]*\)\t/\t/; s/__nv_bfloat16/bf16/g'
}

if [ "$mode" = check ]; then
    entries | awk -F '\t' '
        $5 > 0 { printf "%s spills %d bytes a thread on %s\n", $1, $5, $2; found = 1 }
        $6 > 0 && $1 !~ /^timestep/ { printf "%s has %d bytes of stack a thread on %s\n", $1, $6, $2; found = 1 }
        END { if (NR == 0) { print "the report names no kernel"; exit 1 } exit found }'
    exit
fi
entries | sort -t "$(printf '\t')" -k1,1 -k2,2 | awk -F '\t' '
    function flush() { if (name != "") printf "%-58s%s\n", name, cells }
    BEGIN { printf "%-58s%s\n", "registers, shared bytes, spilled bytes of kernels", "   sm_80             sm_90" }
    $1 != name { flush(); name = $1; cells = "" }
    { cells = cells sprintf("   %3d %6d %3d  ", $3, $4, $5) }
    END { flush() }'
