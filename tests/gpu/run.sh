#!/usr/bin/env bash
# All that only a GPU can show, in one command: numerics, memory checkers, kernels, training steps beside PyTorch's.
#   tests/gpu/run.sh [--quick]     --quick: numerics and one training step
# Writes OUT/parts/NAME.json as each part ends, and OUT/benchmarks-gpu.json and .md anew after each: a run that is cut
# off keeps what it had. Parts run in the order of their worth; one that finds no time left is skipped and says so.
#   OUT        folder of the results (build/gpu)
#   BUDGET_S   seconds for all (1500); each part has a limit of its own besides
#   PARTS      names of the parts to run, the others' results stay as they are
#   PREBUILT   folder with lens, lens_cuda.so and gpu_check_*, as tests/gpu/bundle.sh makes it; else all is built here
#   DRY_RUN    emulated: the emulated device and tiny sizes, to try this script; no figure means anything
#   LENS_TORCH_PYTHON   a python with PyTorch (python3)
set -u -o pipefail
root=$(cd "$(dirname "$0")/../.." && pwd)
gpu=$root/tests/gpu
cd "$root" || exit 2
OUT=${OUT:-$root/build/gpu} BUDGET_S=${BUDGET_S:-1500} DRY_RUN=${DRY_RUN:-}
PARTS=${PARTS:-facts selftest_f32 selftest_bf16 selftest_own checks train_512 torch train_512_keep train_512_varies kernels
    train_768 train_1024 sanitizer profile}
case ${1:-} in
    "") ;;
    --quick) PARTS="facts selftest_f32 selftest_bf16 checks train_512" ;;
    *) sed -n '2,12s/^# \{0,1\}//p' "$0" >&2; exit 2 ;;
esac
[ -z "$DRY_RUN" ] || [ "$DRY_RUN" = emulated ] || { echo "DRY_RUN=$DRY_RUN: expected emulated" >&2; exit 2; }
[[ $BUDGET_S =~ ^[0-9]+$ ]] || { echo "BUDGET_S=$BUDGET_S: expected seconds" >&2; exit 2; }
python=$(command -v python3) || { echo "missing: python3" >&2; exit 1; }
torch_python=${LENS_TORCH_PYTHON:-$python}
mkdir -p "$OUT/parts" "$OUT/logs" || exit 1
OUT=$(cd "$OUT" && pwd)
export PATH=$PATH:/usr/local/cuda/bin OMPI_ALLOW_RUN_AS_ROOT=1 OMPI_ALLOW_RUN_AS_ROOT_CONFIRM=1 PYTHONUNBUFFERED=1

# ---- what is here: said at once ----
missing=0
need() { # COMMAND WHY
    command -v "$1" >/dev/null || { echo "missing: $1 ($2)" >&2; missing=1; }
}
[ -z "${PREBUILT:-}" ] && [ -x "$root/bin/lens" ] && PREBUILT=$root/bin
if [ -z "$DRY_RUN" ]; then
    need nvidia-smi "the driver's"
    nvidia-smi -L || { echo "missing: a GPU that answers" >&2; missing=1; }
fi
if [ -z "${PREBUILT:-}" ] && [ -z "$DRY_RUN" ]; then
    for tool in cmake ninja nvcc mpicc pkg-config; do
        need "$tool" "to build: launch/setup.sh installs it; or bring PREBUILT, made by tests/gpu/bundle.sh"
    done
fi
for tool in compute-sanitizer nsys; do
    command -v $tool >/dev/null || echo "absent: $tool: its part will be skipped"
done
"$torch_python" -c 'import torch' 2>/dev/null || echo "absent: PyTorch in $torch_python: its part will be skipped"
[ $missing = 0 ] || exit 1

# ---- the binaries ----
if [ -n "$DRY_RUN" ]; then
    bin=${PREBUILT:-$root/build/release} lens=$bin/lens-cuda-host
elif [ -n "${PREBUILT:-}" ]; then
    bin=$(cd "$PREBUILT" && pwd) lens=$bin/lens
else
    bin=$root/build/release lens=$bin/lens
    cmake --preset release >"$OUT/logs/build.out" 2>&1 &&
        cmake --build --preset release --target lens gpu_checks >>"$OUT/logs/build.out" 2>&1 ||
        { tail -20 "$OUT/logs/build.out" >&2; exit 1; }
fi
[ -x "$lens" ] || { echo "missing: $lens" >&2; exit 1; }

