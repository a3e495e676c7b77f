"""The page's own door: the form that takes the password, and whether all is well."""

from __future__ import annotations

import asyncio
from typing import Any

from datasette.utils.asgi import Response

from listener.web.door import COOKIE, cookie_for
from listener.web.site import Moved, Shown, Site

_WAIT_S = 1.0  # after a wrong password


async def login(site: Site, request: Any) -> Any:
    """The form, and what becomes of it."""
    door, wanted = site.door, _inside(request.args.get("next") or "/")
    if not door.password:
        return Moved("/")
    if request.method != "POST":
        return Shown("login.html", {"wanted": wanted, "said": ""})
    given, now = await request.post_vars(), site.clock()
    wanted = _inside(given.get("next") or "/")
    if door.opens(given.get("password", ""), now):
        secure = request.headers.get("origin", "").startswith("https://")
        return Moved(wanted, {"set-cookie": cookie_for(site.ticket(), secure=secure)})
    await asyncio.sleep(_WAIT_S)
    said = "Too many wrong passwords. Wait five minutes." if door.is_shut(now) else "That is not the password."
    return Shown("login.html", {"wanted": wanted, "said": said}, 403)


async def logout(site: Site, request: Any) -> Any:
    if request.method != "POST":
        return Moved("/")
    return Moved("/login", {"set-cookie": f"{COOKIE}=; Path=/; Max-Age=0; HttpOnly; SameSite=Lax"})


async def health(site: Site, request: Any) -> Any:
    """For whoever watches the page: 200 where the database can be read."""
    await site.read(lambda reader: reader.execute("SELECT 1").fetchone())
    return Response.text("ok\n")


def _inside(address: str) -> str:
    """The address, if it is one of this page: a login must not lead elsewhere."""
    plain = address.startswith("/") and not address.startswith(("//", "/\\")) and address.isprintable()
    return address if plain and len(address) < 2000 else "/"


ROUTES = ((r"/login$", login), (r"/logout$", logout), (r"/healthz$", health))
