"""What to train on corrections: the heads alone, the top layers, or all of them; by macro-F1 and seconds.

    python benchmarks/layers.py banking77.jsonl.gz --intents benchmarks/banking77.tsv [--corrections 100 500]

Corrections are drawn by lot, 3,000 others are left; the posts that the project wrote are rehearsed beside them. Behind
the macro-F1 of the moment on test posts stands that on data/gate: what was kept. No floors are asked for here.
"""

from __future__ import annotations

import argparse
import random
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from learns import macro_f1, read

from listener import resources
from listener.engine.features import Encoder
from listener.engine.labels import MOMENTS
from listener.text import model_input
from listener.training import heads
from listener.training.dataset import Example, read_labels, shuffled_batches, tokenise
from listener.training.export import restored
from listener.training.finetune import Recipe, _optimiser, collate, multiplies_bf16
from listener.training.model import loss
from listener.training.targets import weights

PASSES, BATCH, RATE = 6, 16, 1e-4


def tune(model: Any, tokenizer: Any, taught: list[Example], known: list[Example], layers: int) -> None:
    """Trains so many layers from the top, and the heads; twice as many posts are rehearsed, where there are so many."""
    model.freeze_embeddings()
    every = list(model.encoder.encoder.layer)
    for layer in every[: len(every) - layers]:
        layer.requires_grad_(False)
    optimiser = _optimiser(model, Recipe(rate=RATE))
    rates = [group["lr"] for group in optimiser.param_groups]
    rng, by_class, bf16 = random.Random(0), weights(taught, [], 0.0, 0.0), multiplies_bf16(torch.device("cpu"))
    number = min(len(known), 2 * len(taught))
    steps, step = PASSES * -(-(len(taught) + number) // BATCH), 0
    for _ in range(PASSES):
        examples = taught + rng.sample(known, number)
        tokens = tokenise(tokenizer, examples, 128)
        model.train()
        for batch in shuffled_batches([len(ids) for ids in tokens], BATCH, rng):
            given = collate([tokens[i] for i in batch], [examples[i] for i in batch], by_class, 0.5)
            with torch.autocast("cpu", dtype=torch.bfloat16, enabled=bf16):
                logits = model(given["input_ids"], given["attention_mask"])
            for group, rate in zip(optimiser.param_groups, rates, strict=True):
                group["lr"] = rate * min((step + 1) / max(1, steps // 16), (steps - step) / steps)
            optimiser.zero_grad(set_to_none=True)
            loss(logits.float(), given["moment"], given["sentiment"], given["touchpoints"]).backward()
            torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
            optimiser.step()
            step += 1


def guessed(model: Any, tokenizer: Any, examples: list[Example]) -> np.ndarray:
    model.eval()
    with torch.inference_mode():
        rows = [
            model(ids := torch.tensor([each]), torch.ones_like(ids))[0] for each in tokenise(tokenizer, examples, 192)
        ]
    return torch.stack(rows)[:, : len(MOMENTS)].argmax(dim=1).numpy()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("posts", type=Path)
    parser.add_argument("--intents", type=Path)
    parser.add_argument("--corrections", type=int, nargs="+", default=(100, 500))
    parser.add_argument("--layers", type=int, nargs="+", default=(0, 2, 6))
    given = parser.parse_args()
    torch.set_num_threads(1)
    torch.manual_seed(0)
    folder = resources.model_folder()
    encoder = Encoder(folder, threads=1)
    posts = [
        Example(row["id"], model_input("", row["text"]), moment=MOMENTS.index(row["moment"]))
        for row in read(given.posts, given.intents, 3700)
    ]
    test, stock, gate = posts[:700], posts[700:], read_labels(resources.floors_file())
    known = [each for path in resources.rehearsal_files() for each in read_labels(path)]
    said = encoder.classifier.probabilities([each.text for each in known])
    known = [replace(each, taught=row) for each, row in zip(known, said, strict=True)]
    print("| corrections | layers | macro-F1 | data/gate | seconds |\n|--:|--:|--:|--:|--:|")
    for number in given.corrections:
        for layers in given.layers:
            began = time.monotonic()
            if layers:
                model = restored(folder)
                tune(model, encoder.classifier.tokenizer, stock[:number], known, layers)
                seconds = time.monotonic() - began
                both = [guessed(model, encoder.classifier.tokenizer, part) for part in (test, gate)]
            else:
                prior = heads.released(encoder)
                rehearsed = heads.rehearsal(heads.lesson(encoder, known), prior)
                fitted = heads.fit(prior, heads.lesson(encoder, stock[:number]), rehearsed, 1.0)
                seconds = time.monotonic() - began
                logits = [fitted.logits(encoder.features([each.text for each in part])) for part in (test, gate)]
                both = [each[:, : len(MOMENTS)].argmax(axis=1) for each in logits]
            figures = " | ".join(str(macro_f1(part, each)) for part, each in zip((test, gate), both, strict=True))
            print(f"| {number} | {layers or 'heads alone'} | {figures} | {seconds:.0f} |", flush=True)


if __name__ == "__main__":
    main()