# Where CUDA's libraries lie in no folder that the loader knows: beside PyTorch, often.
find_libraries() {
    local name folder
    for name in $(ldd "$bin/lens_cuda.so" 2>/dev/null | awk '/not found/ {print $1}' | sort -u); do
        folder=$(find -L /usr/local/cuda*/lib64 /usr/lib/x86_64-linux-gnu /opt /usr/local/lib \
            $("$torch_python" -c 'import site; print(*site.getsitepackages())' 2>/dev/null) \
            -name "$name" -printf '%h\n' -quit 2>/dev/null | head -1)
        [ -n "$folder" ] && LD_LIBRARY_PATH=${LD_LIBRARY_PATH:+$LD_LIBRARY_PATH:}$folder
    done
    export LD_LIBRARY_PATH=${LD_LIBRARY_PATH:-}
    ! ldd "$bin/lens_cuda.so" | grep 'not found' >&2
}
if [ -z "$DRY_RUN" ]; then
    find_libraries || { echo "missing: libraries of CUDA (cuBLASLt, cuDNN, NCCL): set LD_LIBRARY_PATH" >&2; exit 1; }
fi

# ---- sizes: the released model, or the deepest cut of it that the memory holds ----
config=$root/configs/lens-3.8b-stage1.yaml
common=(run.dir=none data.dataset=random run.device=cuda train.slots=1 train.zero=0)
depths="48 36 24 16 8" rounds=15 seconds=30 text_tok=160
bases=("512x512 24" "768x768 10" "1024x1024 6")
if [ -n "$DRY_RUN" ]; then
    text_tok=8
    common+=(model.heads=2 model.head_dim=16 model.rope_frame=4 model.rope_row=6 model.rope_column=6 text.dim=16
        text.layers=2)
    depths=2 rounds=1 seconds=1
    bases=("32x32 2" "48x48 2" "64x64 2")
fi
common+=(text.max_tok=$text_tok)
free_mib=$([ -n "$DRY_RUN" ] && echo 1000000 || nvidia-smi --query-gpu=memory.free --format=csv,noheader,nounits -i 0)
usable_mib=$((free_mib - 2500)) # the driver's context, the libraries' workspaces

planned_mib() { # KEY=VALUE...: of device memory
    "$lens" plan "$config" "$@" --json |
        "$python" -c 'import json, sys; print(json.load(sys.stdin)["device_bytes"] >> 20)'
}
# The first way to keep activations that fits, as settings; ways are CHECKPOINTING/MICRO-BATCHES, the fastest first.
fitting() { # SIZE BATCH LAYERS WAY...
    local size=$1 batch=$2 layers=$3 way
    shift 3
    for way in "$@"; do
        local set=(data.buckets="$size" train.batch="$batch" model.layers="$layers" train.checkpointing="${way%/*}"
            train.accumulate="${way#*/}")
        [ "$(planned_mib "${common[@]}" "${set[@]}")" -le $usable_mib ] && { echo "${set[*]}"; return 0; }
    done
    return 1
}
ways=(none/1 selective/1 none/2 selective/2)
layers=""
for depth in $depths; do
    fitting ${bases[0]} "$depth" "${ways[@]}" >/dev/null && { layers=$depth; break; }
done
[ -n "$layers" ] || { echo "no depth of the model fits into $usable_mib MiB" >&2; exit 1; }

