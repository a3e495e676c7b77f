"""Looks for the owner's topics in judged posts, newest first, a batch a transaction. May die at any point and go on."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from functools import lru_cache
from pathlib import Path

import numpy as np

from listener import engine, resources, topics
from listener.config import Config
from listener.engine.calibration import Floats
from listener.engine.features import Encoder
from listener.engine.topics import Tagger
from listener.migrations import explained
from listener.store import Store
from listener.text import fingerprint, model_input

_AT_ONCE = 256
_USUAL = 2000  # newest posts that say, with those the project wrote, what posts are like in general

_NEWEST = """
SELECT title, text FROM posts WHERE deleted_at IS NULL AND expired_at IS NULL AND copy_of IS NULL
ORDER BY coalesce(created_at, collected_at) DESC LIMIT ?
"""


def tagger(store: Store, config: Config, had: Tagger | None = None) -> Tagger | None:
    """The topics made ready, `had` when it is that still; None without topics, or without our encoder."""
    with explained(store.path):
        wanted = topics.definitions(store.connection)
        if not wanted or config.model.heads:
            return None
        folder = engine.folder(config.model)
        key = fingerprint(str(folder), engine.name(config.model), json.dumps(wanted, sort_keys=True))
        if had and had.key == key:
            return had
        newest = [model_input(*row) for row in store.connection.execute(_NEWEST, (_USUAL,))]
    encoder, written = _opened(folder, engine.name(config.model), config.model.threads)
    return Tagger(key, encoder, np.vstack([encoder.features(newest), written]), wanted)


@lru_cache(maxsize=1)
def _opened(folder: Path, _: str, threads: int) -> tuple[Encoder, Floats]:
    """The encoder of the model with this name, and what it makes of the posts the project wrote: once a process."""
    encoder = Encoder(folder, threads)
    lines = [line for path in resources.rehearsal_files() for line in path.read_text("utf-8").splitlines()]
    return encoder, encoder.features([model_input("", json.loads(line)["text"]) for line in lines])


def tag(store: Store, ready: Tagger, stop: Callable[[], bool] = bool) -> Iterator[int]:
    """Looks at every judged post that was not looked at yet; yields how many after every transaction."""
    while not stop():
        with explained(store.path):
            posts = topics.pending(store.connection, ready.key, _AT_ONCE)
        if not posts:
            return
        found = ready.tags([model_input(post.title, post.text) for post in posts])
        with store.writing() as connection:
            topics.save(connection, ready.key, posts, found)
        yield len(posts)
