"""What Datasette asks of us: routes, templates, what may be seen, and what an error looks like. For our own
applications alone: another that runs in this process is left as it is.
"""

from __future__ import annotations

import logging
import sqlite3
from collections.abc import Awaitable, Callable, Generator
from typing import Any

from datasette import hookimpl
from datasette.utils.asgi import Base400, NotFound, Response
from datasette.views.base import DatasetteError

from listener import log
from listener.errors import ListenerError, StoreError
from listener.web import brands, data, digests, login, overview, pictures, posts, review, shown, sources
from listener.web.door import Guard
from listener.web.site import Missing, Moved, Passed, Shown, Site

_ROOMS = (overview, posts, review, sources, digests, brands, data, pictures, login)

View = Callable[[Site, Any], Awaitable[Any]]


@hookimpl
def register_routes(datasette: Any) -> list[tuple[str, Any]]:
    site = getattr(datasette, "site", None)
    if site is None:
        return []
    return [(pattern, _answering(view, site)) for room in _ROOMS for pattern, view in room.ROUTES]


@hookimpl
def asgi_wrapper(datasette: Any) -> Callable[[Any], Any]:
    site = getattr(datasette, "site", None)
    if site is None:
        return lambda app: app
    return lambda app: Guard(app, site.door, site.knows, site.gave, site.clock)


@hookimpl
def prepare_connection(conn: sqlite3.Connection, database: str, datasette: Any) -> None:
    if getattr(datasette, "site", None) and database == shown.DATABASE:
        shown.restrict(conn)


@hookimpl(tryfirst=True)
def permission_allowed(datasette: Any, action: str, resource: Any) -> bool | None:
    if getattr(datasette, "site", None) is None:
        return None
    if action == "view-table":
        return tuple(resource) in {(shown.DATABASE, table) for table in shown.SHOWN}
    if action in ("view-database", "execute-sql"):
        return bool(resource == shown.DATABASE)
    return action == "view-instance"


@hookimpl(hookwrapper=True)
def handle_exception(datasette: Any, request: Any, exception: Exception) -> Generator[None, Any, None]:
    """In the place of Datasette's own answer, which prints the values of all variables."""
    outcome = yield
    if getattr(datasette, "site", None) is not None:
        outcome.force_result([lambda: _error(datasette, request, exception)])


@hookimpl(hookwrapper=True)
def forbidden(datasette: Any, request: Any, message: str) -> Generator[None, Any, None]:
    outcome = yield
    if getattr(datasette, "site", None) is not None:
        outcome.force_result([lambda: _error(datasette, request, Missing("there is no such page"))])


def _answering(view: View, site: Site) -> Callable[..., Awaitable[Any]]:
    async def answer(request: Any, datasette: Any) -> Any:
        given = await view(site, request)
        if isinstance(given, Shown):
            return await _rendered(datasette, request, given)
        if isinstance(given, Moved):
            return Response.redirect(given.to, status=303, headers=dict(given.headers))
        if isinstance(given, Passed):
            return await given.view(datasette).dispatch_request(request)
        return given

    return answer


async def _rendered(page: Any, request: Any, given: Shown) -> Any:
    context = {"here": request.path, "guarded": bool(page.site.door.password), **given.context}
    html = await page.render_template(f"page/{given.template}", context, request=request)
    return Response.html(html, status=given.status)


async def _error(page: Any, request: Any, error: Exception) -> Any:
    status, said = _told(error)
    if status == 500:
        log.event("page_broke", logging.ERROR, exc_info=True, path=request.path)
    if request.path.endswith(".json"):
        return Response.json({"ok": False, "error": said, "status": status}, status=status)
    return await _rendered(page, request, Shown("wrong.html", {"said": said, "status": status}, status))


def _told(error: Exception) -> tuple[int, str]:
    """The status of an answer, and what is said of an error. What is not known is not shown: it may hold anything."""
    if isinstance(error, (Missing, NotFound)):
        return 404, str(error) if isinstance(error, Missing) else "there is no such page"
    if isinstance(error, ListenerError):
        return (503 if isinstance(error, StoreError) else 400), str(error)
    if isinstance(error, DatasetteError):
        return error.status, str(error.message if not error.message_is_html else error.title or "that did not work")
    if isinstance(error, Base400):
        return error.status, str(error)
    return 500, "something broke that should not have; the log of `listener serve` says what"
