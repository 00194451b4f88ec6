#!/usr/bin/env bash
# tests/gpu/check_attention.c on the emulated device: it finds cuDNN and the plain kernels in agreement, and a shape that
# cuDNN refuses makes the plain kernels stand for both.
set -eu
check=$(dirname "$1")/check_attention-cuda-host
out=$("$check" 2 2 9 5 16)
[ "$(grep -c '"good": true' <<<"$out")" = 4 ] || { echo "expected 4 good lines, got: $out"; exit 1; }
grep -q '"lse": 0.00' <<<"$out" || { echo "lse differs by more than float's rounding: $out"; exit 1; }
err=$(LENS_CUDNN_ERROR=plan "$check" 1 1 9 0 16 2>&1 >/dev/null)
grep -q "plain kernels, many times slower" <<<"$err" || { echo "no warning: $err"; exit 1; }
