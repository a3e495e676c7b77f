"""The shape of the code, held by its syntax trees: who imports whom, who looks at the clock, how long files are."""

from __future__ import annotations

import ast
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

# A module imports from the rows above its own. A package name stands for every module in it.
LAYERS = (
    "records errors text language query schedule resources engine.labels crash",
    "settings choice engine.checkpoint example config log http mail backups migrations wording",
    "sources engine scoring tables store reads topics trends exports charts",
    "alerts digest",
    "linking tally backtest",
    "pipeline tagging archives merging alerting upkeep",
    "demo doctor",
    "web daemon training",
    "cli __main__",
)
# Within a row only these: module -> what it may import beside its own package.
BESIDE = {
    "text": "records errors",
    "query": "records errors text language",
    "schedule": "records errors",
    "resources": "errors",
    "example": "settings",
    "engine": "settings",
    "config": "settings engine example choice",
    "http": "settings config",
    "mail": "settings config wording http",
    "migrations": "backups",
    "scoring": "engine",
    "store": "tables",
    "reads": "tables",
    "trends": "reads tables",
    "topics": "reads",
    "charts": "reads trends",
    "digest": "alerts",
    "alerting": "pipeline",
    "upkeep": "pipeline",
    "__main__": "cli",
}
CLOCK = {"datetime.now", "datetime.utcnow", "datetime.today", "date.today", "time.time", "time.sleep"}
MAY_LOOK_AT_THE_CLOCK = {"cli", "daemon", "http", "training"}
SLOW = [
    "torch", "transformers", "onnxruntime", "praw", "altair", "datasette", "apscheduler",
    "requests", "websockets", "bs4", "feedparser", "pydantic", "jinja2", "numpy",
]  # fmt: skip
LONGEST_FILE = 400


def _modules(repo: Path) -> Iterator[tuple[str, ast.Module]]:
    """("engine.onnx", its syntax tree) of every module; a package is named without its __init__."""
    for file in sorted((repo / "listener").rglob("*.py")):
        parts = file.relative_to(repo / "listener").with_suffix("").parts
        name = ".".join(parts[:-1] if parts[-1] == "__init__" else parts)
        yield name, ast.parse(file.read_text("utf-8"), str(file))


@pytest.fixture(scope="module")
def modules(repo: Path) -> dict[str, ast.Module]:
    found = dict(_modules(repo))
    assert len(found) > 10
    return found


def _row(module: str) -> int | None:
    """The number of the module's row, by its own name or that of its package."""
    while module:
        for number, row in enumerate(LAYERS):
            if module in row.split():
                return number
        module = module.rpartition(".")[0]
    return None


def _ours(name: str, tree: ast.Module, known: set[str]) -> Iterator[tuple[int, str]]:
    """(line, module of ours) for every import, those inside functions and `from listener import x` included."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from ((node.lineno, each.name[9:]) for each in node.names if each.name.startswith("listener."))
        elif isinstance(node, ast.ImportFrom):
            assert not node.level, f"{name}:{node.lineno}: write imports in full, from listener. ..."
            module = node.module or ""
            if module == "listener" or module.startswith("listener."):
                base = module[9:]
                names = [f"{base}.{each.name}".lstrip(".") for each in node.names]
                found = {full if full in known else base for full in names}
                yield from ((node.lineno, module) for module in sorted(found) if module)  # not the package itself


def _allowed(importer: str, imported: str) -> bool:
    above, here = _row(imported), _row(importer)
    if above is None or here is None:
        return False
    if above != here:
        return above < here
    package, other = importer.partition(".")[0], imported.partition(".")[0]
    return package == other or other in BESIDE.get(package, "").split()


def test_every_module_has_its_place(modules: dict[str, ast.Module]) -> None:
    lost = [name for name in modules if name and _row(name) is None]
    assert lost == [], "give them a row in LAYERS"


def test_imports_point_one_way(modules: dict[str, ast.Module]) -> None:
    wrong = [
        f"listener/{name.replace('.', '/')}.py:{line} imports listener.{imported}"
        for name, tree in modules.items()
        for line, imported in _ours(name, tree, set(modules))
        if not _allowed(name, imported)
    ]
    assert wrong == []


def test_the_direction_test_sees_what_it_should() -> None:
    tree = ast.parse("def f():\n    from listener import store\n    import listener.engine.onnx\n")
    known = {"store", "engine.onnx"}
    assert [imported for _, imported in _ours("sources.feeds", tree, known)] == ["store", "engine.onnx"]
    assert not _allowed("sources.feeds", "store") and not _allowed("sources.feeds", "engine.onnx")
    assert not _allowed("engine.onnx", "sources") and not _allowed("trends", "store")
    assert _allowed("engine.onnx", "engine.labels") and _allowed("store", "engine.labels")
    assert _allowed("sources.files", "sources.columns") and _allowed("cli.shared", "daemon")


def test_no_file_is_too_long_to_be_read(repo: Path) -> None:
    lengths = {file: len(file.read_text("utf-8").splitlines()) for file in (repo / "listener").rglob("*.py")}
    assert {str(file): length for file, length in lengths.items() if length > LONGEST_FILE} == {}


def test_only_the_command_line_prints(modules: dict[str, ast.Module]) -> None:
    printing = [
        f"{name}:{node.lineno}"
        for name, tree in modules.items()
        for node in ast.walk(tree)
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == "print"
    ]
    assert [place for place in printing if not place.startswith("cli")] == []


def test_torch_stays_in_training_and_its_own_engine(modules: dict[str, ast.Module]) -> None:
    users = set()
    for name, tree in modules.items():
        for node in ast.walk(tree):
            names = [each.name for each in node.names] if isinstance(node, ast.Import) else []
            names += [node.module or ""] if isinstance(node, ast.ImportFrom) else []
            if {each.partition(".")[0] for each in names} & {"torch", "transformers"}:
                users.add(name)
    assert {name for name in users if not name.startswith(("training", "engine.torch"))} == set()


def test_the_core_has_no_clock(modules: dict[str, ast.Module]) -> None:
    looks = [
        f"{name}:{node.lineno} {ast.unparse(node)}"
        for name, tree in modules.items()
        if name.partition(".")[0] not in MAY_LOOK_AT_THE_CLOCK
        for node in ast.walk(tree)
        # `now=datetime.now` handed on without a call is a look at the clock too
        if isinstance(node, ast.Attribute) and ".".join(ast.unparse(node).split(".")[-2:]) in CLOCK
    ]
    assert looks == [], "take `now` as an argument"


def test_the_command_line_starts_without_the_slow_packages(repo: Path) -> None:
    program = f"import sys, listener.cli; print(*sorted(set({SLOW!r}) & set(sys.modules)))"
    run = subprocess.run([sys.executable, "-c", program], cwd=repo, capture_output=True, text=True, check=False)
    assert run.returncode == 0, run.stderr
    assert run.stdout.split() == []


def test_tests_reach_nothing_but_loopback() -> None:
    with socket.socket() as client, pytest.raises(RuntimeError, match="only loopback"):
        client.connect(("192.0.2.1", 80))
    with socket.socket() as client, pytest.raises(RuntimeError, match="only loopback"):
        client.connect_ex(("192.0.2.1", 80))
    with pytest.raises(RuntimeError, match="only loopback"):
        socket.getaddrinfo("example.org", 80)
    with socket.create_server(("127.0.0.1", 0)) as server, socket.create_connection(server.getsockname()) as client:
        assert client.getpeername() == server.getsockname()
