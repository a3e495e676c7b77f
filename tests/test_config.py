"""The configuration file as its owner meets it: what it means, what a mistake is told, what secrets need."""

from __future__ import annotations

import os
import re
import stat
import tomllib
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import BaseModel, ConfigDict, Field

from listener import config as configuration
from listener.config import Config, RecipientSettings, SourceSettings, author_key, load, options, warnings
from listener.errors import ConfigError
from listener.example import to_toml
from listener.settings import FilePath

FULL = """
timezone = "Europe/Berlin"
database = "data/posts.db"

[[brand]]
name = "Acme"
aliases = ["Acme Corp"]

[[brand]]
name = "Globex"
role = "competitor"
query = '"globex corp" OR globexcorp'

[[source]]
name = "news"
kind = "feeds"
every = "2h"
urls = ["https://example.org/feed"]

[[source]]
name = "shop"
kind = "files"
brand = "Acme"
enabled = false
keep = "all"

[[recipient]]
email = "ann@example.org"
brands = ["Acme"]
at = 06:15:00
timezone = "Asia/Kolkata"

[mail]
host = "smtp.example.org"
sender = "Listener <listener@example.org>"
password_file = "secret"

[model]
threads = 2
[http]
contact = "ann@example.org"
[privacy]
authors = "plain"
[log]
level = "debug"
"""


