"""A brand query tried on stored posts: what it finds and by which part, and how often a person says it is right."""

from __future__ import annotations

import random
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import zip_longest

from listener.query import Query, Text
from listener.reads.counts import Interval, wilson
from listener.reads.search import PostRow
from listener.records import Post


@dataclass(frozen=True, slots=True)
class Part:
    """An operand of the query, and in how many posts it was found. A part that bars counts what it takes away: the
    posts in which it was found and that the other parts would have found.
    """

    text: str
    bars: bool
    posts: int


@dataclass(frozen=True, slots=True)
class Sample:
    """A post that a part found, or took away, and the words in it that did."""

    post: PostRow
    terms: tuple[str, ...]
    part: int


@dataclass(frozen=True, slots=True)
class Hit:
    post_id: int
    parts: tuple[int, ...]  # which of them were found in it


@dataclass(frozen=True, slots=True)
class Answer:
    hit: Hit
    right: bool | None  # None: the person could not say


@dataclass(frozen=True, slots=True)
class Backtest:
    posts: int
    parts: tuple[Part, ...]
    hits: tuple[Hit, ...]
    samples: tuple[Sample, ...]


def run(query: Query, posts: Iterable[PostRow], limit: int) -> Backtest:
    """Puts the query and each of its parts to all posts. At most `limit` samples, spread over the parts."""
    parts = query.parts
    counts = [0] * len(parts)
    samples: list[list[Sample]] = [[] for _ in parts]
    hits: list[Hit] = []
    read = 0
    for row in posts:
        read += 1
        text = Text(Post(row.source, row.native_id, row.text, title=row.title, author=row.author, lang=row.lang))
        terms = query.found(text)
        by_part = [part.found(text) for part in parts]
        wanted = all(found for part, found in zip(parts, by_part, strict=True) if not part.negated)
        for number, (part, found) in enumerate(zip(parts, by_part, strict=True)):
            if found and (not part.negated or (wanted and not terms)):
                counts[number] += 1
                if (terms or part.negated) and len(samples[number]) < limit:
                    samples[number].append(Sample(row, terms or found, number))
        if terms:
            finders = (n for n, part in enumerate(parts) if by_part[n] and not part.negated)
            hits.append(Hit(row.id, tuple(finders)))
    told = tuple(Part(part.text, part.negated, number) for part, number in zip(parts, counts, strict=True))
    return Backtest(read, told, tuple(hits), _spread(samples, limit))


def _spread(samples: Sequence[Sequence[Sample]], limit: int) -> tuple[Sample, ...]:
    chosen: dict[int, Sample] = {}
    for one_of_each in zip_longest(*samples):
        for sample in filter(None, one_of_each):
            if len(chosen) < limit:
                chosen.setdefault(sample.post.id, sample)
    return tuple(sorted(chosen.values(), key=lambda sample: sample.part))


def choose(hits: Sequence[Hit], number: int, seed: int) -> list[Hit]:
    """That many hits at random, in random order. Every hit has the same chance, so that the share of the right ones
    among them estimates that of all; and the parts of the query come in proportion to what they found.
    """
    dice = random.Random(seed)  # noqa: S311
    in_line = sorted(hits, key=lambda hit: (hit.parts, dice.random()))
    step = max(1.0, len(in_line) / number)
    start = dice.random() * step
    chosen = [in_line[int(start + n * step)] for n in range(number) if start + n * step < len(in_line)]
    dice.shuffle(chosen)  # who stops early has still judged a random few
    return chosen


def precision(answers: Iterable[Answer], part: int | None = None) -> Interval:
    """The share of the hits (of one part) that are right, with its interval; skipped ones are left out."""
    given = [each.right for each in answers if each.right is not None and (part is None or part in each.hit.parts)]
    return wilson(sum(given), len(given))
