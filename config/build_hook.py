"""Puts the released model and the demo posts into wheels, where `listener/resources.py` looks for them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from hatchling.builders.hooks.plugin.interface import BuildHookInterface

CARRIED = {"models": "listener/_models", "data/demo": "listener/_demo"}


class CarryResources(BuildHookInterface[Any]):
    """An editable install is left alone: the checkout has both folders, and a copy of them would go stale."""

    def initialize(self, version: str, build_data: dict[str, Any]) -> None:
        if version == "editable":
            return
        for folder, target in CARRIED.items():
            if (Path(self.root) / folder).is_dir():
                build_data["force_include"][str(Path(self.root) / folder)] = target
