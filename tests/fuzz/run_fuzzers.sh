#!/usr/bin/env bash
# Builds the fuzzers (tests/fuzz/fuzz_NAME.c, clang's libFuzzer under ASan and UBSan) and runs each for a while from its
# corpus, tests/fuzz/corpus/NAME. Whatever a run finds new stays in build/fuzz, not in the tree.
#   tests/fuzz/run_fuzzers.sh [--seconds S] [--seed N] [NAME...]
# 10 s each where CI is set, else 600; all fuzzers where none is named; a seed that is drawn where none is given.
# Exit status 0: nothing was found, 1: something was, and how to see it again is printed, 2: not such a command line.
set -u
root=$(cd "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd) || exit 1
cd "$root" || exit 1
seconds=600 seed=0
[ -n "${CI:-}" ] && seconds=10
names=()
while [ $# -gt 0 ]; do
    case $1 in
    --seconds) seconds=${2:-} && shift ;;
    --seed) seed=${2:-} && shift ;;
    -h | --help) sed -n '2,6s/^# //p' "${BASH_SOURCE[0]}" && exit 0 ;;
    -*) echo "run_fuzzers.sh: unknown option $1 (known: --seconds, --seed, --help)" >&2 && exit 2 ;;
    *) names+=("${1#fuzz_}") ;;
    esac
    shift || break
done
[[ $seconds =~ ^[1-9][0-9]*$ ]] || { echo "run_fuzzers.sh: --seconds: expected a whole number above 0" >&2 && exit 2; }
[[ $seed =~ ^[0-9]+$ ]] || { echo "run_fuzzers.sh: --seed: expected a whole number, 0 draws one" >&2 && exit 2; }

if [ ${#names[@]} = 0 ]; then
    for source in tests/fuzz/fuzz_*.c; do
        [ -e "$source" ] || { echo "no fuzzers: nothing to do" && exit 0; }
        name=${source##*/fuzz_}
        names+=("${name%.c}")
    done
fi
for name in "${names[@]}"; do
    [ -e "tests/fuzz/fuzz_$name.c" ] || { echo "run_fuzzers.sh: there is no tests/fuzz/fuzz_$name.c" >&2 && exit 2; }
done
mkdir -p build
cmake --preset fuzz >build/fuzz.log 2>&1 && cmake --build --preset fuzz --target "${names[@]/#/fuzz_}" >>build/fuzz.log 2>&1 ||
    { cat build/fuzz.log; exit 1; }

# cause LOG INPUT: the lines that say what happened, and a small input whole: the end of a long log is what people see.
cause() {
    grep -aE 'ERROR: |SUMMARY: |runtime error: |broken invariant|^ +#[0-9]+ .*\.c:[0-9]+|Seed: ' "$1" | head -12
    if [ -e "$2" ] && [ "$(wc -c <"$2")" -le 3000 ]; then printf 'input in base64: %s\n' "$(base64 -w 0 "$2")"; fi
}

# Inputs of at most 64 KiB: what a length field can claim needs no long file. 10 s and 2 GiB for one input are a bug.
causes=""
for name in "${names[@]}"; do
    found=build/fuzz/found/$name corpus=tests/fuzz/corpus/$name log=build/fuzz/fuzz_$name.log
    mkdir -p "$found"
    [ -d "$corpus" ] || corpus=
    printf '== fuzz_%s, %s s: ' "$name" "$seconds"
    if "build/fuzz/fuzz_$name" -max_total_time="$seconds" -max_len=65536 -seed="$seed" -timeout=10 -rss_limit_mb=2048 -print_final_stats=1 \
        -artifact_prefix="build/fuzz/crash-$name-" "$found" ${corpus:+"$corpus"} >"$log" 2>&1; then
        awk '/^stat::number_of_executed_units/ { n = $2 } / cov: / { cov = $0 } END {
            sub(/.* cov: /, "", cov); sub(/ .*/, "", cov); printf "%d inputs, %s edges covered\n", n, cov }' "$log"
    else
        input=$(sed -n 's/.*Test unit written to //p' "$log" | tail -1)
        printf 'FAILED\n'
        tail -40 "$log"
        causes+="fuzz_$name FAILED; to see it again: build/fuzz/fuzz_$name ${input:-"(no input was kept: $log)"}"$'\n'
        causes+=$(cause "$log" "$input")$'\n'
    fi
done
printf '%s' "$causes"
[ -z "$causes" ]