@pytest.fixture(autouse=True)
def no_database_from_outside(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("LISTENER_DB", raising=False)


@pytest.fixture
def write(tmp_path: Path):
    def write(text: str | bytes) -> Path:
        path = tmp_path / "listener.toml"
        path.write_bytes(text if isinstance(text, bytes) else text.encode())
        return path

    return write


@pytest.fixture
def complaint(write):
    """The message that a configuration is refused with, without the name of the file."""

    def complaint(text: str | bytes) -> str:
        path = write(text)
        with pytest.raises(ConfigError) as caught:
            load(path)
        message = str(caught.value)
        assert message.startswith(str(path))
        return message.removeprefix(str(path))

    return complaint


class Feeds(BaseModel):
    model_config = ConfigDict(extra="forbid")
    urls: list[str] = Field(description="Addresses of feeds.", examples=[["https://example.org/feed"]])
    cache: FilePath | None = Field(None, description="A folder.", examples=["cache"])


def test_a_full_configuration(write, tmp_path: Path) -> None:
    config = load(write(FULL))
    assert config.zone == ZoneInfo("Europe/Berlin")
    assert config.database == tmp_path / "data/posts.db"
    assert [(brand.name, brand.role) for brand in config.brands] == [("Acme", "own"), ("Globex", "competitor")]
    news, shop = config.sources
    assert (news.every_s, news.enabled, news.options) == (7200, True, {"urls": ["https://example.org/feed"]})
    assert (shop.brand, shop.enabled, shop.keep, shop.every_s) == ("Acme", False, "all", 1800)
    (ann,) = config.recipients
    assert (ann.at, ann.cadence, ann.quiet) == ("06:15", "daily", "send")
    assert config.zone_of(ann) == ZoneInfo("Asia/Kolkata")
    assert config.mail.password_file == tmp_path / "secret"
    assert (config.mail.port, config.model.threads, config.http.timeout_s) == (587, 2, 20)
    assert (config.privacy.authors, config.log.level, config.log.format) == ("plain", "DEBUG", "plain")


def test_without_a_file_the_defaults_hold(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.chdir(tmp_path)
    config = load(None)
    assert config.path is None and config.sources == [] and config.mail.host == ""
    assert config.database == tmp_path / "data/listener.db"
    assert config.zone.key
    assert config.zone_of(RecipientSettings(email="a@example.org")) == config.zone


def test_an_empty_file_is_the_defaults_and_data_lies_beside_it(write, tmp_path: Path) -> None:
    assert load(write("")).database == tmp_path / "data/listener.db"


def test_listener_db_outranks_the_file(write, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    path = write("database = 'mine.db'")
    monkeypatch.setenv("LISTENER_DB", str(tmp_path))
    assert load(path).database == tmp_path / "listener.db"
    monkeypatch.setenv("LISTENER_DB", str(tmp_path / "other.db"))
    assert load(path).database == tmp_path / "other.db"


def test_a_file_from_a_windows_editor_is_read(write) -> None:
    assert load(write(b"\xef\xbb\xbftimezone = 'UTC'\r\n[log]\r\nlevel = 'INFO'\r\n")).timezone == "UTC"


@pytest.mark.parametrize(
    ("text", "place", "remedy"),
    [
        ("[http]\ntimout_s = 3", "[http]", "unknown key 'timout_s'; did you mean 'timeout_s'?"),
        ("timezon = 'UTC'", "", "unknown key 'timezon'; did you mean 'timezone'?"),
        ("[[sources]]\nname='x'", "", "unknown table 'sources'; did you mean 'source'?"),
        ("port = 25", "", "unknown key 'port'; it belongs under [mail]"),
        ("[[brand]]\nname='A'\nalias=['b']", '[[brand]] "A"', "did you mean 'aliases'?"),
        ("[[brand]]\nrole='own'", "[[brand]] number 1", "name is missing"),
        ("[[brand]]\nname='A'\nrole='rival'", '[[brand]] "A" role', "'own' or 'competitor', not 'rival'"),
        ("[[brand]]\nname='A'\naliases=['b', 3]", '[[brand]] "A" aliases 1', "valid string, not 3"),
        ("[[brand]]\nname='A'\nquery='(a OR'", '[[brand]] "A" query', "^"),
        ("[[brand]]\nname='A'\n[[brand]]\nname='a'", '[[brand]] "a"', "two of that name"),
        ("[source]\nname='a'\nkind='feeds'", "[source]", "[[source]]"),
        ("[[source]]\nname='a'", '[[source]] "a"', "kind is missing"),
        ("[[source]]\nname='a'\nkind='feeds'\nevery='5s'", '[[source]] "a" every', "at least 10 seconds"),
        ("[[source]]\nname='a'\nkind='feeds'\nevery=600", '[[source]] "a" every', "600 is not an interval"),
        ("[[source]]\nname='a'\nkind='x'\nbrand='Acm'\n[[brand]]\nname='Acme'", '"a" brand', "did you mean 'Acme'?"),
        ("[[source]]\nname='a'\nkind='x'\n[[source]]\nname='a'\nkind='x'", '[[source]] "a"', "two of that name"),
        ("[[recipient]]\nemail='nobody'", '[[recipient]] "nobody" email', "not a mail address"),
        ("[[recipient]]\nemail='a@b.c'\nat='25:00'", '[[recipient]] "a@b.c" at', "write it as '07:30'"),
        ("[[recipient]]\nemail='a@b.c'\nbrands=['X']", '[[recipient]] "a@b.c" brands', "no [[brand]] called 'X'"),
        ("[[recipient]]\nemail='a@b.c'\nsources=['X']", '[[recipient]] "a@b.c" sources', "no [[source]] called 'X'"),
        ("[[recipient]]\nemail='a@b.c'\ndates='xx-nowhere'", '[[recipient]] "a@b.c" dates', "write a language as 'de'"),
        ("[mail]\npage='listener.example.org'", "[mail] page", "is not the address of a page"),
        ("[[recipient]]\nemail='a@b.c'\n[[recipient]]\nemail='A@b.c'", '"A@b.c"', "two of that name"),
        ("timezone = 'Berlin'", "timezone", "did you mean 'Europe/Berlin'?"),
        ("timezone = 'Europe/Berln'", "timezone", "did you mean 'Europe/Berlin'?"),
        ("timezone = '../../etc/passwd'", "timezone", "there is no time zone"),
        ("timezone = 'America'", "timezone", "there is no time zone"),
        ("[mail]\nport='often'", "[mail] port", "valid integer"),
        ("[mail]\nport=70000", "[mail] port", "65535"),
        ("[mail]\nhost='h'", "[mail]", "sender is missing"),
        ("[mail]\nsecurity='ssl'", "[mail] security", "'tls'"),
        ("[mail]\nsender='me'", "[mail] sender", "not a mail address"),
        ("[mail]\npassword_env='P'\npassword_file='p'", "[mail]", "keep one"),
        ("mail = 3", "[mail]", "this is a table"),
        ("[http]\ncontact = \"a\\r\\nX-Evil: 1\"", "[http] contact", "one line"),
        ("[http]\ngap_s = inf", "[http] gap_s", "finite number"),
        ("[log]\nlevel='LOUD'", "[log] level", "'DEBUG'"),
    ],
)  # fmt: skip
def test_a_mistake_is_told_with_its_place_and_its_remedy(complaint, text: str, place: str, remedy: str) -> None:
    message = complaint(text)
    assert message.startswith(f": {place}") or place in message
    assert remedy in message
    assert "things to mend" not in message


def test_all_mistakes_are_told_at_once(complaint) -> None:
    message = complaint("colour = 'red'\n[http]\ntimout_s = 3\n[mail]\nport = 0\n[log]\nlevel = 'LOUD'")
    assert "4 things to mend" in message
    assert all(word in message for word in ("colour", "timout_s", "[mail] port", "[log] level"))


def test_toml_mistakes_name_line_and_column(complaint) -> None:
    assert re.search(r"line 3, column \d+", complaint("[log]\nlevel = 'INFO'\nformat = plain\n"))
    assert re.search(r"line 2, column \d+, the end of the file", complaint("[log]\nlevel = "))
    assert "byte 8 is not UTF-8" in complaint(b"[log]\n# \xff\n")


def test_a_file_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="listener init"):
        load(tmp_path / "none.toml")
    with pytest.raises(ConfigError, match="cannot be read"):
        load(tmp_path)


@given(st.text(max_size=200) | st.lists(st.sampled_from(FULL.splitlines())).map("\n".join))
def test_no_text_brings_anything_but_settings_or_a_config_error(tmp_path_factory, text: str) -> None:
    path = tmp_path_factory.getbasetemp() / "any.toml"
    path.write_text(text, "utf-8", "surrogatepass")
    try:
        assert isinstance(load(path), Config)
    except ConfigError as error:
        assert str(path) in str(error)


scalars = st.sampled_from(
    ["x", "", "é\n", 0, -1, 1e300, True, "10m", "07:30", [], ["a"], {}, {"name": "x"}, [{"a": 1}]]
)


@given(
    st.sampled_from(sorted(configuration.TABLES)),
    st.dictionaries(st.sampled_from(["name", "kind", "every", "email", "at", "host", "port", "level", "zz"]), scalars),
    st.booleans(),
)
def test_no_table_brings_anything_but_settings_or_a_config_error(
    tmp_path_factory, head: str, keys: dict[str, object], many: bool
) -> None:
    table = f"[[{head}]]\n" if many else f"[{head}]\n"
    path = tmp_path_factory.getbasetemp() / "table.toml"
    path.write_text(table + "".join(f"{key} = {to_toml(value)}\n" for key, value in keys.items()), "utf-8")
    try:
        assert isinstance(load(path), Config)
    except ConfigError as error:
        assert f"[{head}]" in str(error)


@given(st.integers(1, 10_000), st.sampled_from("smhd"))
def test_intervals(number: int, unit: str) -> None:
    seconds = number * {"s": 1, "m": 60, "h": 3600, "d": 86400}[unit]
    table = {"name": "a", "kind": "b", "every": f"{number}{unit}"}
    if 10 <= seconds <= 366 * 86400:
        assert SourceSettings.model_validate(table).every_s == seconds
    else:
        with pytest.raises(ValueError, match="out of range"):
            SourceSettings.model_validate(table)


def test_sources_are_found_and_replaced_by_name(write) -> None:
    config = load(write(FULL))
    assert config.source("news").kind == "feeds"
    with pytest.raises(ConfigError, match="did you mean 'news'"):
        config.source("newss")
    other = SourceSettings(name="shop", kind="files", keep="matched")
    added = SourceSettings(name="more", kind="files")
    changed = config.with_source(other).with_source(added)
    assert [source.name for source in changed.sources] == ["news", "shop", "more"]
    assert changed.source("shop") == other and config.source("shop") != other
    assert changed.zone == config.zone


def test_the_keys_of_a_kind_are_checked_by_its_model(write, tmp_path: Path) -> None:
    config = load(write("[[source]]\nname = 'n'\nkind = 'feeds'\nurls = ['https://example.org']\ncache = 'here'"))
    settings = options(config.sources[0], Feeds, config.path)
    assert settings.urls == ["https://example.org"] and settings.cache == tmp_path / "here"

    config = load(write("[[source]]\nname = 'n'\nkind = 'feeds'\nurl = 'https://example.org'\nevry = '1h'"))
    with pytest.raises(ConfigError) as caught:
        options(config.sources[0], Feeds, config.path)
    message = str(caught.value)
    assert str(config.path) in message and '[[source]] "n"' in message
    assert "'url'; did you mean 'urls'?" in message
    assert "'evry'; did you mean 'every'?" in message
    assert "urls is missing: Addresses of feeds." in message


def test_a_password_in_the_file_is_refused_and_not_repeated(complaint) -> None:
    message = complaint("[mail]\nhost = 'h'\npassword = 'hunter2'")
    assert "password_env" in message and "password_file" in message
    assert "hunter2" not in message


def test_passwords_come_from_the_environment_or_a_file(write, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    assert load(write("")).mail.password() == ""

    by_name = load(write("[mail]\npassword_env = 'LISTENER_TEST_PASSWORD'")).mail
    with pytest.raises(ConfigError, match="LISTENER_TEST_PASSWORD"):
        by_name.password()
    monkeypatch.setenv("LISTENER_TEST_PASSWORD", "over the wall")
    assert by_name.password() == "over the wall"

    by_file = load(write("[mail]\npassword_file = 'secret'")).mail
    with pytest.raises(ConfigError, match="password_file"):
        by_file.password()
    (tmp_path / "secret").write_text(" pass word \n")
    assert by_file.password() == " pass word "


@pytest.mark.skipif(os.name != "posix", reason="file modes are POSIX")
def test_secrets_that_others_can_read_are_warned_of(write, tmp_path: Path) -> None:
    secret = tmp_path / "secret"
    secret.write_text("x")
    secret.chmod(0o644)
    config = load(write(FULL))
    assert any(str(secret) in warning and "chmod 600" in warning for warning in warnings(config))
    secret.chmod(0o600)
    assert not any(str(secret) in warning for warning in warnings(config))


def test_secret_files_of_sources_and_webhooks_are_looked_at_too(write, tmp_path: Path) -> None:
    for name in ("token", "key"):
        (tmp_path / name).write_text("s3cret")
        (tmp_path / name).chmod(0o644)
    path = write(
        '[[source]]\nname = "social"\nkind = "mastodon"\ntoken = { file = "token" }\n'
        '[[webhook]]\nname = "hook"\nurl = "https://example.org/"\nsecret = { file = "key" }\n'
    )
    found = "\n".join(warnings(load(path)))
    assert f'[[source]] "social" token: others can read {tmp_path}/token' in found
    assert f'[[webhook]] "hook" secret: others can read {tmp_path}/key' in found


def test_settings_that_do_nothing_are_warned_of(write) -> None:
    assert warnings(load(write("[[brand]]\nname = 'A'"))) == []
    text = "[[source]]\nname='a'\nkind='x'\n[[recipient]]\nemail='a@b.c'\n"
    assert [warning.split(" ", 2)[:2] for warning in warnings(load(write(text)))] == [
        ["no", "[[brand]]"], ["[mail]", "host"], ["[http]", "contact"],
    ]  # fmt: skip
    open_text = "[[brand]]\nname='A'\n[mail]\nhost='h'\nsender='a@b.c'\nusername='u'\nsecurity='none'"
    assert "in the clear" in warnings(load(write(open_text)))[0]


def test_the_author_key_is_made_once_and_kept(write, tmp_path: Path) -> None:
    config = load(write(""))
    with ThreadPoolExecutor(8) as pool:  # the daemon and a command may both be the first
        keys = set(pool.map(lambda _: author_key(config), range(32)))
    assert len(keys) == 1
    (key,) = keys
    assert len(key) == 32
    path = tmp_path / "data/listener.key"
    assert path.read_bytes() == key
    assert [file.name for file in path.parent.iterdir()] == ["listener.key"]
    if os.name == "posix":
        assert stat.S_IMODE(path.stat().st_mode) == 0o600


def test_the_author_key_needs_no_hard_links(write, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    def unsupported(*_: object) -> None:
        raise OSError("not supported")

    monkeypatch.setattr(os, "link", unsupported)
    config = load(write(""))
    assert author_key(config) == author_key(config) == (tmp_path / "data/listener.key").read_bytes()


def test_a_damaged_author_key_is_told_and_not_replaced(write, tmp_path: Path) -> None:
    (tmp_path / "short.key").write_bytes(b"123")
    config = load(write("[privacy]\nkey_file = 'short.key'"))
    with pytest.raises(ConfigError, match="holds 3 bytes"):
        author_key(config)
    assert (tmp_path / "short.key").read_bytes() == b"123"


def _own_kinds() -> dict[str, type[BaseModel]]:
    """The kinds of this package; those of other packages that happen to be installed are not in the example."""
    from listener import sources

    return {kind: sources.load(kind).Settings for kind in sources._BUILT_IN}


def test_the_example_is_the_settings(repo: Path) -> None:
    written = (repo / "config/listener.example.toml").read_text("utf-8")
    assert written == configuration.example(_own_kinds()), "write the example again: see CONTRIBUTING.md"


def test_the_example_is_a_working_start(repo: Path) -> None:
    config = load(repo / "config/listener.example.toml")
    assert {source.kind for source in config.sources} == {"feeds", "hackernews"}
    assert {brand.role for brand in config.brands} == {"own", "competitor"}
    for source in config.sources:
        options(source, _own_kinds()[source.kind], config.path)


def test_every_default_in_the_example_may_be_taken_as_it_stands(write) -> None:
    """Each commented key, uncommented, is valid TOML and a valid setting."""
    text = re.sub(r"^#(?=[\[a-z])", "", configuration.example(_own_kinds()), flags=re.MULTILINE)
    # Of the two ways to give a password only one may be used, and the sender is wanted as soon as there is a host.
    table = tomllib.loads(text)
    assert set(table) == {"timezone", "database", *configuration.TABLES}
    for name, model in configuration.TABLES.items():
        entries = table[name] if isinstance(table[name], list) else [table[name]]
        assert set(model.model_fields) - {"options"} <= set(entries[0]), name
    config = load(write(text))
    assert {source.kind for source in config.sources} == set(_own_kinds())
    for source in config.sources:
        options(source, _own_kinds()[source.kind], config.path)
