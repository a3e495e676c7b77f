"""Commands about sources: their health, the kinds there are, and a trial fetch."""

from __future__ import annotations

from contextlib import closing
from typing import TYPE_CHECKING, Any

import click

from listener.cli.shared import as_json, common, reasons, say, table

if TYPE_CHECKING:
    from listener.config import Config


@click.group(invoke_without_command=True, short_help="How every source is doing; what kinds there are; a trial.")
@click.option("--json", "json_", is_flag=True, help="Everything known of every source, as JSON.")
@common
def sources(config: Config, json_: bool) -> None:
    """How every source is doing: state, since when, why, last success, last new post, next fetch."""
    from dataclasses import asdict

    from listener import sources as registry
    from listener import trends
    from listener.daemon import now_utc
    from listener.wording import clock

    with closing(trends.open_reader(config.database, config.zone)) as reader:
        health = trends.source_health(reader)
        marks = trends.bookmarks(reader)
    status = {
        entry.name: registry.status(entry, config.path, marks.get(entry.name))
        for entry in config.sources
        if entry.enabled
    }
    if json_:
        as_json([{**asdict(each), "status": status.get(each.name, "")} for each in health])
        return
    today = now_utc().astimezone(config.zone).date()

    def when(moment: Any) -> str:
        return clock(moment, today, config.zone) if moment else "never"

    table(
        ["source", "kind", "state", "since", "posts", "24 h", "last success", "last new", "next", "why"],
        [
            [
                h.name,
                h.kind,
                h.state if h.enabled or h.kind == "import" else "off",
                when(h.since),
                h.posts,
                h.posts_24h,
                when(h.last_success_at),
                when(h.last_new_at),
                when(h.next_due_at) if h.enabled else "",
                _why(h, status.get(h.name, "")),
            ]
            for h in health
        ],
        right=["posts", "24 h"],
        whole=["kind", "state"],
        spare=["kind", "24 h", "last success", "last new"],
    )
    if not health:
        say("No source has run yet: `listener collect` fetches now, `listener run` on schedule.")


def _why(health: Any, status: str) -> str:
    gaps = f"{health.gaps} gap(s) in what the source would show" if health.gaps else ""
    return "; ".join(
        filter(None, [health.why, status, gaps, reasons(health.skipped) and f"left out: {reasons(health.skipped)}"])
    )


@sources.command(short_help="Every kind of source there is, with its terms.")
@click.option("--json", "json_", is_flag=True, help="As JSON.")
def kinds(json_: bool) -> None:
    """Every kind of source there is: what it brings, what it needs, its limits and terms."""
    from dataclasses import asdict

    from listener import sources as registry

    modules = {kind: registry.load(kind) for kind in sorted(registry.kinds())}
    about = {kind: module.ABOUT for kind, module in modules.items()}
    reach = {
        kind: {each: hasattr(module, each) for each in ("recheck", "backfill")} for kind, module in modules.items()
    }
    if json_:
        as_json({kind: {**asdict(each), **reach[kind]} for kind, each in about.items()})
        return
    for kind, each in about.items():
        click.secho(kind, bold=True)
        for label, text in (
            ("brings", each.brings),
            ("key", each.key),
            ("limits", each.limits),
            ("terms", each.terms),
            ("caution", each.caution),
            ("follows", "what is edited or deleted there follows here" if reach[kind]["recheck"] else ""),
            ("reaches", "back in time, by `collect NAME --since DAY`" if reach[kind]["backfill"] else ""),
        ):
            if text:
                click.echo(click.wrap_text(f"{label:8} {text}", 100, "  ", " " * 11))
        click.echo()


@sources.command("test", short_help="Fetches one page of a source; stores nothing.")
@click.argument("name")
@click.option("--json", "json_", is_flag=True, help="As JSON.")
@common
def test_source(config: Config, name: str, json_: bool) -> None:
    """Fetches one page of a configured source now, and shows what it would store. Stores nothing."""
    from listener import linking
    from listener import sources as registry
    from listener.daemon import now_utc
    from listener.http import open_get
    from listener.wording import cut

    entry = config.source(name)
    settings = registry.settings(entry, config.path)
    if "side_files" in type(settings).model_fields:  # a trial writes nothing, not even the list of bad rows
        settings = settings.model_copy(update={"side_files": False})
    with open_get(config.http) as get:
        page = next(iter(registry.load(entry.kind).fetch(settings, None, get, now_utc(), name)), None)
    if page is None:
        say(f"{name}: answered, and held nothing")
        return
    linked, links = linking.link(page, entry, linking.brand_matcher(config))
    kept = [(post, brands) for post, brands in zip(linked.posts, links, strict=True) if brands is not None]
    if json_:
        found = [
            {
                "native_id": p.native_id,
                "created_at": p.created_at,
                "title": p.title,
                "text": p.text,
                "url": p.url,
                "brands": dict(b),
            }
            for p, b in kept
        ]
        as_json({"seen": len(page.posts), "kept": len(kept), "skipped": dict(linked.skipped), "posts": found})
        return
    say(
        f"{name}: {len(page.posts)} posts on the first page, {len(kept)} would be stored; "
        f"left out: {reasons(linked.skipped) or 'none'}"
    )
    table(
        ["written", "brands", "text"],
        [
            [
                p.created_at and p.created_at.astimezone(config.zone).strftime("%d %b %H:%M"),
                "; ".join(f"{brand} ({why})" for brand, why in b.items()),
                cut(f"{p.title} {p.text}".strip(), 120),
            ]
            for p, b in kept[:20]
        ],
    )


COMMANDS = (sources,)
