#!/bin/sh
# `lens eval detector`: same options, same counts; JSON; damage; refused options.
set -eu
lens=$1
dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT

"$lens" eval detector --n 12 --size 32 --seed 5 >"$dir/text"
grep -q '^counting ' "$dir/text"
for i in 1 2; do
    "$lens" eval detector --n 12 --size 32 --seed 5 --blur 0.5 --noise 10 --json >"$dir/$i.json"
done
python3 - "$dir/1.json" "$dir/2.json" <<'END'
import json, sys
one, two = (json.load(open(path)) for path in sys.argv[1:])
assert len(one["tasks"]) == 6, one["tasks"]
for task in one["tasks"].values():
    assert task["n"] == 4 and task["right"] + task["unknown"] + task["wrong"] == 4, task
del one["seconds"], two["seconds"]
assert one == two
END

if "$lens" eval detector --size 8 >/dev/null 2>"$dir/error"; then
    echo "8 px were taken" >&2
    exit 1
fi
grep -q 8 "$dir/error"
