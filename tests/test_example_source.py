"""The example of docs/own-source.md, installed as its reader would, is found and keeps the contract."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest


@pytest.fixture(scope="module")
def installed(tmp_path_factory: pytest.TempPathFactory, repo: Path) -> dict[str, str]:
    """The environment of a process that has the example's package beside Listener."""
    place = tmp_path_factory.mktemp("example")
    shutil.copytree(repo / "docs" / "example-source", place / "source")
    subprocess.run(
        [sys.executable, "-m", "pip", "install", "--quiet", "--no-deps", "--no-build-isolation", "--no-index",
         "--target", place / "site", place / "source"],
        check=True, capture_output=True,
    )  # fmt: skip
    return {**os.environ, "PYTHONPATH": str(place / "site"), "EXAMPLE": str(place / "source")}


def test_it_is_told_among_the_kinds(installed: dict[str, str]) -> None:
    command = [sys.executable, "-m", "listener", "sources", "kinds"]
    told = subprocess.run(command, env=installed, check=True, capture_output=True, text=True).stdout
    assert "guestbook" in told and "entries of the guest book" in told


def test_it_keeps_the_contract(installed: dict[str, str]) -> None:
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", installed["EXAMPLE"]]
    done = subprocess.run(command, env=installed, capture_output=True, text=True, cwd=installed["EXAMPLE"])
    assert done.returncode == 0, done.stdout
    assert " passed" in done.stdout and "skipped" not in done.stdout
