"""Which model judges: the released one, or one of your own in the folder `models` beside the database.

`current.json` there holds every model that was put to use, the last of them in charge, so that a step can be taken
back. A `[model] folder` in the configuration outranks it.
"""

from __future__ import annotations

import json
import os
from collections.abc import Sequence
from pathlib import Path

from listener.errors import ModelError

RELEASED = "released"
_STEPS = 50  # models put to use that are remembered


def home(database: Path) -> Path:
    """The folder that holds the models of a database."""
    return database.parent / "models"


def own(database: Path) -> list[str]:
    """The names of the models of your own, the oldest first."""
    found = [each.parent for each in home(database).glob("own-*/config.json")]
    return [each.name for each in sorted(found, key=lambda folder: (len(folder.name), folder.name))]


def name_in_use(database: Path) -> str:
    """The name of the model in charge. Raises ModelError when the file that says so cannot be read."""
    return _steps(database)[-1]


def in_use(database: Path) -> Path | None:
    """The folder of the model in charge, None for the released one. Raises ModelError as `name_in_use`."""
    name = name_in_use(database)
    return None if name == RELEASED else home(database) / name


def use(database: Path, name: str) -> None:
    """Puts a model in charge. Raises ModelError when there is none of that name."""
    if name not in (known := [RELEASED, *own(database)]):
        raise ModelError(f"there is no model {name!r} in {home(database)}; there are: {', '.join(known)}")
    steps = _steps(database)
    if steps[-1] != name:
        _write(database, [*steps, name][-_STEPS:])


def rollback(database: Path) -> str:
    """Puts the model in charge that was so before; returns its name. Raises ModelError when there was none."""
    steps = _steps(database)
    if len(steps) < 2:
        raise ModelError(f"the {steps[-1]} model has been in charge from the start; there is nothing to go back to")
    _write(database, steps[:-1])
    return steps[-2]


def _steps(database: Path) -> list[str]:
    path = home(database) / "current.json"
    try:
        steps = json.loads(path.read_text(encoding="utf-8"))["used"]
    except (FileNotFoundError, NotADirectoryError):
        return [RELEASED]
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise _unreadable(path, error) from error
    if not isinstance(steps, list) or not steps or not all(_is_name(step) for step in steps):
        raise _unreadable(path, "it names no model")
    return steps


def _is_name(step: object) -> bool:
    """Whether it names a model; nothing in the file may lead out of the folder."""
    return isinstance(step, str) and (step == RELEASED or (step.startswith("own-") and step[4:].isdecimal()))


def _unreadable(path: Path, why: object) -> ModelError:
    return ModelError(f"{path} cannot be read: {why}. Delete it to go back to the released model")


def _write(database: Path, steps: Sequence[str]) -> None:
    path = home(database) / "current.json"
    part = path.with_suffix(".part")
    path.parent.mkdir(parents=True, exist_ok=True)
    with part.open("w", encoding="utf-8") as file:
        json.dump({"used": list(steps)}, file)
        file.flush()
        os.fsync(file.fileno())
    part.replace(path)
