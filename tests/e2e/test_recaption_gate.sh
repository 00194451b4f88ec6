#!/usr/bin/env bash
# The gate's configuration from the command line: its list reads back as itself, its rules act, a wrong file is refused.
set -eu
lens=$1
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
fail() {
    echo "test_recaption_gate: $1" >&2
    exit 1
}

"$lens" recaption --gate-list >"$work/gate.yaml"
"$lens" recaption --gate "$work/gate.yaml" --gate-list | cmp - "$work/gate.yaml" || fail "the list does not read back"
printf 'loop:\n  limit: 0.5\n' >"$work/loop.yaml"
"$lens" recaption --gate "$work/loop.yaml" --gate-list | grep -A2 '^loop:' | grep -q 'limit: 0.5' || fail "a limit is lost"

printf 'lop:\n  limit: 0.5\n' >"$work/wrong.yaml"
status=0
"$lens" recaption --gate "$work/wrong.yaml" --gate-list >"$work/out" 2>"$work/err" || status=$?
[ "$status" = 2 ] || fail "an unknown rule: exit status $status"
grep -q 'wrong.yaml:1' "$work/err" || fail "no line is named: $(cat "$work/err")"

# The describer writes English: where another language is asked for, all of it is turned down, or flagged.
"$lens" scenes -n 12 -o "$work/set" >/dev/null
printf 'caption-language: ru\n' >"$work/ru.yaml"
"$lens" recaption "$work/set" --gate "$work/ru.yaml" --attempts 1 --json >"$work/out" 2>/dev/null
grep -q '"captions":0' "$work/out" && grep -q '"language":' "$work/out" || fail "English passes as Russian: $(cat "$work/out")"

# A run that was begun goes on with the same gate alone.
"$lens" recaption "$work/set" -o "$work/begun" --limit 5 >"$work/out" 2>"$work/err" || fail "limit: $(cat "$work/err")"
status=0
"$lens" recaption "$work/set" -o "$work/begun" --gate "$work/loop.yaml" >"$work/out" 2>"$work/err" || status=$?
[ "$status" = 1 ] && grep -q 'gate was' "$work/err" || fail "another gate: exit status $status, $(cat "$work/err")"
