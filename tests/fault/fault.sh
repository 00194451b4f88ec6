# What the fault tests share. Sourced with $lens set; makes $work, a folder that goes when the test ends, and moves into
# it. io_fault.c says what a rule is.
lens=$(realpath "$lens")
faults=$(dirname "$lens")/io_fault.so
[ -e "$faults" ] || { echo "skipped: no $faults"; exit 77; }
if ldd "$lens" | grep -q musl; then echo "skipped: io_fault.c is made for glibc"; exit 77; fi
work=$(realpath "$(mktemp -d)")
trap 'rm -rf "$work"' EXIT
cd "$work" || exit 1
# libarchive 3.6 does not free what it wrote with when a write has failed.
echo 'leak:libarchive.so' >leaks
export LSAN_OPTIONS=suppressions=$work/leaks:print_suppressions=0
failures=0
export GOMP_SPINCOUNT=1000                                             # lens does not start itself anew
export ASAN_OPTIONS=${ASAN_OPTIONS:+$ASAN_OPTIONS:}verify_asan_link_order=0 # the preloaded library comes before ASan's

fail() {
    printf 'FAILED: %s\n' "$1"
    for file in out err log; do [ -e $file ] && sed "s/^/  $file: /" $file; done
    failures=$((failures + 1))
}

# under RULES COMMAND...: its streams go to out and err, what struck to log, its exit status to $status.
under() {
    local rules=$1
    shift
    : >log
    LENS_FAULT=$rules LENS_FAULT_LOG=$work/log LD_PRELOAD=$faults "$@" >out 2>err </dev/null
    status=$?
}

# refused RULES MESSAGE COMMAND...: the fault strikes, and the command ends with status 1 and one line, which matches the
# extended regular expression. Warnings may stand beside it.
refused() {
    local rules=$1 message=$2
    shift 2
    under "$rules" "$@"
    [ -s log ] || fail "$rules: did not strike: $*"
    [ $status = 1 ] || fail "$rules: $*: exit status $status, expected 1"
    [ "$(grep -vc '^warning: ' err)" = 1 ] || fail "$rules: $*: expected one line of error"
    grep -qE -- "^lens [a-z]+: .*$message" err || fail "$rules: $*: expected \"$message\""
}

# whole DIR: what stands there under final names verifies, and nothing temporary stands beside it. That a set was not
# finished may show: shards can be missing.
whole() {
    find "$1" -name '*.tmp*' 2>/dev/null | grep . >left && fail "$1: left behind: $(tr '\n' ' ' <left)"
    [ -n "$(find "$1/base" -name '*.h5' 2>/dev/null)" ] || return 0
    "$lens" shards verify "$1" >out 2>err && return
    grep '\.h5: ' out | grep -vq 'is missing$' && fail "$1: what was published does not verify"
    return 0
}

# sums DIR: of every shard below it.
sums() {
    (cd "$1" && find . -name '*.h5' -exec sha256sum {} + | LC_ALL=C sort -k 2)
}
