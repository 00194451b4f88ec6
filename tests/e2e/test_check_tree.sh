#!/usr/bin/env bash
# tests/check_tree.sh finds each kind of fault, where it is, and nothing in a tree without faults.
set -eu
check=$PWD/tests/check_tree.sh
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work"
mkdir base data model

printf '#include "data/a.h"\n#include "base/b.h"\n#include <stdio.h>\nint x = snprintf(0), y = strtok_r();\n' >data/a.c
touch data/a.h base/b.h
if ! "$check" "$work" >out; then
    echo "a tree without faults was refused:" && cat out
    exit 1
fi

expect() { # FILE TEXT COMPLAINT
    cp -r data kept
    printf '%b' "$2" >"$1"
    if "$check" "$work" >out; then
        echo "not found: $3"
        exit 1
    fi
    if [ "$(cat out)" != "$3" ]; then
        printf 'expected: %s\ngot:      %s\n' "$3" "$(cat out)"
        exit 1
    fi
    rm -rf "$1" data
    mv kept data
}
expect base/c.c '\n#include "data/a.h"\n' 'base/c.c:2: "data/a.h": base may include from: base'
expect model/c.c '  # include "data/a.h"\n' 'model/c.c:1: "data/a.h": model may include from: base kernels model'
expect base/c.c '#include "b.h"\n' 'base/c.c:1: "b.h": include by the path from the root'
expect base/c.c 'int a;\nint n = atoi (s);\n' 'base/c.c:2: forbidden call: atoi'
expect base/c.c '    strcpy(a, b);\n' 'base/c.c:1: forbidden call: strcpy'
expect base/c.c "$(printf '\\n%.0s' {1..701})" 'base/c.c:701: longer than 700 lines'
expect base/a.c 'int x;\n' 'base/a.c:1: there are several files named a.c
data/a.c:1: there are several files named a.c'
