"""Puts the released model and the posts that come with it into wheels, where `listener/resources.py` looks for them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from hatchling.builders.hooks.plugin.interface import BuildHookInterface

CARRIED = {
    "models": "listener/_models",
    "data/demo": "listener/_demo",
    # What `listener train` rehearses, and what it holds a model to. Labels without texts are of no use there.
    "data/gate": "listener/_data/gate",
    "data/labels/written-a.jsonl": "listener/_data/labels/written-a.jsonl",
    "data/labels/written-b.jsonl": "listener/_data/labels/written-b.jsonl",
}


class CarryResources(BuildHookInterface[Any]):
    """An editable install is left alone: the checkout has them, and a copy of them would go stale."""

    def initialize(self, version: str, build_data: dict[str, Any]) -> None:
        if version == "editable":
            return
        for folder, target in CARRIED.items():
            if (Path(self.root) / folder).exists():
                build_data["force_include"][str(Path(self.root) / folder)] = target
