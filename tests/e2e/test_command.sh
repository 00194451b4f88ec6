#!/usr/bin/env bash
# The lens command itself: help, version, what it says to mistakes, and its exit statuses.
set -u
lens=$1
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
failures=0

# expect STATUS STDOUT STDERR COMMAND...: the two texts are extended regular expressions, "" for nothing at all.
expect() {
    local status=$1 out=$2 err=$3 got
    shift 3
    "$@" >"$work/out" 2>"$work/err" </dev/null
    got=$?
    local problem=""
    [ $got = "$status" ] || problem+="exit status $got, expected $status; "
    matches "$out" "$work/out" || problem+="stdout does not match \"$out\"; "
    matches "$err" "$work/err" || problem+="stderr does not match \"$err\"; "
    [ "$(wc -l <"$work/err")" -le 1 ] || problem+="stderr has more than one line; "
    [ -z "$problem" ] && return
    printf 'FAILED: %s\n  %s\n' "$*" "$problem"
    sed 's/^/  out: /' "$work/out"
    sed 's/^/  err: /' "$work/err"
    failures=$((failures + 1))
}
matches() {
    if [ -z "$1" ]; then [ ! -s "$2" ]; else grep -qE -- "$1" "$2"; fi
}

# Help and version.
expect 0 '^  demo  ' '' "$lens"
expect 0 '^  demo  ' '' "$lens" help
expect 0 '^  demo  ' '' "$lens" --help
expect 0 '^Usage: lens demo ' '' "$lens" help demo
expect 0 '^Usage: lens demo ' '' "$lens" demo --help
expect 0 '^Usage: lens demo ' '' "$lens" demo -h
expect 0 '^  -o, --out DIR .*default runs/demo' '' "$lens" demo --quick --help
expect 0 '^lens [0-9]+\.[0-9]+\.[0-9]+$' '' "$lens" --version
for name in commit build flags compiler HDF5 zstd libwebp libjpeg libpng OpenBLAS MPI CUDA; do
    expect 0 "^$name: +[^ ]" '' "$lens" --version
done
# Every command that is listed explains itself.
for command in $("$lens" help | sed -nE 's/^  ([a-z0-9_-]+) .*/\1/p'); do
    expect 0 "^Usage: lens $command" '' "$lens" "$command" --help
done

# Mistakes on the command line: exit status 2, one line.
expect 2 '' '^lens: unknown command "dmo" \(did you mean "demo"\?\)$' "$lens" dmo
expect 2 '' '^lens: unknown command "xyzzyxyzzy" \(lens help lists the commands\)$' "$lens" xyzzyxyzzy
expect 2 '' '^lens: unknown command "dmo"' "$lens" help dmo
expect 2 '' '^lens: unknown option "--verison"' "$lens" --verison
expect 2 '' '^lens: help: expected one command, got 2$' "$lens" help demo demo
expect 2 '' '^lens demo: unknown option "--quik" \(did you mean "--quick"\?\)$' "$lens" demo --quik
expect 2 '' '^lens demo: --steps "many": expected an integer, 0 to [0-9]+$' "$lens" demo --steps many
expect 2 '' '^lens demo: --steps "-1": expected an integer' "$lens" demo --steps -1
expect 2 '' '^lens demo: --steps: expected a value after it$' "$lens" demo --steps
expect 2 '' '^lens demo: --quick takes no value, got "yes"$' "$lens" demo --quick=yes
expect 2 '' '^lens demo: expected no argument, got "x"$' "$lens" demo -- x
expect 2 '' '^lens demo: unknown option "--a\\x1b\[31mb"' "$lens" demo $'--a\e[31mb'

# A folder that is not the demo's own is left alone.
mkdir "$work/mine" && touch "$work/mine/photo"
if [ -f configs/nano.yaml ] && [ -f data/samples/openclipart-300.tar ]; then
    expect 2 '' "^lens demo: $work/mine: holds files that are not an earlier demo's" "$lens" demo -o "$work/mine"
fi
[ -f "$work/mine/photo" ] || { echo "FAILED: the demo removed a file" && failures=$((failures + 1)); }

# Results that cannot be written: exit status 1.
# shellcheck disable=SC2016,SC2317  # the inner shell is to expand them; called by expect
{
shell() { bash -c "$1" shell "$lens"; }
expect 1 '' '^lens: cannot write the results to standard output: No space left on device$' shell '"$1" help >/dev/full'
expect 1 '' '^lens: cannot write the results to standard output: Broken pipe$' \
    shell 'exec 3> >(exec 0<&-; exit 0); wait $!; "$1" help >&3'
expect 1 '' '^lens: cannot write the results to standard output: Bad file descriptor$' shell '"$1" help >&-'
expect 0 '^  demo  ' '' shell '"$1" help <&- 2>&-'
}

# Mistakes in a config.
if "$lens" help train >/dev/null 2>&1 && [ -f configs/nano.yaml ]; then
    cp configs/nano.yaml "$work/typo.yaml"
    printf 'flows:\n  mu: 1\n' >>"$work/typo.yaml"
    expect 2 '' "^lens train: $work/typo.yaml:[0-9]+: unknown section \"flows\" \\(did you mean \"flow\"\\?\\)$" \
        "$lens" train "$work/typo.yaml"
    expect 2 '' '^lens train: command line: train\.steps = "many": expected an integer' \
        "$lens" train configs/nano.yaml train.steps=many
    expect 2 '' '^lens train: command line: unknown key "train\.step" \(did you mean "train\.steps"\?\)$' \
        "$lens" train configs/nano.yaml train.step=1
    expect 1 '' '/nonexistent\.yaml' "$lens" train "$work/nonexistent.yaml"
fi

[ $failures = 0 ] && echo "all passed"
exit $((failures > 0))
