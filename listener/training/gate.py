"""The gate: floors under the model's figures, kept beside the model, so that no change makes it worse unnoticed.

models/gate.json holds, for every file of labelled posts, the digest of the file, the model that was measured, and for
each figure its floor and its noise: the standard error of the figure over resampled posts. A figure may fall below its
floor by its noise, since two models that differ by less cannot be told apart on that file; beyond that the gate fails.

Both models judge the same posts, so what luck there is lies in the posts they judge differently. Of two trainings that
judged 10 % of 1,000 posts differently, the standard error of the difference was 0.7 to 0.85 of the figure's own for the
F1s, 1.2 to 1.4 of it for calibration and abstention. Allowing the figure's own is thus a little more, or a little less,
than one error of the difference, and needs no verdicts of the old model to be kept.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from listener.errors import ListenerError
from listener.training.evaluate import Report
from listener.training.measures import Figure

_DIGITS = 4  # a figure is compared as it is written
_LOWER_IS_BETTER = frozenset(("moment ECE", "sentiment ECE"))


@dataclass(frozen=True, slots=True)
class Fall:
    """A figure that is worse than its floor by more than its noise."""

    figure: str
    floor: float
    noise: float
    value: float

    def __str__(self) -> str:
        how, limit = ("rose", "ceiling") if self.figure in _LOWER_IS_BETTER else ("fell", "floor")
        by = abs(self.value - self.floor)
        return f"{self.figure} {how} by {by:.4f} to {self.value:.4f}: {limit} {self.floor:.4f}, noise {self.noise:.4f}"


def figures(report: Report) -> dict[str, Figure]:
    """The figures that have floors, by the name they have in gate.json."""
    return dict(_figures(report))


def _figures(report: Report) -> Iterator[tuple[str, Figure]]:
    if report.moment and report.groups:
        yield "moment macro-F1", report.moment.macro_f1
        yield "moment accuracy", report.moment.accuracy
        yield "zmot, tmot, other macro-F1", report.groups.macro_f1
        yield from ((f"{each.label} F1", each.f1) for each in report.groups.classes if each.label != "other")
        if report.moment.ece:
            yield "moment ECE", report.moment.ece
    if report.gain_at_15:
        yield "accuracy gained when 15 % abstain", report.gain_at_15
    if report.sentiment:
        yield "sentiment macro-F1", report.sentiment.macro_f1
        yield "sentiment macro-recall", report.sentiment.macro_recall
        if report.sentiment.ece:
            yield "sentiment ECE", report.sentiment.ece
    if report.touchpoint_micro_f1:
        yield "touchpoints micro-F1", report.touchpoint_micro_f1


def falls(gate: Path, data: Path, report: Report) -> list[Fall]:
    """Every figure of `report`, measured on the file `data`, that fell through its floor.

    Raises ListenerError when the gate has no floors for this very file, or has them for other rows of it.
    """
    entries, key = _read(gate), _key(data)
    entry = entries.get(key)
    if entry is None:
        known = ", ".join(sorted(entries)) or "nothing"
        raise ListenerError(f"{gate} has no floors for {key}, only for {known}; `--write-gate` writes them")
    if entry["sha256"] != _digest(data):
        raise ListenerError(
            f"{data} is not the file whose floors stand in {gate} (SHA-256 differs). Measure on that file, "
            "or write new floors with --write-gate --allow-regression."
        )
    if entry["posts"] != report.posts:
        raise ListenerError(
            f"the floors for {key} in {gate} are of {entry['posts']} posts, and {report.posts} were measured. "
            "Measure the same --split."
        )
    now = figures(report)
    found = []
    for name, floor in entry["figures"].items():
        if name not in now:
            raise ListenerError(f"{gate}: {key} has a floor for {name}, which {report.name} was not measured by")
        if _better(name, floor, now) < -floor["noise"]:
            found.append(Fall(name, floor["floor"], floor["noise"], now[name].value))
    return found


def write(gate: Path, data: Path, report: Report, *, allow_regression: bool = False) -> list[str]:
    """Makes the figures of `report` the floors for `data`; returns which floors were lowered.

    A floor that is passed by less than its noise stays: else the luck of every model would be asked of the next.
    Raises ListenerError when a floor would be lowered, or would belong to another file, without `allow_regression`.
    """
    entries = _read(gate) if gate.exists() else {}
    key, digest = _key(data), _digest(data)
    before = entries.get(key)
    now = figures(report)
    floors = {
        name: {"floor": round(each.value, _DIGITS), "noise": round(each.error, _DIGITS)} for name, each in now.items()
    }
    lowered = []
    if before and (before["sha256"], before["posts"]) == (digest, report.posts):
        floors |= {name: old for name, old in before["figures"].items() if name in now and _by_luck(name, old, now)}
    elif before:
        lowered.append(f"{key} holds other posts now: its old floors do not hold for them")
    for name, floor in (before or {"figures": {}})["figures"].items():
        if name not in now or _better(name, floor, now) < 0:
            value = f"{now[name].value:.4f}" if name in now else "gone"
            lowered.append(f"{name}: {floor['floor']:.4f} -> {value}")
    if lowered and not allow_regression:
        raise ListenerError(
            f"{gate} stays as it is, floors would be lowered: {'; '.join(lowered)}. Give --allow-regression to do so."
        )
    entries[key] = {
        "sha256": digest,
        "posts": report.posts,
        "model": report.name,
        "figures": floors,
    }
    gate.write_text(json.dumps(entries, indent=2, sort_keys=True) + "\n", encoding="utf-8")
    return lowered


def _better(name: str, floor: Mapping[str, float], now: Mapping[str, Figure]) -> float:
    """By how much the figure is better than its floor."""
    above = round(now[name].value, _DIGITS) - floor["floor"]
    return -above if name in _LOWER_IS_BETTER else above


def _by_luck(name: str, floor: Mapping[str, float], now: Mapping[str, Figure]) -> bool:
    return 0 <= _better(name, floor, now) <= floor["noise"]


def _read(gate: Path) -> dict[str, Any]:
    try:
        entries = json.loads(gate.read_text(encoding="utf-8"))
    except FileNotFoundError as error:
        raise ListenerError(f"{gate} is not there; `listener evaluate FILE --write-gate` makes it") from error
    except ValueError as error:
        raise ListenerError(f"{gate} cannot be read: {error}") from error
    if not isinstance(entries, dict):
        raise ListenerError(f"{gate} is no gate: it has to be an object by file name")
    return entries


def _key(data: Path) -> str:
    """The file by its name and its folder's: the same on every machine, and there are many posts.jsonl."""
    return f"{data.resolve().parent.name}/{data.name}"


def _digest(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()
