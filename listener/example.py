"""The example configuration, written from the settings themselves: every table and key, its default, its meaning."""

from __future__ import annotations

import json
import textwrap
from collections.abc import Iterator, Mapping
from pathlib import PurePath
from typing import Any

from pydantic import BaseModel
from pydantic.fields import FieldInfo

from listener.settings import (
    AlertSettings,
    BrandSettings,
    Config,
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
)

_HEAD = """\
# The configuration of Listener. Lines that begin with "# " explain, lines that begin with "#" and a key show a default:
# take the "#" away to change it. Relative paths are taken from the folder of this file. `listener doctor` checks it.
"""
_BRANDS: list[dict[str, Any]] = [
    {"name": "Firefox", "aliases": ["Mozilla Firefox"], "role": "own"},
    {"name": "Google Chrome", "aliases": ["Chrome browser", "Chromium"], "role": "competitor"},
]
# The kinds that a new configuration starts with, in this order: they need no key.
_ACTIVE = ("feeds", "hackernews")
# What a source of that kind says; for other kinds, and other keys, the defaults and the `examples` of the fields.
_SOURCES: Mapping[str, Mapping[str, Any]] = {
    "feeds": {"name": "news", "urls": ["https://www.ghacks.net/feed/", "https://planet.mozilla.org/atom.xml"]},
    "hackernews": {"name": "hackernews", "queries": ["Firefox", "Google Chrome"]},
    "webreviews": {"name": "reviews", "url": "https://www.example.com/product/reviews"},
    "files": {"name": "exports", "paths": ["reviews/*.csv"]},
    # Of keys that each would do, one is named.
    "github": {"repos": ["acme/booking-app"]},
    "lemmy": {"communities": ["hotels@lemmy.example"]},
    "mastodon": {"tags": ["AcmeHotel"]},
    "reddit": {"subreddits": ["hotels", "travel"]},
    "youtube": {"channels": ["UCabcdefghijklmnopqrstuv"]},
    "x": {"daily_posts_cap": 500, "monthly_spend_cap": 20.0},
}
_SINGLE: Mapping[str, type[BaseModel]] = {
    "alerts": AlertSettings,
    "operator": OperatorSettings,
    "mail": MailSettings,
    "model": ModelSettings,
    "http": HttpSettings,
    "privacy": PrivacySettings,
    "log": LogSettings,
    "health": HealthSettings,
}


def example(kinds: Mapping[str, type[BaseModel]]) -> str:
    """A commented configuration to start from, as TOML; `kinds` maps each kind of source to its settings model.

    Two brands and the sources that need no key are switched on, everything else is there and commented out. A required
    key takes its value from the `examples` of its field. What brands and sources have in common is explained once.
    """
    first_brand, second_brand = _BRANDS
    person = {"email": "you@example.org"}
    service = {"name": "my-service", "url": "https://example.org/listener"}
    blocks = [
        _HEAD,
        _keys({key: Config.model_fields[key] for key in ("timezone", "database")}, {}),
        _title(BrandSettings),
        _table("[[brand]]", BrandSettings.model_fields, first_brand),
        _table(
            "[[brand]]", {key: BrandSettings.model_fields[key] for key in second_brand}, second_brand, explain=False
        ),
        _title(SourceSettings),
        *_sources(kinds),
        _title(RecipientSettings),
        _table("[[recipient]]", RecipientSettings.model_fields, person, active=False),
        _title(WebhookSettings),
        _table("[[webhook]]", WebhookSettings.model_fields, service, active=False),
    ]
    for name, model in _SINGLE.items():
        blocks += [_title(model), _table(f"[{name}]", model.model_fields, {})]
    return "\n".join(blocks)


def _sources(kinds: Mapping[str, type[BaseModel]]) -> Iterator[str]:
    common = {key: field for key, field in SourceSettings.model_fields.items() if key != "options"}
    for number, kind in enumerate(sorted(kinds, key=lambda kind: (kind not in _ACTIVE, kind))):
        values = {"name": f"my-{kind}", **_SOURCES.get(kind, {}), "kind": kind}
        active = kind in _ACTIVE
        shared = common if number == 0 else {key: common[key] for key in ("name", "kind")}
        head = _table("[[source]]", shared, values, active=active, explain=number == 0)
        yield head + _keys(kinds[kind].model_fields, values, active=active)


def _title(model: type[BaseModel]) -> str:
    return f"# ---- {(model.__doc__ or '').partition('.')[0]}\n"


def _table(
    head: str,
    fields: Mapping[str, FieldInfo],
    values: Mapping[str, Any],
    *,
    active: bool = True,
    explain: bool = True,
) -> str:
    return f"{'' if active else '#'}{head}\n" + _keys(fields, values, active=active, explain=explain)


def _keys(
    fields: Mapping[str, FieldInfo], values: Mapping[str, Any], *, active: bool = True, explain: bool = True
) -> str:
    lines = []
    for key, field in fields.items():
        if explain:
            lines += [f"# {line}" for line in textwrap.wrap(field.description or "", 110)]
        given = key in values or field.is_required()
        value = values[key] if key in values else _shown(field)
        lines.append(f"{'' if active and given else '#'}{field.alias or key} = {to_toml(value)}")
    return "".join(f"{line}\n" for line in lines)


def _shown(field: FieldInfo) -> Any:
    """The default, or the field's example where it has none that TOML could say."""
    default = None if field.is_required() else field.get_default(call_default_factory=True, validated_data={})
    return default if default is not None else (field.examples or [""])[0]


def to_toml(value: Any) -> str:
    """A value as TOML writes it: JSON, but for tables."""
    if isinstance(value, BaseModel):
        value = value.model_dump(exclude_none=True)
    if isinstance(value, Mapping):
        pairs = ", ".join(
            f"{json.dumps(str(key))} = {to_toml(each)}" for key, each in value.items() if each is not None
        )
        return f"{{ {pairs} }}" if pairs else "{}"
    if isinstance(value, (list, tuple, set, frozenset)):
        return f"[{', '.join(to_toml(each) for each in value)}]"
    if isinstance(value, PurePath):
        value = value.as_posix()
    return json.dumps(value, ensure_ascii=False)
