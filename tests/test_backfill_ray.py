"""A backfill on a Ray cluster that loses a node. Ray is a third of a gigabyte, so ./dev leaves it and this test out."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

pytest.importorskip("ray", reason="Ray is not installed: pip install -c constraints.txt '.[archives,ray]'")
pytest.importorskip("duckdb")


@pytest.mark.timeout(900)
def test_a_node_that_is_killed_costs_no_row_and_doubles_none(repo: Path) -> None:
    command = [sys.executable, str(repo / "benchmarks" / "backfill_ray.py"), "--files", "12", "--rows", "200"]
    env = os.environ | {"PYTHONPATH": str(repo)}
    done = subprocess.run(command, cwd=repo, env=env, capture_output=True, text=True, timeout=800, check=False)
    assert done.returncode == 0, done.stdout + done.stderr[-4000:]
    assert "rows in 2,400, rows out 2,400, missing 0, twice 0" in done.stdout
