"""Where the released model and its posts are: beside the package in a checkout, inside it in a wheel."""

from __future__ import annotations

from pathlib import Path

from listener.errors import ListenerError

_PACKAGE = Path(__file__).resolve().parent


def model_folder() -> Path:
    """The folder of the released model. Raises ListenerError when this installation has none."""
    return _folder("_models", "models")


def demo_folder() -> Path:
    """The folder of the demo posts. Raises ListenerError when this installation has none."""
    return _folder("_demo", "data/demo")


def rehearsal_files() -> list[Path]:
    """The labelled posts that the project wrote, for a model of your own to rehearse, JSON Lines."""
    return sorted(_folder("_data/labels", "data/labels").glob("written-*.jsonl"))


def floors_file() -> Path:
    """The labelled posts that every model is held to, and trained on never. Their floors: models/gate.json."""
    return _folder("_data/gate", "data/gate") / "posts.jsonl"


def _folder(installed: str, checkout: str) -> Path:
    for folder in (_PACKAGE / installed, _PACKAGE.parent / checkout):
        if folder.is_dir():
            return folder
    raise ListenerError(
        f"this installation of listener lacks its folder {checkout}; install it again from a wheel or a full checkout"
    )
