# What the tests of training share. Sourced with $lens set; makes $work, a folder that goes when the test ends, and moves
# into it.
python=${LENS_PYTHON:-/usr/bin/python3}
command -v "$python" >/dev/null || { echo "skipped: no python at $python"; exit 77; }
lens=$(realpath "$lens")
root=$PWD
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work" || exit 1

# More ranks than cores and a root user are what containers are made of. Open MPI keeps memory until the process ends,
# which is no leak of ours.
export OMPI_ALLOW_RUN_AS_ROOT=1 OMPI_ALLOW_RUN_AS_ROOT_CONFIRM=1 ASAN_OPTIONS=${ASAN_OPTIONS:-detect_leaks=0}

fail() {
    echo "FAILED: $*"
    exit 1
}

# 200 pictures with captions in $work/set, and a model of a few milliseconds a step in $work/tiny.yaml. Nothing in it is
# a power of two that need not be.
make_set() {
    "$lens" scenes -n 200 --seed 1 --size 20 --captions --shard-samples 90 -o set >scenes.out 2>&1 || {
        cat scenes.out
        fail "lens scenes"
    }
    cat >tiny.yaml <<'YAML'
run:
  device: cpu
  threads: 1
data:
  dataset: set
  captions: truth-dense
  buckets: 16x12
text:
  rows: 300
  dim: 18
  max_tok: 48
model:
  layers: 2
  heads: 2
  head_dim: 10
  rope_frame: 2
  rope_row: 4
  rope_column: 4
flow:
  mu: 0
train:
  steps: 20
  batch: 8
  warmup: 5
  ema: 0.9
sample:
  every: 0
YAML
}

# train STATUS DIR [KEY=VALUE|--resume]...: one run of tiny.yaml with that exit status. Its streams: DIR.out, DIR.err.
train() {
    local status=$1 dir=$2 got=0
    shift 2
    "$lens" train tiny.yaml run.dir="$dir" ${device:+run.device=$device} "$@" >"$dir.out" 2>"$dir.err" </dev/null || got=$?
    expect_status "$status" $got "$dir" "train $dir $*"
}
# train_ranks N STATUS DIR ...: the same by N ranks. A minute without an end is a hang.
train_ranks() {
    local n=$1 status=$2 dir=$3 got=0
    shift 3
    timeout 120 mpirun --oversubscribe -np "$n" "$lens" train tiny.yaml run.dir="$dir" \
        ${device:+run.device=$device} "$@" \
        >"$dir.out" 2>"$dir.err" </dev/null || got=$?
    expect_status "$status" $got "$dir" "train by $n ranks: $dir $*"
}
expect_status() {
    [ "$2" = "$1" ] && return
    sed 's/^/  out: /' "$3.out"
    sed 's/^/  err: /' "$3.err"
    fail "$4: exit status $2, expected $1"
}
# refused STATUS MESSAGE DIR ...: train fails with one line in all, which matches.
refused() {
    local status=$1 message=$2 dir=$3
    shift 2
    train "$status" "$@"
    one_line "$message" "$dir"
}
one_line() {
    if [ "$(wc -l <"$2.err")" = 1 ] && grep -qE -- "$1" "$2.err" && [ ! -s "$2.out" ]; then return; fi
    sed 's/^/  out: /' "$2.out"
    sed 's/^/  err: /' "$2.err"
    fail "$2: expected one line, and \"$1\" in it"
}
# Of several ranks: mpirun adds words of its own, and counting is over lens's alone.
one_line_of_ranks() {
    if [ "$(grep -cE '^(lens|\[rank)' "$2.err")" = 1 ] && grep -qE -- "$1" "$2.err"; then return; fi
    sed 's/^/  err: /' "$2.err"
    fail "$2: expected one line of lens, and \"$1\" in it"
}

have_mpirun() {
    command -v mpirun >/dev/null
}

# same_numbers A B FIRST LAST: loss and norm of the gradient of these steps are the same text in both runs.
same_numbers() {
    "$python" - "$@" <<'PY' || fail "$1 and $2 differ"
import re, sys
a, b, first, last = sys.argv[1], sys.argv[2], int(sys.argv[3]), int(sys.argv[4])
def read(run):
    rows = {}
    for line in open(run + "/metrics.jsonl"):
        step = int(re.search(r'"step": (\d+)', line)[1])
        if step in rows: sys.exit(f"{run}: step {step} is there twice")
        rows[step] = [re.search(rf'"{key}": ([^,}}]+)', line)[1] for key in ("loss", "grad_norm")]
    if sorted(rows) != list(range(1, len(rows) + 1)): sys.exit(f"{run}: a step is missing")
    return rows
x, y = read(a), read(b)
for step in range(first, last + 1):
    if x.get(step) is None or x[step] != y.get(step): sys.exit(f"step {step}: {a} {x.get(step)}, {b} {y.get(step)}")
PY
}

# near A B LOSSES NORMS: losses, and norms of the gradient, differ by so much at most, relatively; says the most that they
# do.
near() {
    "$python" - "$@" <<'PY' || fail "$1 and $2 differ"
import json, sys
a, b, allowed = sys.argv[1], sys.argv[2], [float(x) for x in sys.argv[3:5]]
def read(run):
    rows = [json.loads(line) for line in open(run + "/metrics.jsonl")]
    return {row["step"]: (row["loss"], row["grad_norm"]) for row in rows}
x, y = read(a), read(b)
if not x or sorted(x) != sorted(y): sys.exit(f"{a} has steps {sorted(x)}, {b} {sorted(y)}")
worst = [max(abs(x[step][i] - y[step][i]) / abs(x[step][i]) for step in x) for i in (0, 1)]
print(f"{a}, {b}: losses differ by {worst[0]:.1e} of {allowed[0]:.1e}, norms by {worst[1]:.1e} of {allowed[1]:.1e}")
sys.exit(not all(x <= y for x, y in zip(worst, allowed)))
PY
}

# The same program on the emulated device (tests/cuda_on_host), in $host, and a tiny.yaml that it trains in a second.
make_cuda_set() {
    host=$(dirname "$lens")/lens-cuda-host
    [ -x "$host" ] || { echo "skipped: no lens-cuda-host beside $lens"; exit 77; }
    make_set
    sed -i -e 's/buckets: .*/buckets: 12x8/' -e 's/max_tok: .*/max_tok: 10/' -e 's/batch: .*/batch: 4/' tiny.yaml
}
# on_cuda f32|bf16 train ...: a function of these, with $host instead of $lens and run.device=cuda.
on_cuda() {
    local lens=$host device=cuda LENS_CUDA_F32=0
    [ "$1" = bf16 ] || LENS_CUDA_F32=1
    export LENS_CUDA_F32
    shift
    "$@"
}

# same_checkpoint A B: weights, averages and moments, byte for byte.
same_checkpoint() {
    local file n=0
    for file in $(cd "$1/checkpoints/latest/" && find . -name '*.safetensors'); do
        cmp "$1/checkpoints/latest/$file" "$2/checkpoints/latest/$file" || fail "$1 and $2 end with another $file"
        n=$((n + 1))
    done
    [ $n -ge 5 ] || fail "$1 ends with $n files of tensors"
}
