#!/usr/bin/env bash
# Sees to it that what lens is built and tested with is there; sourced by launch/test.sh and launch/demo.sh.
#
# On Debian and Ubuntu it installs what is missing, and only that, with apt-get. Elsewhere, or without the right to
# install, it names what is missing and fails. Where nothing is missing it only looks.

# The one list: the Debian package, and how to see that what it brings is there, however it was installed.
lens_packages=(
    "build-essential         cmd:cc"
    "cmake                   cmd:cmake"
    "ninja-build             cmd:ninja"
    "pkg-config              cmd:pkg-config"
    "openmpi-bin             cmd:mpirun"
    "libopenmpi-dev          cmd:mpicc"
    "libopenblas-openmp-dev  openblas"
    "libhdf5-dev             cmd:h5cc"
    "hdf5-tools              cmd:h5dump"
    "libwebp-dev             pkg:libwebpdemux"
    "liblcms2-dev            pkg:lcms2"
    "libzstd-dev             pkg:libzstd"
    "libjpeg-dev             pkg:libjpeg"
    "libpng-dev              pkg:libpng"
    "libarchive-dev          pkg:libarchive"
    "libyaml-dev             pkg:yaml-0.1"
    "libjansson-dev          pkg:jansson"
    "libcurl4-openssl-dev    pkg:libcurl"
    "libxxhash-dev           pkg:libxxhash"
    "libcmocka-dev           pkg:cmocka"
    "openssl                 cmd:openssl"
    "nghttp2-proxy           cmd:nghttpx"
    "clang                   cmd:clang"
    "libclang-rt-dev         fuzzer"
    "libomp-dev              clang-openmp"
    "jq                      cmd:jq"
    "python3-h5py            python:h5py"
    "python3-numpy           python:numpy"
)

# An OpenBLAS with threads of its own would fight with OpenMP's for the cores; Debian lets the flavours stand side by side.
lens_openblas_is_openmp() {
    pkg-config --exists openblas 2>/dev/null || return 1
    local libdir
    libdir=$(pkg-config --variable=libdir openblas)
    case $(readlink -f "$libdir/libopenblas.so") in
    */openblas-pthread/* | */openblas-serial/*) return 1 ;;
    esac
}

lens_has() {
    case $1 in
    cmd:*) PATH=$PATH:/usr/sbin command -v "${1#cmd:}" >/dev/null ;;
    pkg:*) pkg-config --exists "${1#pkg:}" 2>/dev/null ;;
    python:*) "$LENS_PYTHON" -c "import ${1#python:}" 2>/dev/null ;;
    openblas) lens_openblas_is_openmp ;;
    fuzzer) ls "$(clang -print-resource-dir 2>/dev/null)"/lib/linux/libclang_rt.fuzzer-*.a >/dev/null 2>&1 ;;
    clang-openmp) clang -fopenmp -E -include omp.h -x c /dev/null >/dev/null 2>&1 ;;
    *) false ;;
    esac
}

# Sets lens_missing to the packages that are not there.
lens_look() {
    local row package probe
    lens_missing=()
    for row in "${lens_packages[@]}"; do
        read -r package probe <<<"$row"
        lens_has "$probe" || lens_missing+=("$package")
    done
}

lens_apt_install() {
    local as_root=()
    if [ "$(id -u)" != 0 ]; then
        command -v sudo >/dev/null || return 1
        as_root=(sudo)
    fi
    echo "setup: installing ${lens_missing[*]}" >&2
    "${as_root[@]}" apt-get update -qq &&
        "${as_root[@]}" env DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends "${lens_missing[@]}"
}

lens_setup() {
    # Debian's own Python has Debian's h5py; another one may stand before it in PATH.
    LENS_PYTHON=${LENS_PYTHON:-/usr/bin/python3}
    export LENS_PYTHON
    if [ "$(id -u)" = 0 ]; then # mpirun asks root for this: containers
        export OMPI_ALLOW_RUN_AS_ROOT=1 OMPI_ALLOW_RUN_AS_ROOT_CONFIRM=1
    fi

    lens_look
    [ ${#lens_missing[@]} = 0 ] && return 0
    if command -v apt-get >/dev/null; then
        lens_apt_install || echo "setup: apt-get could not install them" >&2
        lens_look
        [ ${#lens_missing[@]} = 0 ] && return 0
    fi

    echo "setup: missing (Debian's names): ${lens_missing[*]}" >&2
    if [[ " ${lens_missing[*]} " == *" libopenblas-openmp-dev "* ]] && pkg-config --exists openblas 2>/dev/null; then
        echo "setup: OpenBLAS is there in another flavour than openmp; to choose it on Debian:" >&2
        echo "    sudo update-alternatives --config libopenblas.so-$(gcc -print-multiarch 2>/dev/null)" >&2
        echo "    sudo update-alternatives --config libopenblas.so.0-$(gcc -print-multiarch 2>/dev/null)" >&2
    fi
    return 1
}

# Returned from where this file is sourced, so that a person's shell survives; as a command it is the exit status.
lens_setup
