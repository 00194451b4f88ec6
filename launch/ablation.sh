#!/usr/bin/env bash
# The caption ablation in small: equal models on equal pictures, which differ in their captions alone, each scored by
# `lens eval compose` as it trains. `lens eval ablation DIR` makes tables and figures of the result.
#
#   launch/ablation.sh --quick     # about ten minutes on two cores
#   launch/ablation.sh             # all of it, in as many sittings as it takes
#
# --arms A,...    brief detailed mixed describe alt wrong10 wrong25 wrong50 brief-tokens (default: all)
# --seeds N,...   default 1,2,3
# --quick         arms brief, detailed, mixed; seed 1; fewer scenes, steps and prompts
# --out DIR       where OUT/ARM-SEED.json and .png go, one pair a run; default docs/ablation, of --quick runs/quick
# --work DIR      where sets and checkpoints are while it works; default runs/ablation, of --quick runs/quick-work
# --scenes N      pictures trained on; default 60000
# --max-objects N shapes in a picture, at most; default 2: more is too much for runs of minutes
# --varied        scenes with textures, patterned backgrounds and free sizes and places; default: lens scenes --simple
# --prompts N     prompts of a task and form at each evaluation; default 50
# --keep          leave the checkpoints of finished runs
# KEY=VALUE       of configs/ablation.yaml, for all arms
#
# A run whose JSON is there is skipped; one that was interrupted goes on. Runs of one seed share initial weights, order of
# pictures, noise and steps. brief-tokens is brief with more steps: as many as give it the image and text tokens that
# detailed of that seed has seen. A work folder belongs to one set of options: another needs another folder.
set -euo pipefail

root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
lens=${LENS:-$root/build/release/lens}
export LC_ALL=C

usage() {
    echo "ablation.sh: $*" >&2
    echo "usage: launch/ablation.sh [--arms A,...] [--seeds N,...] [--quick] [--out DIR] [--work DIR] [--scenes N] [--max-objects N] [--varied] [--prompts N] [--keep] [KEY=VALUE]..." >&2
    exit 2
}
fail() {
    echo "ablation.sh: $*" >&2
    exit 1
}
say() {
    echo "ablation.sh: $*" >&2
}

# ---- options ----

arms='' seeds='' quick=no out='' work='' scenes='' prompts='' objects='' simple=yes keep=no config=()
while [ $# -gt 0 ]; do
    case $1 in
    --arms | --seeds | --out | --work | --scenes | --max-objects | --prompts)
        [ $# -ge 2 ] || usage "$1: expected a value after it"
        [ -n "$2" ] || usage "$1: the value is empty"
        case $1 in
        --scenes | --prompts) [[ $2 =~ ^[1-9][0-9]{0,7}$ ]] || usage "$1: expected a number, got \"$2\"" ;;
        --max-objects) [[ $2 =~ ^[2-4]$ ]] || usage "$1: expected 2 to 4, got \"$2\"" ;;
        esac
        name=${1#--max-} && printf -v "${name#--}" %s "$2"
        shift 2
        ;;
    --quick) quick=yes && shift ;;
    --varied) simple=no && shift ;;
    --keep) keep=yes && shift ;;
    *=*) config+=("$1") && shift ;;
    *) usage "unknown option \"$1\"" ;;
    esac
done
if [ "$quick" = yes ]; then
    arms=${arms:-brief,detailed,mixed} seeds=${seeds:-1} scenes=${scenes:-10000} prompts=${prompts:-10}
    out=${out:-$root/runs/quick} work=${work:-$root/runs/quick-work}
    config=(train.steps=800 valid.samples=32 "${config[@]}")
