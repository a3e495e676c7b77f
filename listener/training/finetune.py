"""Fine-tuning: a base encoder and examples in, a trained MomentModel out. Resumable, seeded, two cores are enough."""

from __future__ import annotations

import random
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from tokenizers import Tokenizer
from torch import Tensor
from tqdm import tqdm

from listener.training.dataset import Example, shuffled_batches, tokenise
from listener.training.model import MomentModel, loss
from listener.training.targets import Weights, targets, weights


@dataclass(frozen=True, slots=True)
class Recipe:
    """How to train. `passes` are over the labelled posts; the other texts are spread over the same passes."""

    passes: int = 4
    sentiment_passes: float = 2.0
    unlabelled_passes: float = 0.0
    batch: int = 32
    rate: float = 1.5e-4  # of the top layer
    head_rate: float = 1e-3
    max_tokens: int = 192
    read_tokens: int = 384  # what the finished model reads of a text: longer than in training is better than less of it
    layer_decay: float = 0.9  # each layer below the top learns at this share of the rate of the one above it
    class_weight_power: float = 0.3  # moment class weight = (share of the class) ** -power
    sentiment_weight_power: float = 0.5  # the same for texts with a sentiment alone
    trust: float = 0.5  # share of the target that a teacher has where there is a label too
    keep: float = 0.0  # share of the starting weights in the result, as WiSE-FT does (Wortsman et al. 2022)
    seed: int = 1


def plan(
    labelled: Sequence[Example], sentiment: Sequence[Example], unlabelled: Sequence[Example], recipe: Recipe
) -> list[list[Example]]:
    """The examples of each pass: all labelled posts, and a fresh stretch each of sentiment corpora and of the rest."""
    rng = random.Random(recipe.seed)  # noqa: S311
    passes = [list(labelled) for _ in range(recipe.passes)]
    for texts, times in ((sentiment, recipe.sentiment_passes), (unlabelled, recipe.unlabelled_passes)):
        share = int(len(texts) * times / recipe.passes)
        stock: list[Example] = []
        for examples in passes:
            while len(stock) < share:
                more = list(texts)
                rng.shuffle(more)
                stock += more
            examples += stock[:share]
            del stock[:share]
    return passes


