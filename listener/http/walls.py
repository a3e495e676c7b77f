"""Pages that come in place of the page: bot walls, and redirects to a login or to the front page."""

from __future__ import annotations

import re
from collections.abc import Mapping
from urllib.parse import urlsplit

from listener.text import from_html

# What only the page of a challenge holds. Names of products alone are not enough: their scripts run on open pages too.
_MARKS = {
    b"_cf_chl_opt": "Cloudflare",
    b"cf-browser-verification": "Cloudflare",
    b"geo.captcha-delivery.com": "DataDome",
    b"/.within.website/x/cmd/anubis": "Anubis",
    b'id="anubis_challenge"': "Anubis",
    b'id="px-captcha"': "PerimeterX",
    b"window.gokuprops": "AWS WAF",
    b"whoa there, pardner": "Reddit",
}
_TITLE = re.compile(rb"<title[^>]{0,200}>([^<]{0,200})", re.I)
_WALL_TITLE = re.compile(
    r"just a moment\W*$|attention required! \| cloudflare|access denied\b.{0,40}$|access to this page has been denied"
    r"|blocked$"
    r"|(verifying|checking) (your browser|you are|if the site)|making sure you.{1,6}re not a bot"
    r"|are you (a )?(human|robot)"
    r"|(robot|bot|security|captcha) (check|verification)|human verification|pardon our interruption|captcha|ddos-guard"
    r"|.{0,40}(please wait for verification|over 18\?)",
    re.I,
)
_HEAD = 65_536
_SHORT_PAGE = 600  # characters a person can read; a page with reviews has more
_GATES = frozenset(
    ("login", "log-in", "signin", "sign-in", "signup", "over18", "captcha", "challenge", "blocked", "sorry")
)
_LOCALE = re.compile(r"[a-z]{2}([-_][a-z]{2})?", re.I)


def is_html(payload: bytes) -> bool:
    """Whether bytes begin as an HTML document does."""
    head = payload[:2048].lower().lstrip(b"\xef\xbb\xbf \t\r\n")
    return head.startswith(b"<") and (b"<!doctype html" in head or b"<html" in head)


def bot_wall(headers: Mapping[str, str], body: bytes) -> str:
    """The name of the bot wall that a reply is, "" when it is none."""
    if headers.get("cf-mitigated", "").lower() == "challenge":
        return "Cloudflare"
    if not is_html(body):
        return ""
    head = body[:_HEAD].lower()
    for mark, name in _MARKS.items():
        if mark in head:
            return name
    title = _TITLE.search(body[:_HEAD])
    if title and _WALL_TITLE.match(title.group(1).decode("utf-8", "replace").strip()):
        return "challenge page"
    if b"captcha" in head and len(body) < _HEAD and len(from_html(body.decode("utf-8", "replace"))) < _SHORT_PAGE:
        return "captcha"
    return ""


def turned_away(asked: str, final: str) -> bool:
    """Whether a redirect led from a page to a login, another gate, or the front page: then it is not that page."""
    before, after = _segments(asked), _segments(final)
    if before == after:
        return False
    if _GATES & set(after) and not _GATES & set(before):
        return True
    if not before or urlsplit(final).query:
        return False
    return not after or (len(before) > 1 and len(after) == 1 and bool(_LOCALE.fullmatch(after[0])))


def _segments(url: str) -> list[str]:
    """The parts of the path in lower case; an index page counts as its folder."""
    parts = [part for part in urlsplit(url).path.lower().split("/") if part]
    return parts[:-1] if parts and re.fullmatch(r"(index|default|home)(\.\w{2,5})?", parts[-1]) else parts
