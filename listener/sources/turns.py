"""Several places in one source: each has its turn, and one that fails does not keep the others from being read."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from datetime import datetime
from typing import TypeVar

from listener.errors import Retry, SourceError
from listener.records import Page

_T = TypeVar("_T")


class Failures:
    """What went wrong at some places, while the others are read."""

    def __init__(self) -> None:
        self._first: SourceError | None = None
        self._after: float | None = None

    def add(self, error: SourceError) -> None:
        self._first = self._first or error
        if error.after is not None:
            self._after = max(error.after, self._after or 0.0)

    def tell(self) -> None:
        """Raises what went wrong first, with the longest wait that any server asked for; nothing without a failure."""
        if self._first:
            self._first.after = self._after
            raise self._first


class Doubtful(Retry):
    """What is answered for one place cannot be all there is. That place waits; the others of its server are asked."""


def each_in_turn(
    places: Sequence[_T], walk: Callable[[_T], Iterator[Page]], now: datetime, server: Callable[[_T], object]
) -> Iterator[Page]:
    """The pages of every place's walk. The first error is raised when all have had their turn, see `Failures`.

    After a Retry the other places of that `server` are left for the next run. Another place begins each minute, so that
    the same are not always left.
    """
    first = int(now.timestamp() // 60) % len(places)
    failures = Failures()
    tired: set[object] = set()
    for place in (*places[first:], *places[:first]):
        if server(place) in tired:
            continue
        try:
            yield from walk(place)
        except SourceError as error:
            failures.add(error)
            if isinstance(error, Retry) and not isinstance(error, Doubtful):
                tired.add(server(place))
    failures.tell()