def collate(
    tokens: Sequence[list[int]], examples: Sequence[Example], by_class: Weights, trust: float
) -> dict[str, Tensor]:
    """Padded tensors of a batch. The width is a multiple of 16, which bf16 kernels on CPUs need for their fast path."""
    width = -(-max(map(len, tokens)) // 16) * 16
    ids = torch.zeros(len(tokens), width, dtype=torch.long)
    mask = torch.zeros(len(tokens), width, dtype=torch.long)
    for row, text in enumerate(tokens):
        ids[row, : len(text)] = torch.tensor(text)
        mask[row, : len(text)] = 1
    heads = zip(*(targets(example, by_class, trust) for example in examples), strict=True)
    moment, sentiment, touchpoints = (torch.from_numpy(np.stack(rows)).float() for rows in heads)
    return {
        "input_ids": ids, "attention_mask": mask,
        "moment": moment, "sentiment": sentiment, "touchpoints": touchpoints,
    }  # fmt: skip


def finetune(
    model: MomentModel,
    tokenizer: Tokenizer,
    labelled: Sequence[Example],
    sentiment: Sequence[Example],
    recipe: Recipe,
    out: Path,
    unlabelled: Sequence[Example] = (),
) -> MomentModel:
    """Trains `model` and returns it, in evaluation mode. `unlabelled` texts carry a teacher's word (`Example.taught`).

    After every pass the state goes to `out`/checkpoint.pt, and a run that finds one there goes on from it.
    """
    torch.manual_seed(recipe.seed)
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    model.to(device)
    model.freeze_embeddings()
    optimiser = _optimiser(model, recipe)
    passes = plan(labelled, sentiment, unlabelled, recipe)
    steps = sum(-(-len(examples) // recipe.batch) for examples in passes)
    warmup = max(1, steps // 16)
    schedule = torch.optim.lr_scheduler.LambdaLR(
        optimiser, lambda step: min((step + 1) / warmup, max(0.0, (steps - step) / max(1, steps - warmup)))
    )
    start = {name: value.clone() for name, value in model.state_dict().items()} if recipe.keep else {}
    by_class = weights(labelled, sentiment, recipe.class_weight_power, recipe.sentiment_weight_power)
    done = _resume(out / "checkpoint.pt", model, optimiser, schedule, device)
    for number, examples in enumerate(passes[done:], done + 1):
        _train_pass(model, optimiser, schedule, tokenizer, examples, by_class, recipe, number, device)
        _checkpoint(out / "checkpoint.pt", model, optimiser, schedule, number)
    if start:
        ended = model.state_dict()
        model.load_state_dict({name: torch.lerp(ended[name], value, recipe.keep) for name, value in start.items()})
    model.eval()
    return model


def _optimiser(model: MomentModel, recipe: Recipe) -> torch.optim.Optimizer:
    layers = list(model.encoder.encoder.layer)
    groups = [
        {"params": list(layer.parameters()), "lr": recipe.rate * recipe.layer_decay**above}
        for above, layer in enumerate(reversed(layers))
    ]
    groups.append({"params": list(model.heads.parameters()), "lr": recipe.head_rate})
    return torch.optim.AdamW(groups, weight_decay=0.01, fused=True)


def multiplies_bf16(device: torch.device) -> bool:
    """Whether the device has instructions for bfloat16: one without imitates it, a CPU fifty times slower than fp32."""
    if device.type == "cuda":
        return bool(torch.cuda.get_device_capability(device) >= (8, 0))
    has: Mapping[str, Any] = getattr(torch.cpu, "get_capabilities", dict)()  # an older torch cannot tell
    return any(has.get(name, False) for name in ("amx_bf16", "avx512_bf16", "avx_ne_convert", "bf16"))


def _train_pass(
    model: MomentModel, optimiser: Any, schedule: Any, tokenizer: Tokenizer, examples: Sequence[Example],
    by_class: Weights, recipe: Recipe, number: int, device: torch.device,
) -> None:  # fmt: skip
    tokens = tokenise(tokenizer, examples, recipe.max_tokens)
    order = shuffled_batches([len(ids) for ids in tokens], recipe.batch, random.Random(recipe.seed * 1000 + number))  # noqa: S311
    model.train()
    running = 0.0
    bf16 = multiplies_bf16(device)
    interval = 0.5 if sys.stderr.isatty() else 30.0
    with tqdm(total=len(examples), desc=f"pass {number}/{recipe.passes}", unit="post", mininterval=interval) as bar:
        for batch in order:
            tensors = collate([tokens[i] for i in batch], [examples[i] for i in batch], by_class, recipe.trust)
            moved = {name: tensor.to(device, non_blocking=True) for name, tensor in tensors.items()}
            with torch.autocast(device.type, dtype=torch.bfloat16, enabled=bf16):
                logits = model(moved["input_ids"], moved["attention_mask"])
            value = loss(logits, moved["moment"], moved["sentiment"], moved["touchpoints"])
            optimiser.zero_grad(set_to_none=True)
            value.backward()
            torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
            optimiser.step()
            schedule.step()
            running = 0.98 * running + 0.02 * float(value.detach()) if running else float(value.detach())
            bar.set_postfix(loss=f"{running:.3f}", refresh=False)
            bar.update(len(batch))


def _checkpoint(path: Path, model: MomentModel, optimiser: Any, schedule: Any, done: int) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    state = {"model": model.state_dict(), "optimiser": optimiser.state_dict(), "schedule": schedule.state_dict()}
    part = path.with_suffix(".part")
    torch.save({**state, "done": done, "rng": torch.get_rng_state()}, part)
    part.replace(path)


def _resume(path: Path, model: MomentModel, optimiser: Any, schedule: Any, device: torch.device) -> int:
    """Puts back the state of the last finished pass; the number of passes done, 0 without a checkpoint."""
    if not path.exists():
        return 0
    state = torch.load(path, map_location=device, weights_only=True)
    model.load_state_dict(state["model"])
    optimiser.load_state_dict(state["optimiser"])
    schedule.load_state_dict(state["schedule"])
    torch.set_rng_state(state["rng"].cpu())
    return int(state["done"])
