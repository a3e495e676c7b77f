#!/bin/sh
# Makes the released model again, from the project's root: sh models/reproduce.sh LABELS CORPORA OUT
# LABELS holds train.jsonl and dev.jsonl, CORPORA the public sets named in models/README.md.
# The first teacher is the model released before, which the history of this repository has.
set -eu
labels=$1 corpora=$2 out=$3
mkdir -p "$out/before"
for file in model.onnx tokenizer.json config.json; do
    git show "9aaf2be:models/$file" >"$out/before/$file"
done
train() {
    listener train --labels "$labels/train.jsonl" --labels data/labels/round-1.jsonl --labels data/labels/round-2.jsonl \
        --corpora "$corpora" --sentiment "$corpora/tweeteval_sentiment.jsonl.gz" --exclude "$labels/dev.jsonl" "$@"
}
train --passes 4 --sentiment-passes 2 --rate 1.5e-4 --seed 11 --version teacher --out "$out/teacher"
train --passes 2 --sentiment-passes 1.3 --unlabelled-passes 2.5 --rate 1e-4 --seed 31 --version student \
    --base "$out/teacher" --teacher "$out/teacher" --teacher "$out/before" \
    --unlabelled "$corpora/unlabelled_pool.jsonl.gz" --out "$out/student"
train --labels data/labels/written-a.jsonl --labels data/labels/written-a.jsonl --labels data/labels/written-a.jsonl \
    --labels data/labels/written-b.jsonl --labels data/labels/written-b.jsonl --labels data/labels/written-b.jsonl \
    --passes 1 --sentiment-passes 0.25 --rate 4e-5 --keep 0.3 --seed 41 --base "$out/student" \
    --version "$(date +%Y.%m.%d)" --out "$out/model"
listener evaluate "$labels/dev.jsonl" --model "$out/model"
