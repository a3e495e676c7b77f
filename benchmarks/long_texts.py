"""How to judge a review beyond the token limit: its head, head and tail, windows, or a wider limit?

python benchmarks/long_texts.py CORPORA

CORPORA is the folder of public corpora the model card names. Only texts longer than 192 tokens are used, from sets
whose authors gave stars or a thumb. A way is better when the model's sentiment orders the reviews as their authors'
ratings do (area under the ROC curve, liked against disliked), and when it sees that a review tells of an experience
(share of tmot).
"""

from __future__ import annotations

import argparse
import gzip
import json
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
from sklearn.metrics import roc_auc_score

from listener.engine import head_and_tail
from listener.engine.calibration import probabilities
from listener.engine.labels import MOMENTS
from listener.engine.onnx import OnnxClassifier
from listener.resources import model_folder
from listener.text import model_input

SETS = ("tripadvisor_tokyo_hotels", "trustpilot_pet_insurance", "steam_reviews", "datafiniti_hotel")
LIMIT = 192
Ids = list[int]


def windows(ids: Ids, size: int = LIMIT) -> list[Ids]:
    """Stretches of `size` tokens side by side, each between the text's own first and last token."""
    inner = ids[1:-1]
    return [[ids[0], *inner[at : at + size - 2], ids[-1]] for at in range(0, len(inner), size - 2)]


WAYS: dict[str, Callable[[Ids], list[Ids]]] = {
    "head, 192": lambda ids: [[*ids[: LIMIT - 1], ids[-1]]],
    "head and tail, 192": lambda ids: [head_and_tail(ids, LIMIT)],
    "head and tail, 256": lambda ids: [head_and_tail(ids, 256)],
    "head and tail, 384": lambda ids: [head_and_tail(ids, 384)],
    "head and tail, 512": lambda ids: [head_and_tail(ids, 512)],
    "windows of 192, mean": windows,
    "windows of 96, mean": lambda ids: windows(ids, 96),
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("corpora", type=Path)
    parser.add_argument("--at-most", type=int, default=500, help="texts of a set")
    given = parser.parse_args()
    classifier = OnnxClassifier(model_folder())
    tokens, liked, sets = [], [], []
    for name in SETS:
        for text, like in read(given.corpora / f"{name}.jsonl.gz", classifier, given.at_most):
            tokens.append(text)
            liked.append(like)
            sets.append(name)
    truth = np.array(liked)
    names = [name for name in SETS if sets.count(name) >= 50]
    print(f"{len(tokens)} texts of {np.mean([len(t) for t in tokens]):.0f} tokens on average, {truth.mean():.0%} liked")
    print(f"{'':24}{'all':>8}" + "".join(f"{name[:16]:>18}" for name in names) + f"{'tmot':>8}{'texts/s':>9}")
    for way, cut in WAYS.items():
        began = time.perf_counter()
        words = np.stack([judge(classifier, cut(text)) for text in tokens])
        speed = len(tokens) / (time.perf_counter() - began)
        score = words[:, 9] - words[:, 7]
        told = (words[:, :7].argmax(axis=1) == MOMENTS.index("tmot")).mean()
        by_set = [roc_auc_score(truth[of], score[of]) for of in (np.array(sets) == name for name in names)]
        row = "".join(f"{each:18.3f}" for each in by_set)
        print(f"{way:24}{roc_auc_score(truth, score):8.3f}{row}{told:8.3f}{speed:9.0f}", flush=True)


def judge(classifier: OnnxClassifier, parts: list[Ids]) -> np.ndarray:
    """Mean calibrated probabilities (27,) of the parts of a text."""
    logits = np.concatenate([classifier.run(np.array([part], dtype=np.int64)) for part in parts])
    return probabilities(logits, classifier.calibration).mean(axis=0)


def read(path: Path, classifier: OnnxClassifier, at_most: int) -> list[tuple[Ids, bool]]:
    found: list[tuple[Ids, bool]] = []
    with gzip.open(path, "rt") as lines:
        for line in lines:
            row = json.loads(line)
            like = {"Recommended": True, "positive": True, "negative": False}.get(str(row.get("label")))
            if like is None and row.get("stars") is not None:
                like = {1: False, 2: False, 4: True, 5: True}.get(round(float(row["stars"])))
            if like is None:
                continue
            ids = classifier.tokenizer.encode(model_input("", row["text"])).ids
            if len(ids) > LIMIT:
                found.append((ids, like))
                if len(found) == at_most:
                    break
    return found


if __name__ == "__main__":
    main()