fi
out=${out:-$root/docs/ablation} work=${work:-$root/runs/ablation}
seeds=${seeds:-1,2,3} scenes=${scenes:-60000} prompts=${prompts:-50} objects=${objects:-2}
kind_of_scenes=(--max-objects "$objects")
[ $simple = no ] || kind_of_scenes+=(--simple)
known=(brief detailed mixed describe alt wrong10 wrong25 wrong50 brief-tokens)
arms=${arms:-$(IFS=, && echo "${known[*]}")}
IFS=, read -ra arm_list <<<"$arms"
IFS=, read -ra seed_list <<<"$seeds"
for arm in "${arm_list[@]}"; do [[ " ${known[*]} " == *" $arm "* ]] || usage "--arms: there is no arm \"$arm\""; done
for seed in "${seed_list[@]}"; do [[ $seed =~ ^(0|[1-9][0-9]{0,8})$ ]] || usage "--seeds: expected numbers, got \"$seed\""; done
[ -z "$(printf '%s\n' "${seed_list[@]}" | sort | uniq -d)" ] || usage "--seeds $seeds: one is there twice"
[ -x "$lens" ] || usage "$lens: no such program (cmake --preset release && cmake --build --preset release, or set LENS)"
command -v jq >/dev/null || fail "jq is needed"

captions_of() { # ARM: as data.captions
    case $1 in
    brief | brief-tokens) echo truth-brief ;;
    detailed) echo truth-dense ;;
    mixed) echo truth-brief=0.5,truth-dense=0.5 ;;
    describe) echo dense ;;
    alt) echo alt ;;
    wrong*) echo "truth-dense-$1" ;;
    esac
}

# Two at once would write over one another.
mkdir -p "$work" "$out"
work=$(realpath "$work") out=$(realpath "$out")
exec 9>"$work/lock"
flock -n 9 || fail "$work: another ablation works there"

# The configuration of all arms: "get KEY" is what `lens` makes of it.
config=("$root/configs/ablation.yaml" data.dataset="$work/set" valid.dataset="$work/valid" "${config[@]}")
get() {
    "$lens" plan "${config[@]}" run.dir="$work" --get "$1"
}
all_steps=$(get train.steps) batch=$(get train.batch) size=$(get data.buckets) patch=$(get model.patch)
[[ $size =~ ^[0-9]+x[0-9]+$ && ${size%x*} = "${size#*x}" ]] || usage "data.buckets=$size: expected one square size"
[[ $batch =~ ^[0-9]+$ ]] || usage "train.batch=$batch: expected one number"
[ $((all_steps % 8)) = 0 ] || usage "train.steps=$all_steps: expected a multiple of 8, for evaluations at 1/8, 1/4, 1/2 and all"
size=${size%x*}

# Both folders remember what their sets and runs are made with.
options=$(printf '%s\n' "scenes $scenes" "objects $objects" "simple $simple" "prompts $prompts" "recipe $(cksum <"$root/configs/ablation.yaml")" "${config[@]:3}")
remember() { # DIR OPTION
    if [ -e "$1/options" ]; then
        [ "$options" = "$(cat "$1/options")" ] || fail "$1 was begun with other options: $(paste -sd' ' "$1/options"); name another $2"
    else
        echo "$options" >"$1/options.tmp" && mv "$1/options.tmp" "$1/options"
    fi
}
remember "$work" --work
remember "$out" --out

# ---- the sets ----

make_set() { # NAME N SEED: pictures with all captions; NAME.json says what is in them
    [ ! -e "$work/$1.json" ] || return 0
    say "scenes: $2, seed $3"
    rm -rf "${work:?}/$1"
    "$lens" scenes -n "$2" --seed "$3" --size "$size" "${kind_of_scenes[@]}" --captions --wrong 0.1,0.25,0.5 -o "$work/$1" --json >"$work/$1.json.tmp"
    "$lens" recaption "$work/$1" --captioner describe >/dev/null
    mv "$work/$1.json.tmp" "$work/$1.json"
}

