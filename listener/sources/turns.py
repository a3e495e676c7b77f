"""Several places in one source: each has its turn, and one that fails does not keep the others from being read."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from datetime import datetime
from typing import TypeVar

from listener.errors import Retry, SourceError
from listener.records import Page

_T = TypeVar("_T")


class Doubtful(Retry):
    """What is answered for one place cannot be all there is. That place waits; the others of its server are asked."""


def each_in_turn(
    places: Sequence[_T], walk: Callable[[_T], Iterator[Page]], now: datetime, server: Callable[[_T], object]
) -> Iterator[Page]:
    """The pages of every place's walk. The first error is raised when all have had their turn.

    After a Retry the other places of that `server` are left for the next run. Another place begins each minute, so that
    the same are not always left.
    """
    first = int(now.timestamp() // 60) % len(places)
    failure: SourceError | None = None
    tired: set[object] = set()
    for place in (*places[first:], *places[:first]):
        if server(place) in tired:
            continue
        try:
            yield from walk(place)
        except SourceError as error:
            failure = failure or error
            if isinstance(error, Retry) and not isinstance(error, Doubtful):
                tired.add(server(place))
    if failure:
        raise failure
