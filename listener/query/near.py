"""NEAR and NOT NEAR: places in a text that count only when something else stands near them, or nothing does."""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Iterator, Sequence
from itertools import accumulate
from typing import NamedTuple, Protocol

from listener.query.terms import Found, Span, Text


class Placed(Protocol):
    """What stands somewhere in a text."""

    def match(self, text: Text) -> Found | None: ...

    def occurrences(self, text: Text) -> list[Span]: ...


class Condition(NamedTuple):
    """What must, or must not, stand within `words` words of a place.

    NEAR joins two places, so what lies over the first one is not near it. NOT NEAR gives a context to ignore, and
    `delta NOT NEAR "delta airlines"` means the delta in it too: `over`.
    """

    node: Placed
    words: int
    absent: bool
    over: bool


class Near(NamedTuple):
    """The places of `first` at which every condition holds."""

    first: Placed
    conditions: tuple[Condition, ...]
    places: tuple[Span, ...]  # in the query: of the first, and of each condition

    def match(self, text: Text) -> Found | None:
        for place, beside in self._counted(text):
            return tuple(text.spelling(*span) for span in (place, *beside))
        return None

    def occurrences(self, text: Text) -> list[Span]:
        return [place for place, _ in self._counted(text)]

    def _counted(self, text: Text) -> Iterator[tuple[Span, list[Span]]]:
        """Each place that counts, in order, and what was found near it."""
        firsts = self.first.occurrences(text)
        if not firsts:
            return
        conditions = [(each, _Neighbours(text, each.node.occurrences(text))) for each in self.conditions]
        for place in firsts:
            beside: list[Span] = []
            for condition, neighbours in conditions:
                found = neighbours.near(place, condition.words, over=condition.over)
                if (found is None) != condition.absent:
                    break
                beside += [found] if found else []
            else:
                yield place, beside


def _further(one: Span, other: Span) -> Span:
    return other if other[1] > one[1] else one


class _Neighbours:
    """Places in a text, sorted so that one near another place is found by bisection."""

    def __init__(self, text: Text, places: Sequence[Span]) -> None:
        self._text = text
        self._by_start = sorted(places)
        self._by_end = sorted(places, key=lambda place: place[1])
        self._starts = [text.step(start) for start, _ in self._by_start]
        self._ends = [text.step(end) for _, end in self._by_end]
        # Of the places up to each, the one that reaches furthest.
        self._furthest: list[Span] = list(accumulate(self._by_start, _further))

    def near(self, place: Span, words: int, *, over: bool) -> Span | None:
        """One with at most so many words between the two, or (`over`) one that shares characters with the place."""
        begin, end = self._text.step(place[0]), self._text.step(place[1])
        behind = bisect_left(self._starts, end)
        if behind < len(self._starts) and self._starts[behind] <= end + words:
            return self._by_start[behind]
        before = bisect_right(self._ends, begin) - 1
        if before >= 0 and self._ends[before] >= begin - words:
            return self._by_end[before]
        if over and behind and self._furthest[behind - 1][1] > place[0]:
            return self._furthest[behind - 1]
        return None
