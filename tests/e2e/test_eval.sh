#!/usr/bin/env bash
# lens eval compose and prompts with a model that has learned nothing: what they print and write, that the same call gives the
# same, and what they refuse. That verdicts are right is test_compose's.
set -eu
lens=$1
# shellcheck source-path=SCRIPTDIR source=train.sh
. "$(dirname "$0")/train.sh"
command -v jq >/dev/null || { echo "skipped: no jq"; exit 77; }

make_set
train 0 run data.buckets=16x16 train.steps=4 data.captions=truth-brief
ckpt=run/checkpoints/latest
small=(--threads 1 --steps 2 --guidance 3)
# refuse STATUS MESSAGE ARGUMENT...: lens eval fails with one line in all, which matches.
refuse() {
    local status=$1 message=$2 got=0
    shift 2
    "$lens" eval "$@" >refused.out 2>refused.err </dev/null || got=$?
    [ $got = "$status" ] || { cat refused.out refused.err; fail "eval $*: exit status $got"; }
    one_line "$message" refused
}

# ---- compose ----

# As launch/ablation.sh calls it, which takes n and right from it.
"$lens" eval compose $ckpt --n 2 --seed 1 --style both "${small[@]}" --json -o page >both.json
jq -e --arg c $ckpt '. as $all | .checkpoint == $c and .n == 2 and .seed == 1 and .steps == 2 and .guidance == 3 and
    .size_px == [16, 16] and .weights == "averaged" and (.detector.commit | length) > 0 and
    ([.short, .long] | all(.tasks | (keys_unsorted == ["single_object", "two_object", "counting", "colors", "position", "color_attr"]) and
        all(.n == 2 and .right + .unknown <= 2 and .low <= .score and .score <= .high))) and
    ([.short, .long] | all(.overall.n == 12 and .overall.right == ([.tasks[].right] | add)))' both.json >/dev/null ||
    fail "$(cat both.json)"
same='del(.draw_s, .judge_s)'
[ "$(jq -c "$same" page/scores.json)" = "$(jq -c "$same" both.json)" ] || fail 'scores.json is not what was printed'
[ "$(wc -l <page/pictures.jsonl)" = 24 ] || fail 'not a line a picture'
for form in short long; do
    jq -es --arg f $form --slurpfile all both.json 'map(select(.form == $f)) as $p | $all[0][$f].tasks | to_entries |
        all(.key as $t | .value.right == ($p | map(select(.task == $t and .verdict == "yes")) | length))' page/pictures.jsonl >/dev/null ||
        fail 'verdicts and scores differ'
done
"$python" - <<'PY' || fail 'the page'
import re, xml.dom.minidom
text = open("page/index.html", encoding="utf-8").read()
xml.dom.minidom.parseString(text.split("\n", 1)[1])
assert len(re.findall("<img ", text)) == 24 and not re.search(r'(src|href)="(?!data:|#)', text)
PY

# The same call, the same scores; one form alone is that of both; more prompts begin with the fewer.
"$lens" eval compose $ckpt --n 3 --seed 1 --style short "${small[@]}" --json -o more >more.json
jq -e '.long == null and .short.overall.n == 18' more.json >/dev/null || fail "$(cat more.json)"
jq -c 'select(.form == "short")' page/pictures.jsonl | cmp - <(head -12 more/pictures.jsonl | jq -c .) || fail 'more prompts are others'
"$lens" eval compose $ckpt --n 2 --seed 2 --style long "${small[@]}" -o seed >seed.txt
grep -q '^overall  *12 ' seed.txt || fail "$(cat seed.txt)"
jq -r .prompt seed/pictures.jsonl | sort >a
jq -r .prompt page/pictures.jsonl | sort | comm -12 a - | grep . && fail 'another seed has the same prompts'

train 0 flat train.steps=1
refuse 2 'draws pictures of 16x12 px, expected sides of at least 16 px' compose flat/checkpoints/latest --n 1 "${small[@]}"
refuse 1 'nowhere: no such checkpoint folder' compose nowhere
refuse 2 'expected one checkpoint folder' compose
refuse 2 'did you mean|"composed"' composed $ckpt

# ---- prompts ----

cat >geneval.jsonl <<'J'
{"tag": "single_object", "include": [{"class": "bench", "count": 1}], "prompt": "a photo of a bench"}
{"tag": "colors", "include": [{"class": "cup", "count": 1, "color": "red"}], "prompt": "a photo of a red cup"}
J
"$lens" eval prompts $ckpt --suite geneval.jsonl --layout geneval -o gen --n 3 --seed 5 "${small[@]}" >gen.out
[ "$(cat gen.out)" = 'gen: 2 prompts, 6 pictures' ] || fail "$(cat gen.out)"
[ "$(cd gen && find . -type f | sort | tr '\n' ' ')" = "./00000/metadata.jsonl ./00000/samples/0000.png ./00000/samples/0001.png \
./00000/samples/0002.png ./00001/metadata.jsonl ./00001/samples/0000.png ./00001/samples/0001.png ./00001/samples/0002.png " ] ||
    fail "$(find gen -type f)"
