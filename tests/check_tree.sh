#!/usr/bin/env bash
# Names what breaks the shape of the tree, one FILE:LINE a line; exit status 1 where there is any.
#   tests/check_tree.sh [ROOT]
set -u
cd "${1:-$(dirname "${BASH_SOURCE[0]}")/..}" || exit 2

# The one direction (docs/architecture.md): a folder, and the folders it may include from.
declare -A sees=(
    [base]="base"
    [kernels]="base kernels"
    [model]="base kernels model"
    [data]="base data"
    [recaption]="base data recaption"
    [train]="base kernels model data train"
    [eval]="base kernels model data train eval"
    [launch]="base kernels model data recaption train eval launch"
    [tests]="base kernels model data recaption train eval launch tests"
)
lines_max=700
cmake_lines_max=250
forbidden='strcpy|strcat|sprintf|vsprintf|gets|atoi|atol|atof|strtok'

status=0
complain() {
    printf '%s\n' "$1"
    status=1
}

folders=()
for folder in base kernels model data recaption train eval launch tests; do
    [ -d "$folder" ] && folders+=("$folder")
done
if [ ${#folders[@]} = 0 ]; then
    echo "check_tree: $PWD: none of the project's folders is here" >&2
    exit 2
fi
mapfile -t sources < <(find "${folders[@]}" -type f \( -name '*.[ch]' -o -name '*.cu' -o -name '*.cuh' \) | LC_ALL=C sort)
mapfile -t scripts < <(find "${folders[@]}" -type f \( -name '*.sh' -o -name '*.py' \) | LC_ALL=C sort)

# Includes in quotes: of a folder that may be seen, by the path from the root.
while IFS=: read -r file line included; do
    folder=${file%%/*}
    target=${included%%/*}
    if [ "$target" = "$included" ]; then
        [ "$included" = commands.inc ] || complain "$file:$line: \"$included\": include by the path from the root"
    elif [[ " ${sees[$folder]} " != *" $target "* ]]; then
        complain "$file:$line: \"$included\": $folder may include from: ${sees[$folder]}"
    fi
done < <(grep -nHE '^[[:space:]]*#[[:space:]]*include[[:space:]]*"' "${sources[@]}" /dev/null |
    sed -E 's/^([^:]+):([0-9]+):[^"]*"([^"]*)".*/\1:\2:\3/')

# Calls that cannot be told how much room there is, or that cannot fail.
while IFS=: read -r file line text; do
    complain "$file:$line: forbidden call: $(grep -oE "\\b($forbidden)[[:space:]]*\\(" <<<"$text" | head -1 | tr -d ' (')"
done < <(grep -nHE "\\b($forbidden)[[:space:]]*\\(" "${sources[@]}" /dev/null)

# Lengths.
while read -r lines file; do
    [ "$file" = total ] || [ "$lines" -le $lines_max ] || complain "$file:$lines: longer than $lines_max lines"
done < <(wc -l "${sources[@]}" "${scripts[@]}" /dev/null)
if [ -f CMakeLists.txt ]; then
    lines=$(wc -l <CMakeLists.txt)
    [ "$lines" -le $cmake_lines_max ] || complain "CMakeLists.txt:$lines: longer than $cmake_lines_max lines"
fi

# One name, one file: a person who hears "bucket.c" finds it. run.sh is what a folder is for.
while read -r name; do
    [ "$name" != run.sh ] || continue
    for file in "${sources[@]}" "${scripts[@]}"; do
        [ "${file##*/}" = "$name" ] && complain "$file:1: there are several files named $name"
    done
done < <(printf '%s\n' "${sources[@]##*/}" "${scripts[@]##*/}" | LC_ALL=C sort | uniq -d)

exit $status
