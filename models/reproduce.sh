#!/bin/sh
# Makes the released model again, from the project's root: sh models/reproduce.sh LABELS CORPORA OUT
# LABELS holds train.jsonl and dev.jsonl, CORPORA the public sets named in models/README.md.
# Three of the teachers are models released before, which the history of this repository has; the second is also where the
# training begins.
set -eu
labels=$1 corpora=$2 out=$3
for name in 9aaf2be:first b919994:second 6c7d4d8:taught; do
    mkdir -p "$out/${name#*:}"
    for file in model.onnx tokenizer.json config.json; do
        git show "${name%:*}:models/$file" >"$out/${name#*:}/$file"
    done
done
train() {
    listener train --labels "$labels/train.jsonl" --labels data/labels/round-1.jsonl --labels data/labels/round-2.jsonl \
        --corpora "$corpora" --sentiment "$corpora/tweeteval_sentiment.jsonl.gz" --exclude "$labels/dev.jsonl" "$@"
}
written="--labels data/labels/written-a.jsonl --labels data/labels/written-b.jsonl"
train --passes 4 --sentiment-passes 2 --rate 1.5e-4 --seed 11 --version teacher --out "$out/teacher"
# Twice each: there are few of them. The words of $written are several arguments.
train $written $written --passes 4 --sentiment-passes 2 --rate 1.5e-4 --seed 12 --version teacher-2 --out "$out/teacher-2"
train $written $written --passes 2 --sentiment-passes 1.3 --unlabelled-passes 2.5 --rate 8e-5 --seed 32 \
    --base "$out/second" --teacher "$out/teacher" --teacher "$out/teacher-2" --teacher "$out/first" \
    --teacher "$out/second" --unlabelled "$corpora/unlabelled_pool.jsonl.gz" \
    --version student --out "$out/student"
# The labels of the third round, beside the word of the teachers and of the student itself.
train --labels data/labels/round-3.jsonl $written $written --passes 2 --sentiment-passes 0.5 --rate 8e-5 --seed 51 \
    --base "$out/student" --teacher "$out/teacher" --teacher "$out/teacher-2" --teacher "$out/student" \
    --version third --out "$out/third"
# The labels of the fourth round, and some of the earlier ones rehearsed.
python "$(dirname "$0")/rehearsal.py" "$labels" "$corpora" "$out"
listener train --labels data/labels/round-4.jsonl --labels "$out/rehearsed.jsonl" $written --corpora "$corpora" \
    --sentiment "$out/tweets.jsonl.gz" --exclude "$labels/dev.jsonl" --passes 2 --sentiment-passes 1 --rate 5e-5 --seed 61 \
    --base "$out/third" --teacher "$out/third" --teacher "$out/taught" \
    --version "$(date +%Y.%m.%d)" --out "$out/model"
# What being a review tells, from the labels of all rounds.
python "$(dirname "$0")/reviews.py" "$labels" "$corpora" "$out/model"
listener evaluate "$labels/dev.jsonl" --model "$out/model"
