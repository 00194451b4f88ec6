#!/usr/bin/env bash
# launch/ablation.sh: two arms, killed amid the second's training and started again, leave the same JSON as without that but
# for times; lens eval ablation and lens report read it; wrong options and damaged runs are refused.
set -eu
lens=$1
# shellcheck source-path=SCRIPTDIR source=train.sh
. "$(dirname "$0")/train.sh"
command -v jq >/dev/null || { echo "skipped: no jq"; exit 77; }

# Scores are another test's: here they come of the weights alone.
cat >stand-in <<SH
#!/usr/bin/env bash
[ "\$1 \$2" = "eval compose" ] || exec "$lens" "\$@"
[ ! -e "$work/no-scores" ] || exit 1
[ "\$6 \$7" = "--seed 1" ] && [ "\$8 \$9 \${10}" = "--max-objects 2 \${after:---simple}" ] || exit 1
sum=\$(cat "\$3"/*/*.safetensors | cksum | cut -d' ' -f1)
tasks() {
    local task comma='' i=\$1
    printf '{"tasks": {'
    for task in single_object two_object counting colors position color_attr; do
        printf '%s"%s": {"n": %d, "right": %d}' "\$comma" \$task "\$2" \$(((sum / i) % (\$2 + 1)))
        comma=', ' i=\$((i * 7))
    done
    printf '}}'
}
printf '{"n": %d, "short": %s, "long": %s}\n' "\$5" "\$(tasks 1 "\$5")" "\$(tasks 3 "\$5")"
SH
chmod +x stand-in
small=(--scenes 60 --prompts 5 data.buckets=16x16 text.rows=300 text.dim=18 model.layers=1 model.heads=2 model.head_dim=10
    model.rope_frame=2 model.rope_row=4 model.rope_column=4 train.steps=32 train.batch=4 train.warmup=4 valid.samples=4
    sample.steps=1 run.threads=1)
ablation() { # NAME ARGUMENT...: in work NAME.work, out NAME; its words are in NAME.err
    local name=$1
    shift
    LENS=${use:-$work/stand-in} "$root/launch/ablation.sh" --out "$name" --work "$name.work" --seeds 1 "${small[@]}" "$@" \
        2>"$name.err" </dev/null || return $?
}
say() {
    sed 's/^/  err: /' "$1"
    fail "$2"
}

ablation whole --arms brief,detailed,brief-tokens || say whole.err "ablation"
[ "$(ls whole)" = "$(printf '%s\n' brief-1.json brief-1.png brief-tokens-1.json brief-tokens-1.png detailed-1.json detailed-1.png options)" ] ||
    fail "whole: $(ls whole)"
[ ! -e whole.work/brief-1/checkpoints ] || fail "checkpoints of a finished run are left"
for png in whole/*.png; do [ "$(wc -c <"$png")" -lt 100000 ] || fail "$png is large"; done

# The arms differ in what they should alone; the control has seen as many tokens as it should, to the nearest eight steps.
jq -en --slurpfile b whole/brief-1.json --slurpfile d whole/detailed-1.json --slurpfile t whole/brief-tokens-1.json '
    $b[0] as $b | $d[0] as $d | $t[0] as $t |
    $b.captions == "truth-brief" and $d.captions == "truth-dense" and $t.captions == "truth-brief" and
    ([$b, $d] | all(.steps == 32 and .images == 128 and .parameters == $b.parameters)) and
    $d.density.words > 3 * $b.density.words and $d.density.facts > 1.5 * $b.density.facts and
    $d.text_tok > $b.text_tok and $d.flop > $b.flop and
    $b.tokens == $b.text_tok + 16 * 128 and $t.steps % 8 == 0 and $t.steps > 32 and
    (($t.steps - 32 * $d.tokens / $b.tokens) | fabs) <= 4 and
    ($b.checkpoints | map(.step)) == [4, 8, 16, 32] and ($b.checkpoints | all(.valid_loss > 0 and .compose.n == 5)) and
    ($b.command | test("^lens train configs/ablation.yaml data.dataset=runs/ablation/set "))' >/dev/null ||
    fail "$(cat whole/brief-1.json)"

# The full vocabulary: captions differ by more.
after=--style ablation varied --varied --arms brief,detailed train.steps=8 || say varied.err "varied scenes"
jq -en --slurpfile b varied/brief-1.json --slurpfile d varied/detailed-1.json '
    $b[0] as $b | $d[0] as $d | $b.simple == false and $d.simple == false and
    $d.density.words > 5 * $b.density.words and $d.density.facts > 2 * $b.density.facts' >/dev/null ||
    fail "varied: $(cat varied/brief-1.json)"

# Killed with all that it started, when the second arm has a checkpoint and no result.
LENS=$work/stand-in setsid "$root/launch/ablation.sh" --out killed --work killed.work --seeds 1 "${small[@]}" \
    --arms brief,detailed,brief-tokens 2>killed.err </dev/null &
pid=$!
until [ -e killed.work/detailed-1/checkpoints/step-00000004 ]; do
    kill -0 $pid 2>/dev/null || say killed.err "ended early"
    sleep 0.01
done
kill -KILL -- -$pid
wait $pid 2>/dev/null || true
[ -e killed/brief-1.json ] && [ ! -e killed/detailed-1.json ] || fail "killed at another place: $(ls killed)"
before=$(cksum killed/brief-1.json)
ablation killed --arms brief,detailed,brief-tokens || say killed.err "not resumed"
grep -q '2 runs to do, 1 are in' killed.err || say killed.err "the finished run was not skipped"
[ "$before" = "$(cksum killed/brief-1.json)" ] || fail "a finished run was written again"
for run in brief-1 detailed-1 brief-tokens-1; do
    for name in whole killed; do
        jq 'del(.seconds, .checkpoints[].train_s, .checkpoints[].eval_s)' $name/$run.json >$name.$run
    done
    cmp whole.$run killed.$run || fail "$run: $(diff whole.$run killed.$run)"
    cmp whole/$run.png killed/$run.png || fail "$run: other samples"
done
# Stopped behind the training, amid the scores: no step is trained again.
touch "$work/no-scores"
ablation scored --arms detailed && say scored.err "went on without scores"
rm "$work/no-scores"
ablation scored --arms detailed || say scored.err "not resumed amid the scores"
jq 'del(.seconds, .checkpoints[].train_s, .checkpoints[].eval_s)' scored/detailed-1.json | cmp - whole.detailed-1 ||
    fail "stopped amid the scores: $(diff scored/detailed-1.json whole/detailed-1.json)"
# Done anew, it is scored anew.
echo '{"compose": {}, "eval_s": 0, "command": ""}' >scored.work/detailed-1/compose-32.json
rm scored/detailed-1.json
ablation scored --arms detailed || say scored.err "not done anew"
jq -e '.checkpoints[3].compose.n == 5' scored/detailed-1.json >/dev/null || fail "scores of an earlier run"
ablation killed --arms brief,detailed,brief-tokens || say killed.err "nothing to do"
grep -q '0 runs to do, 3 are in' killed.err || say killed.err "what is there was done again"

# ---- read ----
"$lens" eval ablation whole -o page.html >table || fail "lens eval ablation"
grep -q '^brief-tokens, long ' table || fail "$(cat table)"
"$lens" eval ablation whole --json | jq -e '(.arms | map(.arm)) == ["brief", "detailed", "brief-tokens"] and
    (.arms | all(.interval == "wilson" and (.short.overall | .low <= .value and .value <= .high and .low < .high))) and
    (.detailed_minus | map(.seeds)) == [1, 1]' >/dev/null || fail "$("$lens" eval ablation whole --json)"
"$lens" report --ablation whole -o report.html >/dev/null || fail "lens report"
cmp page.html report.html || fail "two pages of the same"
"$python" - page.html <<'PY' || fail "the page"
import sys, xml.etree.ElementTree as tree
root = tree.parse(sys.argv[1]).getroot()
assert len(list(root.iter("img"))) == 3 and all(e.get("src").startswith("data:image/png") for e in root.iter("img"))
# images and FLOP, words and facts (bits where caption-stats is there), each for two forms
assert len(list(root.iter("svg"))) in (8, 10), len(list(root.iter("svg")))
assert not [e for e in root.iter("p") if e.get("class") == "note"]
PY

# ---- refused ----
refuse() { # STATUS MESSAGE COMMAND...
    local status=$1 message=$2 got=0
    shift 2
    "$@" >refused.out 2>refused.err || got=$?
    cat ./*.err >all.err
    [ $got = "$status" ] && grep -qE -- "$message" all.err || say all.err "$*: exit status $got, expected $status and \"$message\""
    rm all.err
}
refuse 2 'there is no arm "short"' ablation other --arms short
refuse 2 'train.steps=33: expected a multiple of 8' ablation other train.steps=33
refuse 2 'seeds 1,2,1: one is there twice' ablation other --seeds 1,2,1
refuse 2 'seeds: expected numbers, got "01"' ablation other --seeds 01
refuse 1 'whole.work was begun with other options' ablation whole --arms mixed --prompts 6
refuse 1 'whole was begun with other options' "$root/launch/ablation.sh" --out whole --work another.work "${small[@]}" --prompts 6
refuse 1 'brief-tokens, seed 1: needs .*other/brief-1.json' ablation other --arms brief-tokens
mkdir damaged
refuse 1 'damaged: no run of an ablation' "$lens" eval ablation damaged
jq '.checkpoints[1].compose.long.tasks.counting.right = 6' whole/brief-1.json >damaged/a.json
refuse 1 'a.json: "right": expected a number from 0 to 5' "$lens" eval ablation damaged
jq 'del(.checkpoints[0].compose.short.tasks.colors)' whole/brief-1.json >damaged/a.json
refuse 1 'a.json: no score of colors, prompts in short form' "$lens" eval ablation damaged
jq '.samples = "../../secret.png"' whole/brief-1.json >damaged/a.json
refuse 1 'a.json: samples in another folder' "$lens" eval ablation damaged
jq '.parameters += 1' whole/brief-1.json >damaged/a.json
cp whole/detailed-1.json damaged/b.json
refuse 1 'damaged: runs of different experiments: brief, seed 1, has 60 scenes' "$lens" eval ablation damaged
cp whole/brief-1.json damaged/a.json
cp whole/brief-1.json damaged/b.json
refuse 1 'arm brief, seed 1 is there twice' "$lens" eval ablation damaged
head -c 1000 whole/brief-1.json >damaged/b.json
refuse 1 'b.json: line [0-9]+:' "$lens" eval ablation damaged

# The score itself, where it is there: one arm is what lens eval ablation reads.
if "$lens" eval --help | grep -q ' compose '; then
    use=$lens ablation real --arms brief --prompts 1 || say real.err "with lens eval compose"
    "$lens" eval ablation real >table || fail "scores of lens eval compose"
fi
