"""Markdown as people write it on GitHub and Lemmy, and fields that are no markup at all, as readable text."""

from __future__ import annotations

import html
import re

from listener.sources.shared import plain
from listener.text import clean

_MOST = 500_000  # characters of a body; what is longer is cut
_MOST_OF_A_LINE = 1000  # of a title
_SPAN = re.compile(r"`[^`\n]{1,2000}`")
_FENCE = re.compile(r" {0,3}(```+|~~~+)")
_TAGS = (
    "a abbr b blockquote br center cite code dd del details dfn div dl dt em figcaption figure font h1 h2 h3 h4 h5 h6 "
    "hr i img ins kbd li mark ol p picture pre q rp rt ruby s samp section small source span strike strong sub summary "
    "sup table tbody td tfoot th thead tr tt u ul var video"
)
_ATTRIBUTE = r"""\s{1,9}[a-z_:][\w:.-]{0,50}(?:\s?=\s?(?:"[^"<>]{0,2000}"|'[^'<>]{0,2000}'|[^\s"'<>=`]{1,2000}))?"""
_NO_TAG = re.compile(rf"<(?!/?(?:{'|'.join(_TAGS.split())})(?:{_ATTRIBUTE}){{0,20}}\s{{0,9}}/?>)", re.IGNORECASE)


def plain_line(value: object) -> str:
    """The readable text of a title or a name that is no HTML: "Is <Acme> any good?" stays; "" for anything else."""
    return clean(html.unescape(value[:_MOST_OF_A_LINE])) if isinstance(value, str) else ""


def markdown(body: object) -> str:
    """The readable text of a body in Markdown, "" for anything else. The tags that sites let through go, comments too;
    whatever else begins with "<", and all that stands in code, is what somebody wrote.
    """
    if not isinstance(body, str):
        return ""
    return plain(_NO_TAG.sub("&lt;", _without_comments(_code_escaped(body[:_MOST]))))


def _without_comments(body: str) -> str:
    kept, at = [], 0
    while (begin := body.find("<!--", at)) >= 0 and (end := body.find("-->", begin)) >= 0:
        kept.append(body[at:begin])
        at = end + 3
    return "".join([*kept, body[at:]])


def _code_escaped(body: str) -> str:
    """With every "<" in spans between backticks, and in lines between fences, as "&lt;"."""
    lines, fence = [], ""
    for line in body.split("\n"):
        opened = _FENCE.match(line)
        if fence:
            lines.append(line.replace("<", "&lt;"))
            fence = "" if opened and opened[1].startswith(fence) else fence
        elif opened:
            fence = opened[1]
            lines.append(line.replace("<", "&lt;"))
        else:
            lines.append(_SPAN.sub(lambda span: span[0].replace("<", "&lt;"), line))
    return "\n".join(lines)
