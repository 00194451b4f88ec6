#!/usr/bin/env bash
# lens ingest that is killed before any of its files gets its name or is removed, and goes on: the same result
# as of a run that was let alone. Another run in its place is refused.
set -u
lens=$1
DETECT_LEAKS=0
# shellcheck source-path=SCRIPTDIR source=ingest.sh
. "$(dirname "$0")/ingest.sh"
cc=$(command -v cc || command -v gcc || command -v clang) || { echo 'skipped: no C compiler'; exit 77; }
"$cc" -D_GNU_SOURCE -shared -fPIC -o kill_at.so "$here/../fault/kill_at.c" || { echo 'skipped: cannot compile'; exit 77; }
make_input
run=("$lens" ingest in a.tar b.tar -o set --config config.yaml --threads 2)

"${run[@]}" >out 2>err || fail 'undisturbed'
result set >wanted
"${run[@]}" >out 2>err && fail 'a second run'
grep -q '^lens ingest: set: complete already: [0-9]* samples in [0-9]* shards' err || fail 'a second run'
# Killed between the last file and the removal of what is no longer needed.
mkdir set/.ingest
"${run[@]}" >out 2>err && fail 'a complete run with a leftover'
[ ! -e set/.ingest ] || fail 'a leftover of a complete run stays'

killed() {
    KILL_AT=$1 LD_PRELOAD=$work/kill_at.so "${run[@]}" >out 2>err
}
# Before its N-th change of a name is after the one before. Bash tells of killed jobs on its own stderr.
for at in $(seq 1 100); do
    rm -rf set
    { killed "$at"; } 2>/dev/null
    [ -e set/ingest.json ] && [ ! -e set/.ingest ] && break
    if [ -e set/ingest.json ]; then # all is there: what remains to do is to say so
        "${run[@]}" >out 2>err && fail "killed at name $at: a complete run"
    else
        "${run[@]}" >out 2>err || fail "killed at name $at: does not go on"
    fi
    result set >got
    cmp -s wanted got || fail "killed at name $at: another result: $(diff wanted got)"
done
[ "$at" -ge 20 ] && [ "$at" -lt 100 ] || fail "$at changes of names"
whole set

# Killed again and again: it gets on all the same, and nothing is done twice.
rm -rf set
for round in $(seq 1 60); do
    { killed 7; } 2>/dev/null
    [ -e set/ingest.json ] && break
done
[ "$round" -gt 2 ] && [ "$round" -lt 60 ] || fail "killed at every seventh name: $round rounds"
result set >got
cmp -s wanted got || fail 'killed again and again: another result'

# Another run in the place of an interrupted one.
rm -rf set
{ killed 5; } 2>/dev/null
refused() {
    "${run[@]}" "${@:2}" >out 2>err && fail "went on with ${*:2}"
    grep -qE "^lens ingest: set: an interrupted ingest of other options is here: $1" err || fail "went on with ${*:2}"
}
refused 'quality was 90.*, now 80' --quality 80
refused 'max_side_px was 0, now 40' --max-side 40
refused 'shard_samples was 25, now 26' --shard-samples 26
cp a.tar c.tar
refused 'input was ' c.tar
sed 's/min: 60/min: 61/' config.yaml >other.yaml
refused 'filters was ' --config other.yaml
touch -d '2001-01-01' b.tar
refused 'input was '
[ -e set/.ingest/options.json ] && [ ! -e set/ingest.json ] || fail 'a refused run changed something'
rm -rf set

# Of several ranks one is killed: all end, and the run goes on.
if command -v mpirun >/dev/null; then
    "${run[@]}" >out 2>err || fail 'undisturbed again'
    result set >wanted
    for rank in 0 1; do
        for at in 2 5; do
            rm -rf set
            KILL_AT=$at KILL_RANK=$rank timeout 120 mpirun --oversubscribe -np 2 -x LD_PRELOAD=$work/kill_at.so \
                "${run[@]}" >out 2>err && fail "rank $rank killed at name $at, and nobody noticed"
            # A rank that got little to do dies over the names that MPI itself takes away at its end: all is done then.
            [ -e set/ingest.json ] || timeout 120 mpirun --oversubscribe -np 2 "${run[@]}" >out 2>err ||
                fail "rank $rank killed: does not go on"
            result set >got
            cmp -s wanted got || fail "rank $rank killed at name $at: another result"
        done
    done
fi

[ $failures = 0 ]
