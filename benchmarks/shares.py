"""How far shares are off: counted from verdicts, corrected for the model's errors, and as `trends` tells them.

    python benchmarks/shares.py LABELS.jsonl [--model FOLDER]

LABELS: posts with "text", "moment" and "sentiment"; those with a "set" are also held out set by set. Half of them
teach what the model takes for what, the other half is drawn from: samples with the shares of the labels, and with
shares that are anything. The peer is the counted share with Wilson's interval, which is what one has without all this.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from listener.engine.labels import MOMENTS, PHASES, SENTIMENTS
from listener.engine.onnx import OnnxClassifier
from listener.reads.counts import wilson
from listener.reads.shares import Correction
from listener.training.dataset import UNKNOWN, read_labels

PHASE = tuple(dict.fromkeys(PHASES.values()))
TIMES = 400
Numbers = NDArray[np.int64]


def read(file: Path, folder: Path) -> tuple[dict[str, tuple[Numbers, Numbers, int, int]], NDArray[np.str_]]:
    """head -> (true, guessed, true labels, guessed labels), and the set of every post."""
    examples = [each for each in read_labels(file) if UNKNOWN not in (each.moment, each.sentiment)]
    scores = OnnxClassifier(folder).classify([each.text for each in examples])
    sets = {row["id"]: row.get("set", "") for row in map(json.loads, file.read_text("utf-8").splitlines())}
    phases = [PHASE.index(PHASES[MOMENTS[each.moment]]) for each in examples]
    guessed = [len(PHASE) if each.abstained else PHASE.index(PHASES[each.moment]) for each in scores]
    felt = [SENTIMENTS.index(each.sentiment) for each in scores]
    return {
        "phase": (np.array(phases), np.array(guessed), len(PHASE), len(PHASE) + 1),
        "sentiment": (np.array([each.sentiment for each in examples]), np.array(felt), 3, 3),
    }, np.array([sets.get(each.id, "") for each in examples])


def correction(true: Numbers, guessed: Numbers, labels: int, guesses: int) -> Correction:
    table = np.zeros((labels, guesses), dtype=int)
    np.add.at(table, (true, guessed), 1)
    return Correction.of({str(label): row.tolist() for label, row in enumerate(table)})


def errors(known: Correction, counts: Numbers, labels: int, truth: NDArray[np.float64]) -> list[float]:
    """Mean error of the counted, corrected and told shares, and how often the two intervals hold the truth."""
    row = counts.astype(float)[None]
    found = list(known.shares(row)[0].values())
    plain = [wilson(int(each), int(counts[:labels].sum())) for each in counts[:labels]]
    solved = np.maximum(row / row.sum() @ known._solve.T, 0)[0]
    held = [
        np.mean([each.low - 1e-9 <= share <= each.high + 1e-9 for each, share in zip(rows, truth, strict=True)])
        for rows in (plain, found)
    ]
    told = np.array([each.value for each in found])
    counted = np.array([each.value for each in plain])
    return [*(float(np.abs(each - truth).mean()) for each in (counted, solved / solved.sum(), told)), *map(float, held)]


def drawn(head: tuple[Numbers, Numbers, int, int], posts: int, *, as_labelled: bool, seed: int = 0) -> list[float]:
    true, guessed, labels, guesses = head
    rng = np.random.default_rng(seed)
    found = []
    for _ in range(TIMES):
        mixed = rng.permutation(len(true))
        half, rest = np.split(mixed, [len(mixed) // 2])
        shares = np.bincount(true, minlength=labels) / len(true) if as_labelled else rng.dirichlet(np.ones(labels))
        wanted = rng.choice(labels, posts, p=shares)
        chosen = np.array([rng.choice(rest[true[rest] == label]) for label in wanted])
        counts = np.bincount(guessed[chosen], minlength=guesses)
        found.append(errors(correction(true[half], guessed[half], labels, guesses), counts, labels, shares))
    return np.mean(found, axis=0).tolist()


def held_out(head: tuple[Numbers, Numbers, int, int], sets: NDArray[np.str_]) -> tuple[int, list[float]]:
    """The same for every set of at least fifteen posts, with the table made of the other sets."""
    true, guessed, labels, guesses = head
    found = []
    for name in sorted(set(sets) - {""}):
        own = sets == name
        if own.sum() >= 15:
            known = correction(true[~own], guessed[~own], labels, guesses)
            truth = np.bincount(true[own], minlength=labels) / own.sum()
            found.append(errors(known, np.bincount(guessed[own], minlength=guesses), labels, truth))
    return len(found), (np.mean(found, axis=0).tolist() if found else [])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("labels", type=Path)
    parser.add_argument("--model", type=Path, default=Path(__file__).parent.parent / "models")
    given = parser.parse_args()
    heads, sets = read(given.labels, given.model)
    print("| head | posts of | posts | counted | corrected | as told | counted holds | told holds |")
    print("|---|---|--:|--:|--:|--:|--:|--:|")
    for name, head in heads.items():
        for as_labelled in (True, False):
            for posts in (50, 200, 1000):
                figures = drawn(head, posts, as_labelled=as_labelled)
                print(f"| {name} | {'the labels' if as_labelled else 'any'} shares | {posts} |", *shown(figures))
        number, figures = held_out(head, sets)
        if figures:
            print(f"| {name} | {number} sets held out | |", *shown(figures))


def shown(figures: list[float]) -> list[str]:
    return [f"{each:.3f} |" for each in figures[:3]] + [f"{each:.0%} |" for each in figures[3:]]


if __name__ == "__main__":
    main()
