# shellcheck shell=bash
# What the tests of lens ingest share. Sourced with $lens set; makes $work, which goes when the test ends, moves into it,
# and makes input with all that a run drops: in/ (a folder), a.tar and b.tar (the same keys in both), a config.
lens=$(realpath "$lens")
here=$(realpath "$(dirname "$0")")
work=$(realpath "$(mktemp -d)")
trap 'rm -rf "$work"' EXIT
cd "$work" || exit 1
failures=0
export GOMP_SPINCOUNT=1000 # lens does not start itself anew
export OMPI_ALLOW_RUN_AS_ROOT=1 OMPI_ALLOW_RUN_AS_ROOT_CONFIRM=1
# The library that is preloaded comes before ASan's; Open MPI keeps memory until the process ends.
export ASAN_OPTIONS=verify_asan_link_order=0:detect_leaks=${DETECT_LEAKS:-1}

fail() {
    printf 'FAILED: %s\n' "$1"
    for file in out err; do [ -e $file ] && sed "s/^/  $file: /" $file; done
    failures=$((failures + 1))
}

make_input() {
    "$lens" scenes -n 40 --size 48 -o scenes >/dev/null || exit 1
    "$lens" shards export scenes -o scenes-tar >/dev/null || exit 1
    mkdir -p in/sub a b
    tar xf scenes-tar/shard-00000.tar -C a
    tar xf scenes-tar/shard-00000.tar -C in
    # b: the first ten keys of a again, and its next ten pictures under other keys.
    for key in $(cd a && printf '%s\n' *.webp | head -10); do cp "a/${key%.webp}".* b; done
    for key in $(cd a && printf '%s\n' *.webp | sed -n 11,20p); do cp "a/$key" "b/again-$key"; done
    tar xf "$here/../../data/samples/openclipart-300.tar" -C in/sub --wildcards '0000000[0-4]*'
    for key in in/*4.webp; do head -c 200 "$key" >"in/sub/cut-${key#in/}"; done
    echo 'GIF89a' >in/moving.gif
    tar cf a.tar --sort=name -C a .
    tar cf b.tar --sort=name -C b .
    cat >config.yaml <<'YAML'
unit-samples: 24
shard-samples: 25
filters:
  - corrupt
  - aspect: {max: 1.6}
  - blur: {min: 60}
  - near_duplicate: {radius: 2}
YAML
}

# result DIR: every file that must not depend on how the run went, with its hash; and the counts.
result() {
    (cd "$1" && find base index.h5 rejects.jsonl -type f -exec sha256sum {} + | LC_ALL=C sort -k 2)
    sed 's/"resumed_parts":[0-9]*,//; s/"seconds":[0-9.]*,//' "$1/ingest.json"
}

# whole DIR: complete, nothing left over.
whole() {
    [ ! -e "$1/.ingest" ] || fail "$1: its folder for work is left"
    find "$1" -name '*.tmp*' | grep . && fail "$1: temporary files are left"
    "$lens" shards verify "$1" >out 2>err || fail "$1: does not verify"
}
