#!/usr/bin/env bash
# Packs what tests/gpu/run.sh needs on a machine that has a driver, CUDA's libraries (cuBLASLt, cuDNN, NCCL), glibc at
# least as new as here, libstdc++ and python3, and nothing to build with: programs, their other libraries, files.
#   tests/gpu/bundle.sh [OUT]      OUT: a folder (build/bundle/lens-gpu); OUT.tar.xz is made beside it
# There:  tar xf lens-gpu.tar.xz && lens-gpu/tests/gpu/run.sh
# Needs patchelf: a library with a search path of its own, as libmpi, does not look where its program does.
# LENS_MARCH: target of the compiler (x86-64-v3, which machines with such GPUs have).
set -euo pipefail
root=$(cd "$(dirname "$0")/../.." && pwd)
out=$(realpath -m "${1:-$root/build/bundle/lens-gpu}")
build=$root/build/bundle/cmake
command -v patchelf >/dev/null || { echo "missing: patchelf" >&2; exit 1; }
# DT_RPATH, unlike RUNPATH, holds for libraries of libraries as well.
cmake -S "$root" -B "$build" -G Ninja -DCMAKE_BUILD_TYPE=Release -DLENS_CUDA=ON \
    -DLENS_MARCH="${LENS_MARCH:-x86-64-v3}" -DCMAKE_BUILD_WITH_INSTALL_RPATH=ON \
    "-DCMAKE_INSTALL_RPATH=\$ORIGIN/lib;/usr/local/cuda/lib64" -DCMAKE_EXE_LINKER_FLAGS=-Wl,--disable-new-dtags >&2
cmake --build "$build" --target lens gpu_checks >&2
rm -rf "$out" "$out.tar.xz"
mkdir -p "$out/bin/lib" "$out/tests/gpu" "$out/tests/bench" "$out/docs"
for program in lens lens_cuda.so check_attention $(cd "$build" && ls gpu_check_*); do
    strip -o "$out/bin/$program" "$build/$program"
    chmod +x "$out/bin/$program"
done
# Not glibc, which must fit the kernel's loader, nor the compiler's own libraries, which CUDA's bring along.
ldd "$build/lens" "$build"/gpu_check_* | awk '$2 == "=>" && $3 ~ /^\// {print $3}' | sort -u |
    grep -vE '/(ld-linux|libc|libm|libdl|librt|libpthread|libresolv|libutil|libnsl|libstdc\+\+|libgcc_s)[.-]' |
    while read -r library; do
        cp -L "$library" "$out/bin/lib/"
        strip --strip-unneeded "$out/bin/lib/${library##*/}"
        patchelf --remove-rpath "$out/bin/lib/${library##*/}"
    done
cp -r "$root/configs" "$out/"
cp "$root"/tests/gpu/* "$out/tests/gpu/"
cp "$root/tests/bench/torch_train.py" "$out/tests/bench/"
tar -C "$(dirname "$out")" -c "$(basename "$out")" | xz -T0 -6 >"$out.tar.xz"
du -sh "$out" "$out.tar.xz" | sed 's/^/bundle: /'