density() { # ARM: {words, facts, wrong, bits} of its captions; null: not known
    local kinds kind parts=''
    kinds=$(captions_of "$1" | sed 's/=[0-9.]*//g; s/,/ /g')
    for kind in $kinds; do
        parts+=$(jq -c --arg k "$kind" --slurpfile s "$work/stats.json" '.captions[$k] as $c | ($s[0][$k] // {}) as $b |
            {words: ($c.words // $b.words_mean), facts: $c.facts, wrong: $c.wrong, bits: $b.bits}' "$work/set.json")
    done
    # Of a mix: the mean over its kinds.
    jq -cs 'def mean(f): if any(.[]; f == null) then null else (map(f) | add / length) end;
        {words: mean(.words), facts: mean(.facts), wrong: mean(.wrong), bits: mean(.bits)}' <<<"$parts"
}

make_stats() {
    [ ! -e "$work/stats.json" ] || return 0
    if "$lens" help | grep -q '^  caption-stats '; then
        "$lens" caption-stats "$work/set" --json >"$work/stats.json.tmp"
    else
        say "this lens has no caption-stats: bits a caption are left out"
        echo '{}' >"$work/stats.json.tmp"
    fi
    mv "$work/stats.json.tmp" "$work/stats.json"
}

# ---- one run ----

# A command as it is typed in the source tree with the default work folder.
typed() {
    local text="lens $*"
    text=${text//"$work"/runs/ablation}
    echo "${text//"$root/"/}"
}

# Sums over the steps 1 to $1 of a run.
sums() { # STEP METRICS
    jq -cn --argjson last "$1" --argjson image_tok $(((size / patch) * (size / patch))) '
        reduce (inputs | select(.step <= $last)) as $s ({flop: 0, text_tok: 0, images: 0, train_s: 0};
            .flop += $s.model_flop | .text_tok += $s.text_tok | .images = $s.images | .train_s += $s.step_s) |
        .tokens = .text_tok + .images * $image_tok' "$2"
}

# All checkpoints are kept, also those of being stopped: four are evaluated after the end.
train() { # ARM SEED STEPS DIR
    local words=("${config[@]}" run.dir="$4" run.seed="$2" data.captions="$(captions_of "$1")" train.steps="$3"
        train.checkpoint_every=$(($3 / 8)) train.keep=1000000 valid.every=$(($3 / 8)))
    command_train=$(typed train "${words[@]}")
    [ ! -e "$4/checkpoints/$(printf step-%08d "$3")" ] || return 0
    [ -e "$4/checkpoints" ] || rm -f "$4"/compose-*.json # of an earlier run
    rm -f "$4/requeue"
    # In the background, so that whoever stops this script also stops what it waits for; a checkpoint is written then.
    "$lens" train "${words[@]}" --resume </dev/null >"$4.log" 2>&1 &
    child=$!
    wait $child || { tail -3 "$4.log" >&2 && fail "$1, seed $2: training failed; all it said is in $4.log"; }
    child=''
    [ ! -e "$4/requeue" ] || fail "$1, seed $2: training was told to stop; start this again to go on"
}

evaluate() { # CHECKPOINT OUT
    [ ! -e "$2" ] || return 0
    local words=(eval compose "$1" --n "$prompts" --seed 1 "${kind_of_scenes[@]}" --style both --guidance "$(get sample.guidance)"
        --steps "$(get sample.steps)" --json)
    local begin=$SECONDS
    "$lens" "${words[@]}" >"$2.tmp"
    jq -c --argjson s $((SECONDS - begin)) --arg command "$(typed "${words[@]}")" '{compose: ., eval_s: $s, command: $command}' "$2.tmp" >"$2.tmp2"
    rm "$2.tmp"
    mv "$2.tmp2" "$2"
}

# What lens said of a step: sums, held-out loss, scores.
checkpoint_json() { # STEP DIR
    jq -cn --argjson step "$1" --argjson sums "$(sums "$1" "$2/metrics.jsonl")" --slurpfile e "$2/compose-$1.json" \
        --argjson valid "$(jq -c --argjson s "$1" 'select(.step == $s) | .valid_loss_ema' "$2/metrics.jsonl")" \
        '{step: $step, valid_loss: $valid} + $sums + $e[0]'
}

record() { # ARM SEED STEPS DIR
    local name=$1-$2 step points=''
    for step in $(($3 / 8)) $(($3 / 4)) $(($3 / 2)) "$3"; do
        evaluate "$4/checkpoints/$(printf step-%08d "$step")" "$4/compose-$step.json"
        points+=$(checkpoint_json "$step" "$4")
    done
    "$lens" sample "$4/checkpoints/latest" --prompts "$root/configs/ablation-prompts.txt" --columns 8 --seed 1 \
        --guidance "$(get sample.guidance)" -o "$out/$name.png" >/dev/null
    jq -s --arg arm "$1" --argjson seed "$2" --arg captions "$(captions_of "$1")" --arg train "$command_train" \
        --arg lens "$("$lens" --version | head -1)" --arg commit "$("$lens" --version | sed -n 's/^commit: *//p')" \
        --argjson steps "$3" --argjson batch "$batch" --argjson scenes "$scenes" --argjson objects "$objects" --argjson simple "$([ $simple = no ] && echo false || echo true)" --argjson prompts "$prompts" \
        --argjson cores "$(nproc)" --argjson density "$(density "$1")" --arg samples "$name.png" \
        --argjson parameters "$(jq .model.parameters "$4/run.json")" '
        {arm: $arm, seed: $seed, captions: $captions, density: $density, scenes: $scenes, max_objects: $objects, simple: $simple, prompts: $prompts,
         steps: $steps, batch: $batch, images: .[-1].images, flop: .[-1].flop, text_tok: .[-1].text_tok, tokens: .[-1].tokens,
         valid_loss: .[-1].valid_loss, parameters: $parameters, lens: $lens, commit: $commit, cores: $cores,
         seconds: (.[-1].train_s + (map(.eval_s) | add)), command: $train, eval_command: .[-1].command, samples: $samples,
         checkpoints: map(del(.command))}' <<<"$points" >"$out/$name.json.tmp"
    mv "$out/$name.json.tmp" "$out/$name.json"
}

steps_of() { # ARM SEED: a multiple of 8
    [ "$1" = brief-tokens ] || { echo "$all_steps" && return; }
    local arm
    for arm in brief detailed; do
        [ -e "$out/$arm-$2.json" ] || fail "brief-tokens, seed $2: needs $out/$arm-$2.json, whose tokens it is to match"
    done
    jq -n --slurpfile b "$out/brief-$2.json" --slurpfile d "$out/detailed-$2.json" \
        '$b[0] as $b | $d[0] as $d | ($b.steps * $d.tokens / $b.tokens / 8 | round) * 8'
}

# ---- the plan: the first three arms of all seeds, then the others ----

child=''
trap '[ -z "$child" ] || { kill -TERM "$child" 2>/dev/null || true; wait "$child" || true; }' EXIT
trap 'exit 143' TERM
trap 'exit 130' INT

plan=() done_runs=0
for first in yes no; do
    for seed in "${seed_list[@]}"; do
        for arm in "${arm_list[@]}"; do
            case $arm in brief | detailed | mixed) is_first=yes ;; *) is_first=no ;; esac
            [ $is_first = $first ] || continue
            if [ -e "$out/$arm-$seed.json" ]; then done_runs=$((done_runs + 1)); else plan+=("$arm $seed"); fi
        done
    done
done
say "${#plan[@]} runs to do, $done_runs are in $out"
[ ${#plan[@]} -gt 0 ] || exit 0
make_set set "$scenes" 1
make_set valid 256 900000
make_stats

expected() { # RUNS: how long they will take, by those that are finished
    local mean
    mean=$(find "$out" -name '*-[0-9]*.json' -exec jq .seconds {} + | awk '{ s += $1 } END { if (NR) printf "%d", s / NR }')
    [ -z "$mean" ] || echo ", about $((mean * $1 / 60)) min left"
}

for ((i = 0; i < ${#plan[@]}; i++)); do
    read -r arm seed <<<"${plan[i]}"
    dir=$work/$arm-$seed
    steps=$(steps_of "$arm" "$seed")
    say "[$((i + 1))/${#plan[@]}] $arm, seed $seed: $steps steps$(expected $((${#plan[@]} - i)))"
    mkdir -p "$dir"
    train "$arm" "$seed" "$steps" "$dir"
    record "$arm" "$seed" "$steps" "$dir"
    [ "$keep" = yes ] || rm -rf "${dir:?}/checkpoints" "$dir.log"
done
say "done: lens eval ablation $out -o ablation.html"
