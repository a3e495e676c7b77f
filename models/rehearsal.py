"""Draws what step 8 of reproduce.sh rehearses beside the new labels: python models/rehearsal.py LABELS CORPORA OUT

6,200 labels of the earlier rounds, a quarter of them of the rare moments, and 2,500 tweets.
"""

import gzip
import json
import random
import sys
from pathlib import Path

RARE = ("ltzmot", "fmot", "smot", "imot")

labels, corpora, out = map(Path, sys.argv[1:])
own = Path(__file__).parent.parent / "data/labels"
files = (labels / "train.jsonl", *(own / f"round-{number}.jsonl" for number in (1, 2, 3)))
lines = [line for file in files for line in file.read_text("utf-8").splitlines(keepends=True)]
rare = [line for line in lines if json.loads(line)["moment"] in RARE]
others = [line for line in lines if json.loads(line)["moment"] not in RARE]
draw = random.Random(7)  # noqa: S311
(out / "rehearsed.jsonl").write_text("".join(draw.sample(rare, 1600) + draw.sample(others, 4600)), "utf-8")

with gzip.open(corpora / "tweeteval_sentiment.jsonl.gz", "rt", encoding="utf-8") as stream:
    tweets = [line for line in stream if json.loads(line)["split"] == "train"]
random.Random(3).shuffle(tweets)  # noqa: S311
with gzip.open(out / "tweets.jsonl.gz", "wt", encoding="utf-8") as stream:
    stream.writelines(tweets[:2500])
