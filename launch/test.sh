#!/usr/bin/env bash
# Installs what is missing, builds, and runs all tests: everything in a release build, and under AddressSanitizer and
# UndefinedBehaviorSanitizer the unit tests, the programs that read foreign files and those on failing storage; then each
# fuzzer for 10 s. --quick: release unit tests only.
# Exit status 0: all passed.
set -u

root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd) || exit 1
quick=false
for argument in "$@"; do
    case $argument in
    --quick) quick=true ;;
    -h | --help)
        sed -n '2,5s/^# //p' "${BASH_SOURCE[0]}"
        exit 0
        ;;
    *)
        echo "test.sh: unknown argument \"$argument\" (known: --quick, --help)" >&2
        exit 2
        ;;
    esac
done
# shellcheck source-path=SCRIPTDIR source=setup.sh
. "$root/launch/setup.sh" || exit 1
cd "$root" || exit 1

summary=""
failed=0

# step NAME COMMAND...: runs it, notes how it ended, fails as it does.
step() {
    local name=$1 status start=$SECONDS outcome=ok
    shift
    printf '\n== %s: %s\n' "$name" "$*"
    "$@"
    status=$?
    if [ $status != 0 ]; then
        outcome="FAILED (exit status $status)"
        failed=1
    fi
    summary+=$(printf '%-18s %5d s  %s' "$name" $((SECONDS - start)) "$outcome")$'\n'
    return $status
}

build() {
    step "$1 configure" cmake --preset "$1" && step "$1 build" cmake --build --preset "$1"
}

# All that is wanted of a preset must exist: a pattern that matches nothing is a failure.
tests() {
    local preset=$1
    shift
    local failed_log=build/$preset/Testing/Temporary/LastTestsFailed.log
    rm -f "$failed_log"
    step "$preset tests" ctest --preset "$preset" --no-tests=error --parallel 2 "$@" && return
    if [ -e "$failed_log" ]; then summary+=$(sed 's/^[0-9]*:/    FAILED: /' "$failed_log")$'\n'; fi
    return 1
}

if $quick; then
    build release && tests release -L unit
else
    build release && tests release
    build debug && tests debug -R '^(test_.*|e2e_test_(ingest|shards|command|fault).*)$'
    # A change is judged by the inputs that the last one was judged by.
    step fuzz tests/fuzz/run_fuzzers.sh --seconds 10 --seed 1
fi

printf '\n== summary\n%s' "$summary"
if [ $failed = 0 ]; then echo "all passed"; else echo "FAILED"; fi
exit $failed
