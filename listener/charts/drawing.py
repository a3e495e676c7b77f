"""A specification as a file: PNG, SVG, or a page that stands alone. Draws offline, with Vega and a font of its own."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from html import escape
from importlib.util import find_spec
from typing import TYPE_CHECKING

from listener.charts.looks import FONT, Spec
from listener.errors import ListenerError

if TYPE_CHECKING:
    from types import ModuleType

# Vega writes its pictures with `new Function`, hence 'unsafe-eval'; nothing may be fetched from anywhere.
_POLICY = "default-src 'none'; script-src 'unsafe-inline' 'unsafe-eval'; style-src 'unsafe-inline'; img-src data: blob:"
_PAGE = """<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta http-equiv="Content-Security-Policy" content="{policy}">
<title>{title}</title>
<style>body {{ margin: 24px; background: {paper}; font-family: {font}; }} #picture svg {{ max-width: 100%; }}</style>
</head>
<body>
<div id="picture" role="img" aria-label="{title}"></div>
<script>{bundle}</script>
<script>vegaEmbed("#picture", {spec}, {options});</script>
</body>
</html>
"""
_OPTIONS = {"mode": "vega-lite", "renderer": "svg", "actions": {"export": True, "source": False, "compiled": False,
            "editor": False}}  # fmt: skip


def can_draw() -> bool:
    """Whether the extra `charts` is installed."""
    return find_spec("vl_convert") is not None


def png(spec: Spec, scale: float = 2.0) -> bytes:
    """The picture as PNG; at scale 2 it is as sharp as a telephone's screen. Raises ListenerError where it
    cannot be drawn, or without the extra.
    """
    from listener.charts.smaller import with_palette

    drawer = _drawer()
    with _told():
        return with_palette(drawer.vegalite_to_png(spec, scale=scale, allowed_base_urls=[]))


def svg(spec: Spec) -> str:
    """The picture as SVG, to be put into a page as it is: all of it is escaped, it has neither ids nor styles nor
    scripts, and says in words what it shows to those who do not see it.
    """
    drawer = _drawer()
    with _told():
        drawn: str = drawer.vegalite_to_svg(spec, allowed_base_urls=[])
    return drawn.replace("<svg ", f'<svg role="img" aria-label="{escape(spec["description"])}" ', 1)


def html(spec: Spec) -> str:
    """The picture as one page that answers to the pointer and asks no other host for anything."""
    check()
    return _PAGE.format(
        policy=_POLICY,
        title=escape(spec["description"]),
        paper=spec["background"],
        font=escape(FONT),
        bundle=_bundle(),
        spec=_script(spec),
        options=_script(_OPTIONS),
    )


@contextmanager
def _told() -> Iterator[None]:
    """What the drawing program cannot do, as an error of ours: whoever wanted the picture may go on without it."""
    try:
        yield
    except ValueError as error:
        raise ListenerError(f"the picture could not be drawn: {' '.join(str(error).split())[:200]}") from error


@cache
def _bundle() -> str:
    """Vega and what it needs, as it may stand in a page; seconds to make, hence made once."""
    bundle: str = _drawer().javascript_bundle()
    return bundle.replace("</script", "<\\/script")


def _script(data: object) -> str:
    """JSON that can end neither the script it stands in nor its page."""
    told = json.dumps(data, ensure_ascii=True)
    return told.replace("<", "\\u003c").replace(">", "\\u003e").replace("&", "\\u0026")


def check() -> None:
    """Raises ListenerError without the extra `charts`."""
    if not can_draw():
        raise ListenerError("pictures need the package that draws them: pip install 'listener-daemon[charts]'")


def _drawer() -> ModuleType:
    check()
    import vl_convert

    return vl_convert
