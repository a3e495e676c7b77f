"""The kinds of source there are, and what each of them is: a settings model, a pure parse and a fetch."""

from __future__ import annotations

import importlib
import importlib.metadata
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from functools import cache
from pathlib import Path
from typing import Any, Protocol

from pydantic import BaseModel

from listener.config import Config, SourceSettings, options
from listener.errors import ConfigError, ListenerError
from listener.http import Get
from listener.records import Page

# One line a kind: adding a source of our own is a file here and its name in this table.
_BUILT_IN = {
    "appstore": "listener.sources.appstore",
    "bluesky": "listener.sources.bluesky",
    "discourse": "listener.sources.discourse",
    "feeds": "listener.sources.feeds",
    "files": "listener.sources.files",
    "github": "listener.sources.github",
    "googleplay": "listener.sources.googleplay",
    "hackernews": "listener.sources.hackernews",
    "lemmy": "listener.sources.lemmy",
    "mastodon": "listener.sources.mastodon",
    "reddit": "listener.sources.reddit",
    "stackexchange": "listener.sources.stackexchange",
    "steam": "listener.sources.steam",
    "webreviews": "listener.sources.webreviews",
    "x": "listener.sources.x",
    "youtube": "listener.sources.youtube",
}


@dataclass(frozen=True, slots=True)
class About:
    """What `listener sources kinds` tells of a kind. Plain sentences for people."""

    brings: str
    key: str  # what credentials it needs; "none"
    limits: str
    terms: str
    caution: str = ""
    keep_days: int | None = None  # the source's terms: a post that was not re-checked for so long has to go
    keep: str = "matched"  # default of the source's `keep`: "matched" drops posts that name no brand, "all" keeps them


class Source(Protocol):
    """A module with these four names, and two more where its interface allows it. It reaches the outside only by `get`.

    fetch(settings, cursor, get, now, name) yields Pages. It raises Retry, Refused or Broken, nothing else of its own.
    Every Page it yields is stored at once, with its cursor, before the next one is asked for.

    recheck(settings, cursor, native_ids, get, now, name), where there is one, asks after posts that are stored: at most
    RECHECK_AT_ONCE of them. Its Pages tell which are `deleted`, which are as they were (`verified`), and bring those
    that changed as `posts`. What they do not name is asked for again. The cursor is that of `fetch`, for what the two
    have in common, such as a quota; a Page that changes it carries the whole of it.

    backfill(settings, since, cursor, get, now, name), where there is one, walks back to `since` as far as the interface
    reaches. Its cursor is its own: it names the place in that walk, and the last page carries the cursor {}.

    status(settings, cursor), where there is one, says in a few words what people should know of it now: the quota or
    the money it has spent, which of two ways it goes.
    """

    ABOUT: About
    Settings: type[BaseModel]

    def fetch(
        self, settings: Any, cursor: Mapping[str, Any] | None, get: Get, now: datetime, name: str
    ) -> Iterator[Page]: ...


@cache
def kinds() -> dict[str, str]:
    """Every kind and the module it lives in: ours, and those other packages announce as entry points."""
    found = {point.name: point.value for point in importlib.metadata.entry_points(group="listener.sources")}
    return {**found, **_BUILT_IN}


def load(kind: str) -> Source:
    """The source module of a kind.

    Raises ConfigError when there is no such kind, or when its package is not installed.
    """
    if kind not in kinds():
        raise ConfigError(f"there is no kind of source called {kind!r}; there are: {', '.join(sorted(kinds()))}")
    try:
        return importlib.import_module(kinds()[kind])
    except ImportError as error:
        raise ConfigError(f"the source kind {kind!r} cannot be loaded: {error}") from error


def can_recheck(kind: str) -> bool:
    """Whether sources of this kind can be asked after posts that are stored."""
    return hasattr(load(kind), "recheck")


def status(entry: SourceSettings, path: Path | None, cursor: Mapping[str, Any] | None) -> str:
    """What a source of this kind tells of itself, "" when it tells nothing or cannot begin."""
    tell = getattr(load(entry.kind), "status", None)
    try:
        return tell(settings(entry, path), cursor) if tell else ""
    except ListenerError:
        return ""


def settings(entry: SourceSettings, path: Path | None) -> BaseModel:
    """The settings of a configured source, checked by its kind. Raises ConfigError naming the source and the key."""
    return options(entry, load(entry.kind).Settings, path)


def check(config: Config) -> dict[str, BaseModel]:
    """The settings of every enabled source by name. Raises ConfigError with everything that is wrong."""
    found: dict[str, BaseModel] = {}
    problems = []
    for entry in config.sources:
        try:
            if entry.enabled:
                found[entry.name] = settings(entry, config.path)
        except ConfigError as error:
            problems.append(str(error))
    if problems:
        raise ConfigError("\n".join(problems))
    return found
