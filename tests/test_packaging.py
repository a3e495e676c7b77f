"""What is installed: a wheel that works offline, versions that are pinned, a service that systemd can read."""

from __future__ import annotations

import ast
import configparser
import importlib.metadata
import os
import re
import shlex
import subprocess
import sys
import tomllib
import venv
import zipfile
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

OURS = "listener-daemon"


@pytest.fixture(scope="module")
def project(repo: Path) -> dict[str, Any]:
    return tomllib.loads((repo / "pyproject.toml").read_text("utf-8"))["project"]


@pytest.fixture(scope="module")
def pins(repo: Path) -> dict[str, str]:
    """Canonical name -> version of every line of constraints.txt that is not a comment."""
    lines = (repo / "constraints.txt").read_text("utf-8").splitlines()
    parts = [line.split("==") for line in lines if not line.startswith("#")]
    return {canonicalize_name(name): version for name, version in parts}


@pytest.fixture(scope="module")
def wheel(repo: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("wheel")
    command = [sys.executable, "-m", "pip", "wheel", "--quiet", "--no-deps", "--no-build-isolation", "--no-index"]
    subprocess.run([*command, "--wheel-dir", str(folder), str(repo)], check=True)
    (built,) = folder.glob("*.whl")
    return built


def _tracked(folder: Path) -> set[str]:
    """The files below a folder, as posix paths relative to it, without what only this machine has."""
    files = (file.relative_to(folder) for file in folder.rglob("*") if file.is_file())
    return {file.as_posix() for file in files if "__pycache__" not in file.parts and not file.name.startswith(".")}


def test_the_wheel_carries_code_templates_model_and_demo_posts(wheel: Path, repo: Path) -> None:
    carried = set(zipfile.ZipFile(wheel).namelist())
    wanted = {f"listener/{file}" for file in _tracked(repo / "listener")}
    wanted |= {f"listener/_models/{file}" for file in _tracked(repo / "models")}
    wanted |= {f"listener/_demo/{file}" for file in _tracked(repo / "data/demo")}
    wanted |= {f"listener/_data/gate/{file}" for file in _tracked(repo / "data/gate")}
    wanted |= {f"listener/_data/labels/{file.name}" for file in (repo / "data/labels").glob("written-*.jsonl")}
    assert wanted - carried == set()
    assert any(name.startswith("listener/templates/") for name in carried)
    strangers = {name for name in carried - wanted if ".dist-info/" not in name}
    assert strangers == set(), "the wheel carries files that are no part of the package"


def test_an_installed_wheel_finds_its_model_and_its_demo_posts(wheel: Path, repo: Path, tmp_path: Path) -> None:
    """In an environment of its own, in another folder: nothing of the checkout may be found by accident."""
    venv.create(tmp_path / "venv", with_pip=False)
    (site,) = (tmp_path / "venv").rglob("site-packages")
    zipfile.ZipFile(wheel).extractall(site)
    program = "from listener.resources import *; print(model_folder()); print(demo_folder())"
    python = next(path for path in (tmp_path / "venv").glob("*/python*") if path.stem == "python")
    run = subprocess.run([python, "-I", "-c", program], cwd=tmp_path, capture_output=True, text=True, check=True)
    model, demo = map(Path, run.stdout.split())
    assert site in model.parents and site in demo.parents
    assert _tracked(model) == _tracked(repo / "models") != set()
    assert _tracked(demo) == _tracked(repo / "data/demo") != set()


def test_the_wheel_announces_the_command_and_the_licence(wheel: Path) -> None:
    contents = zipfile.ZipFile(wheel)
    (info,) = {name.split("/")[0] for name in contents.namelist() if ".dist-info/" in name}
    assert "listener = listener.cli:main" in contents.read(f"{info}/entry_points.txt").decode()
    metadata = contents.read(f"{info}/METADATA").decode()
    assert "License-Expression: Apache-2.0" in metadata
    assert any(name.startswith(info) and name.endswith("LICENSE") for name in contents.namelist())


_NOT_INSTALLED = {"ray"}  # ./dev leaves it out, see pyproject.toml


def _requirements(project: dict[str, Any], extras: Iterable[str]) -> list[Requirement]:
    lines = [*project["dependencies"], *(line for extra in extras for line in project["optional-dependencies"][extra])]
    return [Requirement(line) for line in lines]


def _with_all_they_need(requirements: Iterable[Requirement]) -> Iterator[str]:
    """The canonical names of the requirements and of everything they need in turn, as installed here."""
    waiting, seen = list(requirements), set()
    while waiting:
        requirement = waiting.pop()
        key = (canonicalize_name(requirement.name), frozenset(requirement.extras))
        if key in seen:
            continue
        seen.add(key)
        yield key[0]
        if key[0] in _NOT_INSTALLED:
            continue
        for line in importlib.metadata.requires(requirement.name) or ():
            needed = Requirement(line)
            extras = requirement.extras or {""}
            if needed.marker is None or any(needed.marker.evaluate({"extra": extra}) for extra in extras):
                waiting.append(needed)


def test_constraints_pin_everything_that_is_installed(project: dict[str, Any], pins: dict[str, str]) -> None:
    for requirement in _requirements(project, project["optional-dependencies"]):
        pinned = pins.get(canonicalize_name(requirement.name))
        assert pinned is not None, f"constraints.txt does not pin {requirement.name}"
        assert pinned in requirement.specifier, f"constraints.txt pins {requirement.name} {pinned}, not {requirement}"
    needed = set(_with_all_they_need(_requirements(project, project["optional-dependencies"])))
    # The build of torch for CUDA brings its own; which of them depends on the build, and torch pins them itself.
    loose = {name for name in needed - set(pins) if not name.startswith(("nvidia-", "cuda-", "triton"))}
    assert loose <= {"pip"}, "pip is there before anything is installed; all else is to be pinned"


def test_constraints_name_versions_only(repo: Path) -> None:
    for line in (repo / "constraints.txt").read_text("utf-8").splitlines():
        assert line.startswith("#") or re.fullmatch(r"[\w.-]+==[\w.]+", line), line


def test_the_daemon_brings_neither_torch_nor_transformers(project: dict[str, Any]) -> None:
    brought = set(_with_all_they_need(_requirements(project, [])))
    assert "onnxruntime" in brought
    assert brought.isdisjoint({"torch", "transformers", "onnx", "scikit-learn", "scipy", "praw", "pytest"})


def test_whatever_is_imported_is_declared(project: dict[str, Any], repo: Path) -> None:
    """A package that merely happens to be there, because another one needs it, may be gone tomorrow."""
    declared = {canonicalize_name(each.name) for each in _requirements(project, project["optional-dependencies"])}
    providers = importlib.metadata.packages_distributions()
    loose = [
        f"{file.relative_to(repo)} imports {name}"
        for file in sorted((repo / "listener").rglob("*.py"))
        for name in sorted(_imports(file) - set(sys.stdlib_module_names) - {"listener"})
        if declared.isdisjoint(map(canonicalize_name, providers.get(name, [name])))
    ]
    assert loose == [], "declare it in pyproject.toml, with its reason"


def _imports(file: Path) -> set[str]:
    found = set()
    for node in ast.walk(ast.parse(file.read_text("utf-8"))):
        if isinstance(node, ast.Import):
            found |= {alias.name.partition(".")[0] for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            found.add(node.module.partition(".")[0])
    return found


def test_every_dependency_has_its_reason(repo: Path) -> None:
    text = (repo / "pyproject.toml").read_text("utf-8")
    lines = re.findall(r'^    "[\w.-]+[><=][^"]*",.*$', text, re.MULTILINE)
    assert len(lines) > 20
    # What pytest, ruff and mypy are for needs no words.
    for line in lines:
        assert re.search(r"\",\s+# \w", line) or re.search(r'"(pytest|ruff|mypy)>', line), line


def test_the_service_is_one_that_systemd_can_read(repo: Path) -> None:
    unit = configparser.ConfigParser(strict=False, interpolation=None)
    unit.optionxform = str  # type: ignore[assignment,method-assign]
    unit.read(repo / "config/listener.service", "utf-8")
    assert {"Unit", "Service", "Install"} == set(unit.sections())
    service = unit["Service"]
    start = shlex.split(service["ExecStart"])
    assert Path(start[0]).is_absolute()
    assert start[1:] == ["run", "--config", "/etc/listener/listener.toml"]
    assert service["ExecReload"].endswith("-HUP $MAINPID") and service["KillSignal"] == "SIGTERM"
    assert service["Type"] == "notify" and int(service["WatchdogSec"]) >= 60
    assert service["Restart"] == "on-failure" and int(service["TimeoutStopSec"]) >= 10
    assert {service[key] for key in ("DynamicUser", "NoNewPrivileges", "PrivateTmp")} == {"yes"}
    assert service["ProtectSystem"] == "strict" and "MemoryMax" in service
    # All that the daemon writes lies in the only folder it may write to.
    assert service["Environment"].startswith(f"LISTENER_DB=/var/lib/{service['StateDirectory']}/")


@pytest.mark.skipif(os.name != "posix", reason="./dev is a POSIX shell script")
def test_dev_says_how_it_is_used(repo: Path) -> None:
    for script in ("dev", ".ci/run"):
        assert os.access(repo / script, os.X_OK)
    run = subprocess.run([repo / "dev"], capture_output=True, text=True, check=False)
    assert run.returncode == 2 and "./dev demo" in run.stderr and run.stdout == ""


@pytest.mark.skipif(os.name != "posix", reason="./dev is a POSIX shell script")
def test_dev_names_the_remedy_when_python_is_too_old(repo: Path, tmp_path: Path) -> None:
    (tmp_path / "dev").write_bytes((repo / "dev").read_bytes())
    (tmp_path / "bin").mkdir()
    for tool in ("dirname", "sh"):
        (tmp_path / "bin" / tool).symlink_to(f"/bin/{tool}" if Path(f"/bin/{tool}").exists() else f"/usr/bin/{tool}")
    environment = {"PATH": str(tmp_path / "bin")}
    run = subprocess.run(
        ["/bin/sh", str(tmp_path / "dev"), "demo"], env=environment, capture_output=True, text=True, check=False
    )
    assert run.returncode == 1 and "no Python 3.11 or newer" in run.stderr and "PYTHON=" in run.stderr
