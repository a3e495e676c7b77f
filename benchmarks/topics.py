"""Topics by example: precision and recall of each of many intents, found by their first 1, 3 and 10 examples.

    python benchmarks/topics.py POSTS.jsonl [--model FOLDER]

POSTS: texts with a "label" each, such as the 77 intents of banking77, also gzip. 3,000 posts drawn by lot are what is
usual and where the examples are taken from, up to 3,000 others are looked through. The peer is the plain cosine of the
features to the mean of the examples, at the threshold with which it finds as many posts.
"""

from __future__ import annotations

import argparse
import random
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from listener.engine.features import Encoder
from listener.engine.topics import THRESHOLD, Tagger
from listener.text import model_input
from listener.training.dataset import rows

HALF = 3000


def found(tagger: Tagger, texts: Sequence[str], names: Sequence[str]) -> np.ndarray:
    """(posts, topics): whether each post was found to speak of each topic."""
    tags = tagger.tags(texts)
    return np.array([[name in each for name in names] for each in tags])


def plain(encoder: Encoder, texts: Sequence[str], examples: Sequence[Sequence[str]], number: int) -> np.ndarray:
    """The same by plain cosine, for the `number` likeliest pairs."""
    features = encoder.features(texts)
    features /= np.linalg.norm(features, axis=1, keepdims=True)
    middles = np.array([encoder.features(some).mean(axis=0) for some in examples])
    scores = features @ (middles / np.linalg.norm(middles, axis=1, keepdims=True)).T
    return scores >= np.sort(scores, axis=None)[-max(1, number)]


def figures(said: np.ndarray, truth: np.ndarray) -> str:
    """Mean precision over the topics that were found at all, and mean recall."""
    right = (said & truth).sum(axis=0)
    named = said.sum(axis=0)
    precision = (right / np.maximum(named, 1))[named > 0].mean()
    return f"{precision:.2f} | {(right / truth.sum(axis=0)).mean():.2f}"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("posts", type=Path)
    parser.add_argument("--model", type=Path, default=Path(__file__).parent.parent / "models")
    given = parser.parse_args()
    posts = [(model_input("", row["text"]), row["label"]) for row in rows(given.posts)]
    random.Random(0).shuffle(posts)
    usual, others = posts[:HALF], posts[HALF : 2 * HALF]
    encoder = Encoder(given.model, threads=1)
    general = encoder.features([text for text, _ in usual])
    there = {label: [text for text, of in usual if of == label][:10] for label in sorted({of for _, of in others})}
    names = [label for label, texts in there.items() if len(texts) == 10]
    texts = [text for text, _ in others]
    truth = np.array([[of == name for name in names] for _, of in others])
    print("| examples | topics | posts | precision | recall | precision, plain cosine | recall |")
    print("|--:|--:|--:|--:|--:|--:|--:|")
    for number in (1, 3, 10):
        topics = {name: (there[name][:number], THRESHOLD) for name in names}
        said = found(Tagger("", encoder, general, topics), texts, names)
        peer = plain(encoder, texts, [there[name][:number] for name in names], int(said.sum()))
        shown = f"{figures(said, truth)} | {figures(peer, truth)}"
        print(f"| {number} | {len(names)} | {len(texts)} | {shown} |", flush=True)


if __name__ == "__main__":
    main()
