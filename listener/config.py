"""The configuration file: TOML in, checked settings out. Every mistake is named with its place, and all at once."""

from __future__ import annotations

import ipaddress
import os
import re
import secrets
import stat
import textwrap
import tomllib
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, TypeVar

from pydantic import BaseModel, ValidationError

from listener import choice
from listener.engine import checkpoint
from listener.errors import ConfigError, ModelError, QueryError
from listener.example import example
from listener.query import brand_query
from listener.settings import (
    AlertSettings,
    BrandSettings,
    Config,
    HeadSettings,
    HealthSettings,
    HttpSettings,
    LogSettings,
    MailSettings,
    ModelSettings,
    OperatorSettings,
    PrivacySettings,
    RecipientSettings,
    SourceSettings,
    WebhookSettings,
    nearest,
)
from listener.settings.secrets import Secret

__all__ = [
    "AlertSettings",
    "BrandSettings",
    "Config",
    "HeadSettings",
    "HealthSettings",
    "HttpSettings",
    "LogSettings",
    "MailSettings",
    "ModelSettings",
    "OperatorSettings",
    "PrivacySettings",
    "RecipientSettings",
    "SourceSettings",
    "WebhookSettings",
    "author_key",
    "example",
    "load",
    "options",
    "warnings",
]

TABLES: Mapping[str, type[BaseModel]] = {
    "brand": BrandSettings,
    "source": SourceSettings,
    "recipient": RecipientSettings,
    "webhook": WebhookSettings,
    "alerts": AlertSettings,
    "operator": OperatorSettings,
    "mail": MailSettings,
    "model": ModelSettings,
    "http": HttpSettings,
    "privacy": PrivacySettings,
    "log": LogSettings,
    "health": HealthSettings,
}
_LISTS = {
    "brand": "name",
    "source": "name",
    "recipient": "email",
    "webhook": "name",
}  # tables that come many times, and what names one
_TOP_KEYS = ("timezone", "database", *TABLES)
_KEY_BYTES = 32

Model = TypeVar("Model", bound=BaseModel)


def load(path: Path | None, database: Path | str | None = None) -> Config:
    """The settings of a TOML file, or the defaults for None; relative paths are taken from the file's folder.

    The argument `database`, else $LISTENER_DB, outranks the `database` of the file: it names the database, or a folder
    that holds listener.db. Raises ConfigError with the file, the table, the key and the remedy of all that is wrong.
    """
    table = {} if path is None else _read(path)
    folder = Path.cwd() if path is None else path.absolute().parent
    problems = list(_unknown_at_top(table))
    known = {key: value for key, value in table.items() if key in _TOP_KEYS}
    try:
        config = Config.model_validate({**known, "path": path}, context={"folder": folder})
    except ValidationError as error:
        problems += _explain(error, lambda loc: _place(loc, table), _model_at)
    else:
        problems += _disagreements(config)
    if problems:
        raise ConfigError(_listed(path, problems))
    config = config.model_copy(update={"names_model": config.model.folder is not None})
    named = str(database) if database else os.environ.get("LISTENER_DB")
    if named:
        chosen = _database(named)
        config = config.model_copy(update={"database": chosen, "named_database": chosen if database else None})
    return with_model(config)


def with_model(config: Config) -> Config:
    """The configuration with the model that `listener models use` put in charge; itself when that is so already.

    Raises ModelError when the file that says which cannot be read.
    """
    if config.names_model:
        return config
    folder = choice.in_use(config.database)
    if folder == config.model.folder:
        return config
    return config.model_copy(update={"model": config.model.model_copy(update={"folder": folder})})


def options(source: SourceSettings, model: type[Model], path: Path | None) -> Model:
    """The keys of a source's own kind, checked by the kind's settings model; relative paths as in `load`.

    A path of the model is a `listener.settings.FilePath`. Raises ConfigError, in the words of `load`.
    """
    folder = Path.cwd() if path is None else path.absolute().parent
    place = f'[[source]] "{source.name}"'
    try:
        return model.model_validate(source.options, context={"folder": folder})
    except ValidationError as error:
        common = [key for key in SourceSettings.model_fields if key != "options"]
        problems = _explain(error, lambda loc: " ".join([place, *map(str, loc)]), lambda _: model, common)
        raise ConfigError(_listed(path, problems)) from error


def warnings(config: Config) -> list[str]:
    """What works but should be looked at, one sentence each: secrets others can read, settings that do nothing."""
    return list(_warnings(config))


def author_key(config: Config) -> bytes:
    """The key of the authors' hashes, 32 bytes; made at first use, readable by its owner alone.

    Raises ConfigError when it cannot be read or written. Without it the authors that are stored cannot be told
    again, so it belongs in the backup of the database.
    """
    path = config.privacy.key_file or config.database.parent / "listener.key"
    try:
        if not path.exists():
            _write_key(path)
        key = path.read_bytes()
    except OSError as error:
        raise ConfigError(f"[privacy] key_file: {path} cannot be read or written: {error}") from error
    if len(key) != _KEY_BYTES:
        raise ConfigError(
            f"[privacy] key_file: {path} holds {len(key)} bytes and should hold {_KEY_BYTES}; "
            "restore it from a backup, or delete it to start with a new key"
        )
    return key