cat gen/0000?/metadata.jsonl | cmp - geneval.jsonl || fail 'metadata differ from the lines'
# What lens sample draws of the same prompts from the same noise.
printf '%s\n' 'a photo of a bench' 'a photo of a red cup' >list
"$lens" sample $ckpt --prompts list -n 3 --seed 5 "${small[@]}" --separate -o sampled >/dev/null
for i in 0 1 2 3 4 5; do
    cmp sampled/0000$i.png gen/0000$((i / 3))/samples/000$((i % 3)).png || fail "picture $i is not lens sample's"
done

mkdir dpg
printf 'A red circle\nabove a blue square.\n\n' >dpg/12.txt
printf 'a star' >dpg/COCOval_7.txt
"$lens" eval prompts $ckpt --suite dpg --layout dpg -o dpg-out --json "${small[@]}" | jq -e '.prompts == 2 and .pictures == 8' >/dev/null || fail dpg
[ "$(ls dpg-out)" = "$(printf '12.png\nCOCOval_7.png')" ] || fail "$(ls dpg-out)"
size() { "$python" -c 'import struct, sys; print(*struct.unpack(">II", open(sys.argv[1], "rb").read()[16:24]))' "$1"; }
[ "$(size dpg-out/12.png)" = '32 32' ] || fail "four pictures are $(size dpg-out/12.png) px"
refuse 2 '2 pictures of a prompt: expected 1 or 4' prompts $ckpt --suite dpg --layout dpg -o no --n 2

printf '\xef\xbb\xbfcategory,id,prompt_en,type\r\nPortrait,000,"A man, ""smiling"",\nin rain",T\r\nAnime_Stylization,7,a cat,T\r\n' >oneig.csv
"$lens" eval prompts $ckpt --suite oneig.csv --layout oneig -o one --name tiny --n 1 "${small[@]}" >/dev/null
[ "$(cd one && find . -type f | sort | tr '\n' ' ')" = './anime/tiny/007.webp ./human/tiny/000.webp ' ] || fail "$(find one -type f)"
cat >oneig.json <<'J'
[{"category": "Portrait", "id": "000", "prompt_cn": "A man, \"smiling\",\nin rain"}, {"category": "Anime_Stylization", "id": "007", "prompt_cn": "a cat"}]
J
"$lens" eval prompts $ckpt --suite oneig.json --layout oneig -o two --name tiny --n 1 "${small[@]}" >/dev/null
diff -r one two || fail 'CSV and JSON of the same prompts give other pictures'
refuse 2 '3 pictures of a prompt: expected a square' prompts $ckpt --suite oneig.csv --layout oneig -o no --n 3

# ---- damaged suites ----

bad() { # MESSAGE LAYOUT NAME TEXT
    printf %b "$4" >"$3"
    refuse 1 "$1" prompts $ckpt --suite "$3" --layout "$2" -o no "${small[@]}"
}
bad 'x.jsonl: line 2: ' geneval x.jsonl '{"tag": "a", "prompt": "b"}\n{"tag": \n'
bad 'x.jsonl: line 1: expected an object with "tag" and "prompt"' geneval x.jsonl '{"prompt": "b"}\n'
bad 'x.jsonl: line 1: expected a prompt' geneval x.jsonl '{"tag": "a", "prompt": ""}\n'
bad 'x.jsonl: no prompts' geneval x.jsonl '\n'
bad 'line 1: expected one column each' oneig x.csv 'category,prompt_en\n'
bad 'line 1: expected one column each' oneig x.csv 'category,id,prompt_en,prompt_cn\n'
bad 'line 2: no category that OneIG-Bench has' oneig x.csv 'category,id,prompt_en\nPortraits,1,a\n'
bad 'line 2: an id that' oneig x.csv 'category,id,prompt_en\nPortrait,../../up,a\n'
bad 'line 2: an id that' oneig x.csv 'category,id,prompt_en\nPortrait\n'
bad 'line 2: expected a prompt in UTF-8' oneig x.csv 'category,id,prompt_en\nPortrait,1,\xff\n'
bad 'line 2: a quote is not closed' oneig x.csv 'category,id,prompt_en\nPortrait,1,"a\n'
bad 'two prompts are to be human/lens/001.webp' oneig x.csv 'category,id,prompt_en\nPortrait,1,a\nPortrait,001,b\n'
bad 'x.json: expected an array' oneig x.json '{}'
bad 'x.json: prompt 0: both' oneig x.json '[{"category": "Portrait", "id": "1", "prompt_en": "a", "prompt_cn": "b"}]'
bad 'x.json: prompt 0: no category' oneig x.json '[7]'
refuse 2 'a model.s name' prompts $ckpt --suite oneig.csv --layout oneig --name a/b -o no --n 1
refuse 2 'expected --suite PATH, --layout' prompts $ckpt -o no
refuse 1 'missing' prompts $ckpt --suite missing --layout geneval -o no
[ ! -e no ] || fail 'a refused call leaves a folder'
echo ok
