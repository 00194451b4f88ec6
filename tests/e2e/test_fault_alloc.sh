#!/usr/bin/env bash
# Memory that runs out: the n-th allocation of lens itself fails, for every seventh n (LENS_ALLOC_STEP=1: for each), in
# small runs of its programs. Each run either ends with status 1 and one line that says so, or with the same result as an
# undisturbed one; never with a crash or with anything that does not verify.
#
# Only what lens itself asks for is made to fail. HDF5 1.10 does not survive a failing allocation of its own (it follows
# a null pointer of strdup, among others); libgomp and Open MPI end the process by themselves.
set -u
lens=$1
here=$(realpath "$(dirname "$0")")
. "$here/pictures.sh"
# shellcheck source-path=SCRIPTDIR source=../fault/fault.sh
. "$here/../fault/fault.sh"
no_memory=$(dirname "$lens")/alloc_fault.so
step=${LENS_ALLOC_STEP:-7}

mkdir in
write_jpeg in/a.jpg
write_webp in/b.webp
write_png in/c.png
echo '{"caption": "a gradient", "n": 1}' >in/c.json
"$lens" scenes -n 5 --seed 2 --shard-samples 3 -o set >out 2>err || fail 'lens scenes'

# without N COMMAND...: with the N-th allocation failing; 0: with none.
without() {
    local n=$1
    shift
    rm -rf made
    LENS_ALLOC_FAULT=nth=$n:in=lens LENS_ALLOC_LOG=$work/log LD_PRELOAD=$no_memory "$@" >out 2>err </dev/null
    status=$?
}
# A lock that nobody holds is no result: its removal is given up where there is no memory for its name.
result() {
    [ ! -d made ] || (cd made && find . -type f ! -name ingest.json ! -path ./.recaption/lock -exec sha256sum {} + | LC_ALL=C sort -k 2)
    [ ! -f made/ingest.json ] || sed 's/"seconds":[0-9.]*//' made/ingest.json
    sed 's/[0-9.]* \(s\|samples\/s\|captions\/s\)\b//g' out
}
sweep() {
    local n total
    without 0 "$@"
    [ $status = 0 ] || fail "$*: exit status $status with all the memory"
    total=$(cat log)
    result >wanted
    for ((n = 1; n <= total; n += step)); do
        : >log
        without "$n" "$@"
        case $status in
        0) result | cmp -s - wanted || fail "allocation $n of $*: other results, and exit status 0" ;;
        1)
            [ "$(grep -c '^lens ' err)" = 1 ] && grep -qE "memory|allocate|bytes for|[0-9] (jobs|threads)" err || fail "allocation $n of $*: no word of memory" ;;
        *) fail "allocation $n of $*: exit status $status" ;;
        esac
        find made -name '*.tmp*' 2>/dev/null | grep . >left && fail "allocation $n of $*: left behind: $(tr '\n' ' ' <left)"
        [ -z "$(find made/base -type f 2>/dev/null)" ] || "$lens" shards verify made >out 2>&1 || fail "allocation $n of $*: what was published does not verify"
    done
}

sweep "$lens" shards cat set 3
sweep "$lens" shards verify set
sweep "$lens" shards export set -o made
sweep "$lens" scenes -n 5 --shard-samples 3 --captions -o made
sweep "$lens" recaption set --threads 1 -o made
sweep "$lens" ingest in --threads 1 -o made

[ $failures = 0 ]
