# What the tests of lens shards share; sourced, with $lens set. Makes the folder $work, removed at the end.
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
failures=0
complain() {
    echo "FAILED: $1"
    failures=$((failures + 1))
}
# expect STATUS PATTERN COMMAND...: PATTERN (extended) is somewhere in stdout or stderr; stderr has one line at most.
expect() {
    local status=$1 pattern=$2 got
    shift 2
    "$@" >"$work/out" 2>"$work/err" </dev/null
    got=$?
    [ $got = "$status" ] || complain "$*: exit status $got, expected $status: $(cat "$work/err")"
    cat "$work/out" "$work/err" | grep -qE -- "$pattern" || complain "$*: no \"$pattern\" in: $(cat "$work/out" "$work/err")"
    [ "$(wc -l <"$work/err")" -le 1 ] || complain "$*: several lines: $(cat "$work/err")"
}
# flip FILE OFFSET: the byte there, inverted.
flip() {
    local byte
    byte=$(od -An -tu1 -j "$2" -N 1 "$1")
    # shellcheck disable=SC2059  # the format is the byte
    printf "\\x$(printf %02x $((255 - byte)))" | dd of="$1" bs=1 seek="$2" conv=notrunc status=none
}
