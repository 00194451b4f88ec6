#!/usr/bin/env bash
# lens ingest while storage fails under it, before, in the middle and at the end: one line that names the file and the
# cause, exit status 1, nothing half-written under a final name, and the same shards as ever once the fault is gone.
set -u
lens=$1
here=$(realpath "$(dirname "$0")")
. "$here/pictures.sh"
# shellcheck source-path=SCRIPTDIR source=../fault/fault.sh
. "$here/../fault/fault.sh"

mkdir in
for i in $(seq 10 49); do
    write_jpeg "in/$i.jpg"
    echo "number $i" >"in/$i.txt"
done
# More than is read at once, packed too, and part of no sample.
mkdir in/30pad
head -c 2000000 "$lens" >in/30pad/.pad
tar cf src.tar --sort=name -C in .
gzip -k src.tar
ingest() {
    printf '%s\n' "$lens" ingest --threads 2 --shard-samples 15 "$@" -o set
}
run() {
    mapfile -t command < <(ingest "$@")
}

# same_as WANTED: what stands in set is that of an undisturbed run.
same_as() {
    [ "$(sums set)" = "$(cat "$1")" ] || fail "$2: other shards than of an undisturbed run"
}
# rerun NAME: after the fault the same command, in the same folder where it takes up what is there, gives the same shards.
rerun() {
    if ! "${command[@]}" >out 2>err </dev/null && grep -q 'already' err; then
        rm -rf set
        "${command[@]}" >out 2>err </dev/null || fail "$2: the rerun fails"
    fi
    same_as "$1" "$2"
}

for source in in src.tar src.tar.gz; do
    rm -rf set
    run "$source"
    "${command[@]}" >out 2>err || fail "undisturbed: $source"
    sums set >"wanted.$source"
done

# ---- where the shards are written ----
run in
while read -r rules message; do
    rm -rf set
    refused "$rules" "$message" "${command[@]}"
    whole set
    [ ! -e set/rejects.jsonl ] || fail "$rules: rejects.jsonl of a run that failed"
    rerun wanted.in "$rules"
done <<'TABLE'
open:EROFS:path=*/set/*                       set/.*: Read-only file system
open:EACCES:path=*/set/base/*                 set/.*: Permission denied
open:EMFILE:nth=2:path=*/set/base/*.tmp*      set/.*: Too many open files
write:ENOSPC:path=*/set/*.h5*                 set/.*: No space left on device
write:ENOSPC:after=3000:path=*/set/*.h5*      set/.*: No space left on device
write:ENOSPC:after=14000:path=*/set/*.h5*     set/.*: No space left on device
write:EDQUOT:after=25000:path=*/set/*.h5*     set/.*: Disk quota exceeded
write:EIO:nth=3:count=1:path=*/set/*.h5*      set/.*: Input/output error
write:ENOSPC:nth=9:path=*/set/*;write:short:path=*.h5*  set/.*: No space left on device
read:EIO:path=*/set/*.h5*                     set/.*: Input/output error
read:eof:after=5000:path=*/set/*.h5*          set/.*: cut short
fsync:EIO:path=*/set/base/*.h5*               set/.*: Input/output error
fsync:EIO:nth=2:path=*/set/base/*.h5*         set/.*: Input/output error
fsync:EIO:path=*/set/base                     set/base: .*Input/output error
rename:EIO:path=*/set/base/*.h5               set/.*: Input/output error
rename:EACCES:path=*/set/base/shard-00001.h5  set/.*: Permission denied
fsync:EIO:path=*/rejects.jsonl*               set/.*rejects.jsonl.*: Input/output error
rename:EROFS:path=*/set/rejects.jsonl         set/.*rejects.jsonl.*: Read-only file system
close:EIO:path=*/rejects.jsonl*               set/.*rejects.jsonl.*: Input/output error
TABLE

# ---- storage that is slow, not broken: nothing may change ----
for source in in src.tar src.tar.gz; do
    run "$source"
    for rules in 'read:short:path=*;write:short:path=*' 'read:eintr:path=*;write:eintr:path=*;fsync:eintr:path=*'; do
        rm -rf set
        under "$rules" "${command[@]}"
        [ $status = 0 ] && [ ! -s err ] || fail "$rules: $source: exit status $status"
        same_as "wanted.$source" "$rules: $source"
    done
done

# ---- where the sources are read: nothing is lost without a word, and the run goes on or ends with one line ----
# named PATH: the run failed over it in one line, or goes on and says so in rejects.jsonl.
named() {
    [ -s log ] || fail "$rules: did not strike"
    if [ $status = 0 ] || [ -e set/rejects.jsonl ]; then
        grep -q "\"reason\":\".*$1" set/rejects.jsonl || fail "$rules: no reject names $1"
    else
        [ $status = 1 ] && grep -q "^lens ingest: .*$1" err || fail "$rules: exit status $status, expected a line with $1"
    fi
    whole set
}
run in
for rules in open:EACCES open:ENOENT open:ESTALE read:EIO read:EIO:nth=2 read:eof:nth=2; do
    rm -rf set
    rules+=":path=*/in/20.jpg"
    under "$rules" "${command[@]}"
    named in/20.jpg
done
rules='read:EIO:path=*/in/20.txt'
rm -rf set
under "$rules" "${command[@]}"
named in/20.txt
for source in src.tar src.tar.gz; do
    run "$source"
    for rules in open:EACCES open:ESTALE read:EIO read:EIO:nth=2 read:eof:nth=2; do
        rm -rf set
        rules+=":path=*/$source"
        under "$rules" "${command[@]}"
        named "$source"
    done
done

# ---- what is no fault of a picture ends the run, and the same command goes on ----
while read -r source rules message; do
    rm -rf set
    run "$source"
    refused "$rules" "$message" "${command[@]}"
    whole set
    rerun "wanted.$source" "$rules"
done <<'TABLE'
in          open:EMFILE:path=*/in/20.jpg       in/20.jpg: Too many open files
in          open:ENFILE:path=*/in/20.txt       in/20.txt: Too many open files in system
in          open:ENOMEM:nth=9:path=*/in/*      in/.*: Cannot allocate memory
in          read:ENOMEM:path=*/in/20.jpg       in/20.jpg: Cannot allocate memory
src.tar     open:ESTALE:path=*/src.tar         src.tar: Stale file handle
src.tar     open:EMFILE:path=*/src.tar         src.tar: Too many open files
src.tar     read:EIO:count=1:path=*/src.tar    src.tar: cannot read: Input/output error
src.tar     read:EIO:nth=3:path=*/src.tar      src.tar: Input/output error after [1-9]
src.tar     read:ESTALE:nth=3:path=*/src.tar   src.tar: Stale file handle after [1-9]
src.tar.gz  read:EIO:nth=3:path=*/src.tar.gz   src.tar.gz: Input/output error after [1-9]
TABLE

[ $failures = 0 ]
