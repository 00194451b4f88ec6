#!/usr/bin/env bash
# Compiles one .cu file: compile.sh OBJECT COMMAND...; what the command prints goes to OBJECT.txt, and is shown where
# it fails.
set -u
object=$1
shift
"$@" -o "$object" >"$object.txt" 2>&1 && exit 0
cat "$object.txt" >&2
rm -f "$object" "$object.txt"
exit 1