def _write_key(path: Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    fresh = path.with_name(f"{path.name}.{secrets.token_hex(4)}")
    try:
        with os.fdopen(os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as file:
            file.write(secrets.token_bytes(_KEY_BYTES))
            file.flush()
            os.fsync(file.fileno())
        try:
            os.link(fresh, path)  # whole or not at all, and never over the key of a process that was faster
        except FileExistsError:
            pass
        except OSError:
            fresh.rename(path)  # a file system without hard links
    finally:
        fresh.unlink(missing_ok=True)


def _read(path: Path) -> dict[str, Any]:
    try:
        text = path.read_bytes().decode("utf-8-sig")
    except FileNotFoundError as error:
        raise ConfigError(f"there is no configuration {path}; `listener init` writes one") from error
    except UnicodeDecodeError as error:
        raise ConfigError(f"{path}: byte {error.start} is not UTF-8; save the file as UTF-8") from error
    except OSError as error:
        raise ConfigError(f"{path} cannot be read: {error.strerror}") from error
    try:
        return tomllib.loads(text.replace("\r\n", "\n"))
    except tomllib.TOMLDecodeError as error:
        lines = text.splitlines() or [""]
        end = f"(at line {len(lines)}, column {len(lines[-1]) + 1}, the end of the file)"
        raise ConfigError(f"{path}: not valid TOML: {str(error).replace('(at end of document)', end)}") from error


def _database(named: str) -> Path:
    path = Path(named).expanduser().absolute()
    return path / "listener.db" if path.is_dir() or named.endswith(("/", os.sep)) else path


def _listed(file: Path | None, problems: Sequence[str]) -> str:
    place = f"{file}: " if file else ""
    if len(problems) == 1:
        return f"{place}{problems[0]}"
    return "\n".join([f"{place}{len(problems)} things to mend", *(textwrap.indent(each, "  ") for each in problems)])


def _unknown_at_top(table: Mapping[str, Any]) -> Iterator[str]:
    for key in table:
        if key in _TOP_KEYS:
            continue
        homes = [f"[{name}]" for name, model in TABLES.items() if name not in _LISTS and key in model.model_fields]
        remedy = f"; it belongs under {' or '.join(homes)}" if homes else nearest(key, _TOP_KEYS)
        what = "table" if isinstance(table[key], (dict, list)) else "key"
        yield f"unknown {what} {key!r}{remedy}"


def _place(loc: tuple[int | str, ...], table: Mapping[str, Any]) -> str:
    """Where in the file, as its reader sees it: ('source', 1, 'every') is `[[source]] "shop" every`."""
    head, rest = str(loc[0]), loc[1:]
    if head in _LISTS and rest and isinstance(rest[0], int):
        entry = table[head][rest[0]]
        name = entry.get(_LISTS[head]) if isinstance(entry, dict) else None
        which = f'"{name}"' if isinstance(name, str) and name else f"number {rest[0] + 1}"
        words = [f"[[{head}]] {which}", *rest[1:]]
    elif loc[:2] == ("model", "languages") and len(loc) > 2:
        words = ["[model.languages]", str(loc[2])]
    elif loc[:2] == ("model", "heads") and len(loc) > 2:
        words = [f"[model.heads.{loc[2]}]", *(word for word in loc[3:] if word != "[key]")]
    else:
        words = [f"[{head}]" if head in TABLES else head, *rest]
    return " ".join(map(str, words))


def _model_at(loc: tuple[int | str, ...]) -> type[BaseModel]:
    if loc[:2] == ("model", "heads") and len(loc) > 3:
        return HeadSettings
    return TABLES.get(str(loc[0]), Config)


def _explain(
    error: ValidationError,
    place: Callable[[tuple[int | str, ...]], str],
    model_at: Callable[[tuple[int | str, ...]], type[BaseModel]],
    more_keys: Iterable[str] = (),
) -> list[str]:
    """Each of pydantic's findings as `place: what is wrong`, without repeats."""
    said: dict[str, None] = {}
    for found in error.errors(include_url=False):
        loc, kind, given = found["loc"], found["type"], found["input"]
        known = model_at(loc).model_fields
        if kind == "extra_forbidden":
            here = place(loc[:-1]) if loc[:-1] else place(())
            what = f"unknown key {loc[-1]!r}{nearest(str(loc[-1]), [*known, *more_keys])}"
        elif kind == "missing":
            here, what = place(loc[:-1]), f"{loc[-1]} is missing: {known[str(loc[-1])].description or 'it is required'}"
        elif kind == "list_type" and str(loc[0]) in _LISTS and len(loc) == 1:
            here, what = place(loc), f"write it with two brackets, [[{loc[0]}]]: there may be several"
        elif kind == "model_type" and len(loc) == 1:
            here, what = place(loc), "this is a table: write its keys below it"
        else:
            here, what = place(loc), _sentence(found["msg"], kind, given)
        said[f"{here}: {what}" if here else what] = None
    return list(said)


def _sentence(message: str, kind: str, given: object) -> str:
    message = re.sub(r"^(Value error, |Input )", "", message)
    if kind == "literal_error" and isinstance(given, str):
        known = re.findall("'([^']*)'", message)
        return f"{message}, not {given!r}{nearest(given, known)}"
    if kind != "value_error" and isinstance(given, (str, int, float, bool)):
        return f"{message}, not {given!r}"
    return message


def _disagreements(config: Config) -> Iterator[str]:
    """What no single table can see: names given twice, names and models that are not there, unreadable queries."""
    brands = {brand.name for brand in config.brands}
    yield from _twice("brand", [brand.name for brand in config.brands])
    yield from _twice("source", [source.name for source in config.sources])
    yield from _twice("recipient", [recipient.email for recipient in config.recipients])
    yield from _twice("webhook", [webhook.name for webhook in config.webhooks])
    for brand in config.brands:
        try:
            brand_query(brand.name, brand.aliases, brand.query, config.privacy.authors)
        except QueryError as error:
            yield f'[[brand]] "{brand.name}" query: {error}'
    # A folder that is not there, as on a disk that is not mounted, keeps posts from being judged, not from coming in.
    for language, folder in config.model.languages.items():
        if folder.is_dir() and not (folder / "config.json").is_file():
            yield f"[model.languages] {language}: there is no model in {folder} (config.json is missing)"
    for head, chosen in config.model.heads.items():
        try:
            if chosen.folder.is_dir():
                checkpoint.read(head, chosen)
        except ModelError as error:
            yield f"[model.heads.{head}]: {error}"
    for source in config.sources:
        if source.brand and source.brand not in brands:
            yield f'[[source]] "{source.name}" brand: {_no_brand(source.brand, brands)}'
    known = {source.name for source in config.sources}
    for recipient in config.recipients:
        for name in recipient.sources:
            if name not in known:
                yield f'[[recipient]] "{recipient.email}" sources: no [[source]] called {name!r}{nearest(name, known)}'
    told = [(f'[[recipient]] "{recipient.email}"', recipient.brands) for recipient in config.recipients]
    told += [(f'[[webhook]] "{webhook.name}"', webhook.brands) for webhook in config.webhooks]
    for place, names in told:
        yield from (f"{place} brands: {_no_brand(name, brands)}" for name in names if name not in brands)


def _twice(table: str, names: Sequence[str]) -> Iterator[str]:
    seen: set[str] = set()
    for name in names:
        if name.casefold() in seen:
            yield f'[[{table}]] "{name}": there are two of that name (case does not count); rename or remove one'
        seen.add(name.casefold())


def _no_brand(name: str, brands: Iterable[str]) -> str:
    return f"there is no [[brand]] called {name!r}{nearest(name, brands)}"


def _warnings(config: Config) -> Iterator[str]:
    secret_files: dict[str, Path | None] = {
        "[mail] password_file": config.mail.password_file,
        "[privacy] key_file": config.privacy.key_file or config.database.parent / "listener.key",
    }
    for source in config.sources:
        for key, told in source.options.items():  # as { file = "its-path" }; the rest is for the kind to check
            if isinstance(told, dict) and isinstance(told.get("file"), str):
                folder = config.path.parent if config.path else Path.cwd()
                secret_files[f'[[source]] "{source.name}" {key}'] = folder / Path(told["file"]).expanduser()
    for webhook in config.webhooks:
        for key, secret in (("url", webhook.url), ("secret", webhook.secret)):
            if isinstance(secret, Secret):
                secret_files[f'[[webhook]] "{webhook.name}" {key}'] = secret.file
    for place, path in secret_files.items():
        if (
            os.name == "posix"
            and path is not None
            and path.exists()
            and path.stat().st_mode & (stat.S_IRWXG | stat.S_IRWXO)
        ):
            yield f"{place}: others can read {path}; `chmod 600 {path}` mends it"
    if not config.brands:
        yield "no [[brand]] is configured: sources that keep matched posts only will keep nothing"
    if config.recipients and not (config.mail.via or config.mail.host):
        yield "[mail] host is not set: the digest is mailed to nobody"
    host = config.health.listen.rpartition(":")[0].strip("[]")
    if host and host != "localhost" and not ipaddress.ip_address(host).is_loopback:
        yield "[health] listen: every machine that reaches this one can read the names and states of your sources"
    if config.mail.host and config.mail.username and config.mail.security == "none":
        yield "[mail] security is 'none': the password travels in the clear"
    if any(source.enabled for source in config.sources) and not config.http.contact:
        yield "[http] contact is not set: some servers refuse a client that says nobody to write to"
