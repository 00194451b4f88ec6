#!/usr/bin/env bash
# lens launch-check: by one and by three ranks; another configuration or another run.dir on one rank is found, by it and
# by lens train before its first step.
set -eu
lens=$1
# shellcheck source-path=SCRIPTDIR source=train.sh
. "$(dirname "$0")/train.sh"
make_set
check() { # STATUS COMMAND...
    local status=$1 got=0
    shift
    timeout 60 "$@" >check.out 2>check.err </dev/null || got=$?
    expect_status "$status" $got check "$*"
}
says() { # VERDICT WHAT [MESSAGE]
    grep -qE -- "^$1 +$2 .*${3:-}" check.out || fail "expected $*, got: $(cat check.out check.err)"
}
check 0 "$lens" launch-check
[ "$(grep -c '^ok ' check.out)" -ge 3 ] || fail "$(cat check.out)"
check 0 "$lens" launch-check tiny.yaml run.dir=run
says ok 'shared folder'
says '(ok|warn)' disk 'a checkpoint has'
says ok memory '1 rank of'
check 2 "$lens" launch-check tiny.yaml run.dri=run
have_mpirun || { echo "skipped: mpirun is not installed"; exit 77; }
check 0 mpirun --oversubscribe -np 3 "$lens" launch-check tiny.yaml run.dir=run train.batch=9
says ok versions 'on 3 ranks, 3 on the first host'
says ok configuration
says ok link 'a rank sends [0-9.]+ GB/s'
says ok memory '3 ranks of'
[ -z "$(ls -A run)" ] || fail "left in run.dir: $(ls -A run)"

# Two hosts whose files are not the same: two folders.
mkdir a b
cp tiny.yaml a
sed 's/warmup: 5/warmup: 6/' tiny.yaml >b/tiny.yaml
two() { # COMMAND KEY=VALUE...: rank 0 in a, rank 1 in b
    echo mpirun --oversubscribe -np 1 -wdir a "$lens" "$@" : -np 1 -wdir b "$lens" "$@"
}
# shellcheck disable=SC2046  # words
check 1 $(two launch-check tiny.yaml "run.dir=$work/run" "data.dataset=$work/set")
says FAIL configuration 'rank 1 .*"warmup: 6", rank 0.s has "warmup: 5"'
says ok 'shared folder'
grep -q '1 check failed' check.err || fail "$(cat check.err)"
# shellcheck disable=SC2046
check 1 $(two train tiny.yaml "run.dir=$work/run" "data.dataset=$work/set")
one_line_of_ranks 'configuration: rank 1 failed: .*"warmup: 6"' check
[ -z "$(ls -A run)" ] || fail "a refused run wrote into run.dir: $(ls -A run)"
cp a/tiny.yaml b/tiny.yaml
# shellcheck disable=SC2046
check 1 $(two launch-check tiny.yaml run.dir=run "data.dataset=$work/set")
says FAIL 'shared folder' 'does not see what rank 0 wrote'
# shellcheck disable=SC2046
check 1 $(two train tiny.yaml run.dir=run "data.dataset=$work/set")
one_line_of_ranks 'shared run.dir: rank 1 failed: .*does not see what rank 0 wrote' check
