"""What every kind of source promises, as tests: for the kinds here and for those of other packages.

A package with a source of its own writes, in its tests:

    class TestWeather(SourceContract):
        kind = "weather"
        payloads = Path(__file__).parent / "payloads"

`payloads` holds replies of its own writing and a contract.toml:

    broken = ["file that is none of this source's replies", ...]
    [env]                    # environment variables that hold the secrets of the settings
    [settings]               # as in the configuration, without name and kind
    [answers]                # address = file that answers it, whatever the parameters
"""

from __future__ import annotations

import json
import socket
import tomllib
from collections.abc import Callable, Mapping
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, ClassVar

import pytest
from pydantic import BaseModel, ValidationError

from listener.errors import Broken, Refused, Retry, SourceError
from listener.http import Response
from listener.records import Page, Post
from listener.sources import Source, can_recheck, load

NOW = datetime(2026, 11, 22, 12, 0, tzinfo=UTC)


class Contract:
    """One kind's contract: the source, its settings, and `get`s that answer from its files."""

    def __init__(self, kind: str, folder: Path) -> None:
        self.kind, self.folder = kind, folder
        self.told = tomllib.loads((folder / "contract.toml").read_text("utf-8"))
        self.source: Source = load(kind)
        self.settings: BaseModel = self.source.Settings.model_validate(self.told["settings"])

    def answer(self, url: str, **_: Any) -> Response:
        """The reply of the file that stands for this address."""
        assert url in self.told["answers"], f"{url} is asked for, and the contract holds no answer"
        headers = {"etag": f'"{len(url)}"', "last-modified": "Sat, 21 Nov 2026 00:00:00 GMT"}
        return Response(200, url, headers, (self.folder / self.told["answers"][url]).read_bytes())

    def run(
        self, get: Callable[..., Response] | None = None, cursor: Mapping[str, Any] | None = None, now: datetime = NOW
    ) -> list[Page]:
        """The pages of one fetch."""
        return list(self.source.fetch(self.settings, cursor, get or self.answer, now, "the source"))  # type: ignore[arg-type]


def _posts(pages: list[Page]) -> list[Post]:
    return [post for page in pages for post in page.posts]


def _cursor(pages: list[Page]) -> Mapping[str, Any] | None:
    return next((page.cursor for page in reversed(pages) if page.cursor is not None), None)


ERRORS = [Retry("too often", after=17), Refused("closed"), Broken("gone")]


class SourceContract:
    """Subclass it as Test..., name `kind` and `payloads`, and pytest does the rest."""

    kind: ClassVar[str]
    payloads: ClassVar[Path]

    @pytest.fixture
    def contract(self, monkeypatch: pytest.MonkeyPatch) -> Contract:
        contract = Contract(self.kind, self.payloads)
        for name, value in contract.told.get("env", {}).items():
            monkeypatch.setenv(name, value)
        return contract

    def test_keys_are_there_and_unique(self, contract: Contract) -> None:
        found = _posts(contract.run())
        keys = [(post.source, post.native_id) for post in found]
        assert len(found) >= 3
        assert len(set(keys)) == len(keys)
        assert all(source == "the source" and native_id == native_id.strip() != "" for source, native_id in keys)

    def test_what_a_post_holds(self, contract: Contract) -> None:
        for post in _posts(contract.run()):
            assert post.text.strip()
            assert "<p>" not in post.text + post.title
            assert post.kind in ("post", "comment", "review", "article")
            assert not post.url or post.url.startswith(("http://", "https://"))
            for moment in (post.created_at, post.edited_at):
                assert moment is None or (moment.utcoffset() == timedelta(0) and moment <= NOW + timedelta(hours=1))
            (post.title + post.text + post.author + post.native_id + post.lang).encode("utf-8")

    def test_a_second_run_from_the_cursor_adds_nothing(self, contract: Contract) -> None:
        first = contract.run()
        again = contract.run(cursor=_cursor(first), now=NOW + timedelta(minutes=30))
        assert {post.native_id for post in _posts(again)} <= {post.native_id for post in _posts(first)}

    def test_the_cursor_survives_json(self, contract: Contract) -> None:
        cursor = _cursor(contract.run())
        assert cursor and json.loads(json.dumps(cursor)) == cursor

    def test_a_broken_reply_is_broken_and_kept(self, contract: Contract) -> None:
        assert contract.told["broken"]
        for file in contract.told["broken"]:
            payload = (contract.folder / file).read_bytes()
            with pytest.raises(Broken) as caught:
                contract.run(lambda url, payload=payload, **_: Response(200, url, {}, payload))
            assert str(caught.value), file
            assert caught.value.payload == payload[:65536], file

    @pytest.mark.parametrize("error", ERRORS)
    def test_what_the_server_says_reaches_the_caller(self, contract: Contract, error: SourceError) -> None:
        def get(url: str, **_: Any) -> Response:
            raise error

        with pytest.raises(type(error)) as caught:
            contract.run(get)
        assert caught.value is error
        assert getattr(caught.value, "after", None) == getattr(error, "after", None)

    def test_nothing_is_fetched_but_through_get(self, contract: Contract, monkeypatch: pytest.MonkeyPatch) -> None:
        def opened(*_: Any, **__: Any) -> Any:
            raise AssertionError("a socket was opened beside `get`")

        contract.run()  # imports done
        monkeypatch.setattr(socket, "socket", opened)
        monkeypatch.setattr(socket, "getaddrinfo", opened)
        assert _posts(contract.run())

    def test_settings_explain_themselves_and_refuse_what_they_do_not_know(self, contract: Contract) -> None:
        for name, field in contract.source.Settings.model_fields.items():
            assert field.description, f"{name} has no description"
        with pytest.raises(ValidationError):
            contract.source.Settings.model_validate({**contract.told["settings"], "no_such_key": 1})

    def test_what_people_are_told_of_it(self, contract: Contract) -> None:
        about = contract.source.ABOUT
        assert about.brings and about.key and about.limits and about.terms
        assert about.keep in ("matched", "all")

    @pytest.mark.parametrize("error", ERRORS)
    def test_what_the_server_says_to_a_recheck_reaches_the_caller(self, contract: Contract, error: SourceError) -> None:
        if not can_recheck(contract.kind):
            return
        ids = [post.native_id for post in _posts(contract.run())]
        at_once = contract.source.RECHECK_AT_ONCE  # type: ignore[attr-defined]

        def get(url: str, **_: Any) -> Response:
            raise error

        assert 1 <= at_once <= 1000
        with pytest.raises(type(error)) as caught:
            for page in contract.source.recheck(contract.settings, None, ids[:at_once], get, NOW, "the source"):  # type: ignore[attr-defined]
                assert not page.deleted, "a failure is no deletion"
        assert caught.value is error