# ---- parts: each prints its result, JSON where it has one ----
facts() { "$python" "$gpu/facts.py" "$lens" "$DRY_RUN"; }
selftest_f32() { LENS_CUDA_F32=1 "$lens" selftest --device cuda --json; }
selftest_bf16() { "$lens" selftest --device cuda --json; }
selftest_own() { LENS_CUDA_ATTENTION=own "$lens" selftest --device cuda --json; }
checks() { # every row against the CPU's
    local failed=0 check found=0 log all
    [ -z "$DRY_RUN" ] && all=("$bin"/gpu_check_* "$bin/check_attention") || all=("$bin/test_cuda_optim")
    for check in "${all[@]}"; do
        [ -x "$check" ] && [ -f "$check" ] || continue
        found=1
        log=$OUT/logs/${check##*/}
        CHECK_PRINT=1 timeout 60 "$check" >"$log" 2>&1
        local status=$?
        [ $status = 0 ] || failed=1
        "$python" "$gpu/summarise.py" check "${check##*/}" $status "$log"
    done
    [ $found = 1 ] || { echo "no gpu_check_* in $bin"; return 77; }
    return $failed
}
train() { # NAME-OF-BASE WAY...
    local base=${bases[$1]} set
    shift
    set=$(fitting $base "$layers" "$@") || { echo "does not fit: $base, $layers blocks, $*"; return 77; }
    set="$set${varied:+ $varied}"
    echo "{\"settings\": \"$set\", \"layers\": $layers, \"plan_mib\": $(planned_mib "${common[@]}" $set)}"
    "$lens" bench train "$config" "${common[@]}" $set --rounds $rounds --full-text --json
}
train_512() { train 0 selective/1 selective/2 full/1; }
train_512_keep() { train 0 none/1 none/2 none/3; }
# What equal bits cost: attention's backward by float atomics.
train_512_varies() { varied=run.deterministic=false train_512; }
train_768() { train 1 "${ways[@]}" full/1; }
train_1024() { train 2 "${ways[@]}" full/1; }
kernels() {
    local set
    set=$(fitting ${bases[0]} "$layers" "${ways[@]}") || return 77
    "$lens" bench kernels "$config" "${common[@]}" $set --text-tok $text_tok --seconds $seconds --json
}
torch() {
    local set device=cuda
    "$torch_python" -c 'import torch' 2>/dev/null || { echo "no PyTorch in $torch_python"; return 77; }
    [ -n "$DRY_RUN" ] && device=cpu
    set=$(fitting ${bases[0]} "$layers" "${ways[@]}" full/1) || return 77
    "$torch_python" "$gpu/torch_lens.py" time "$lens" "$config" "${common[@]}" $set --seconds $seconds --device $device
}
sanitizer() { # the small programs under the memory checkers
    local tool check failed=0 log status
    command -v compute-sanitizer >/dev/null || { echo "no compute-sanitizer"; return 77; }
    for tool in memcheck racecheck synccheck; do
        for check in "$bin"/gpu_check_* "$lens"; do # not check_attention, whose shapes are large
            log=$OUT/logs/$tool-${check##*/}
            local words=()
            [ "$check" = "$lens" ] && words=(selftest --device cuda)
            timeout 60 compute-sanitizer --tool $tool --error-exitcode 9 "$check" "${words[@]}" >"$log" 2>&1
            status=$?
            [ $status = 9 ] && failed=1
            "$python" "$gpu/summarise.py" check "$tool ${check##*/}" $status "$log"
        done
    done
    return $failed
}
profile() {
    local set report=$OUT/logs/profile
    set=$(fitting ${bases[0]} "$layers" "${ways[@]}") || return 77
    command -v nsys >/dev/null || { echo "no nsys"; return 77; }
    nsys profile -o "$report" -f true -t cuda,cublas \
        "$lens" bench train "$config" "${common[@]}" $set --rounds 3 --json &&
        nsys stats -r cuda_gpu_kern_sum -f csv -o "$report" "$report.nsys-rep"
}

# ---- running them ----
export OUT DRY_RUN BUDGET_S bin lens config python torch_python gpu layers usable_mib rounds seconds text_tok
declare -A limits=([facts]=30 [selftest_f32]=90 [selftest_bf16]=90 [selftest_own]=90 [checks]=240 [train_512]=240
    [torch]=420 [train_512_keep]=240 [train_512_varies]=240 [kernels]=150 [train_768]=200 [train_1024]=200 [sanitizer]=400 [profile]=200)
functions=$(declare -f planned_mib fitting train "${!limits[@]}"; declare -p common bases ways)
run_part() { # NAME
    local name=$1 left=$((BUDGET_S - SECONDS)) limit=${limits[$1]:-} log=$OUT/logs/$1 begin=$SECONDS
    local rc status sampler=""
    [ -n "$limit" ] || { echo "no part $name; there are: ${!limits[*]}" >&2; exit 2; }
    [ "$limit" -le $left ] || limit=$left
    if [ "$left" -lt 5 ]; then
        rc=77
        echo "no time left of BUDGET_S=$BUDGET_S" >"$log.out"
        : >"$log.err"
    else
        if [ -z "$DRY_RUN" ]; then
            nvidia-smi -i 0 --query-gpu=memory.used,clocks.sm,power.draw,temperature.gpu \
                --format=csv,noheader,nounits -lms 500 >"$log.smi" 2>/dev/null &
            sampler=$!
        fi
        timeout -k 5 "$limit" bash -c "set -u -o pipefail; $functions; $name" >"$log.out" 2>"$log.err"
        rc=$?
        [ -z "$sampler" ] || { kill $sampler; wait $sampler; } 2>/dev/null
    fi
    case $rc in 0) status=ok ;; 77) status=skipped ;; 124 | 137) status="out of time" ;; *) status=failed ;; esac
    "$python" "$gpu/summarise.py" part "$OUT" "$name" "$status" $rc $((SECONDS - begin)) "$limit"
    "$python" "$gpu/summarise.py" report "$OUT" "$DRY_RUN"
    printf '%-15s %s, %d s\n' "$name" "$status" $((SECONDS - begin))
    [ "$status" = ok ] || tail -n 3 "$log.out" "$log.err"
    [ "$status" = ok ] || [ "$status" = skipped ]
}
echo "$layers blocks; $usable_mib MiB of the GPU usable; results in $OUT"
failed=0
for part in $PARTS; do run_part "$part" || failed=1; done
[ -n "$DRY_RUN" ] || [ ! -d "$root/docs" ] || cp "$OUT/benchmarks-gpu.md" "$root/docs/benchmarks-gpu.md"
exit $failed
