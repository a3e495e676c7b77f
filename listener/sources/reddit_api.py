"""Reddit with a key: its API through PRAW, for people who have both. Imported only then.

PRAW is asked for plain JSON: its own objects fetch by themselves whatever they find missing. And it is given a wire:
left alone it would sleep for minutes, read replies of any size, and follow a praw.ini to another server.
"""

from __future__ import annotations

import configparser
import io
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from datetime import datetime
from importlib.resources import files
from typing import TYPE_CHECKING, Any

import praw
import prawcore
import requests
from praw.config import Config

from listener import __version__
from listener.errors import Broken, Refused, Retry, SourceError, Unauthorised
from listener.http import public_url, retry_after
from listener.http.transport import exchange, open_session
from listener.http.walls import bot_wall
from listener.records import Page
from listener.settings import HttpSettings
from listener.sources.reddit_posts import AT_ONCE, WEB, Listing, after_of, page_of, refused, shown_in, until_reset

if TYPE_CHECKING:
    from listener.sources.reddit import Settings

SITES = {"reddit_url": WEB, "oauth_url": "https://oauth.reddit.com"}
HTTP = HttpSettings()  # `get` keeps those of the configuration to itself

_TOKEN = "/api/v1/access_token"  # noqa: S105  # the address where one is handed out


@contextmanager
def connect(settings: Settings, now: datetime, name: str) -> Iterator[Api]:
    """The API for as long as the block lasts. Asks nobody yet. Raises Disabled where a secret is missing."""
    assert settings.client_id and settings.client_secret
    password = settings.password.read("[[source]] password") if settings.password else None
    _forget_praw_ini()
    with open_session(HTTP, verify=True) as session:
        reddit = praw.Reddit(
            "DEFAULT",  # else the environment's praw_site chooses
            **SITES,
            client_id=settings.client_id.read("[[source]] client_id"),
            client_secret=settings.client_secret.read("[[source]] client_secret"),
            username=settings.username,
            password=password,
            redirect_uri=None,
            refresh_token=None,
            user_agent=f"python:listener:{__version__}" + (f" (by /u/{settings.username})" if password else ""),
            ratelimit_seconds=0,
            check_for_updates=False,
            check_for_async=False,
            requestor_class=_Wire,
            requestor_kwargs={"session": session},
        )
        reddit.read_only = password is None  # with a person's password it sees what that person may see
        yield Api(reddit, now, name)


def _forget_praw_ini() -> None:
    """Leaves PRAW the defaults it came with: a praw.ini of the working or home folder could send our key elsewhere."""
    own = configparser.ConfigParser(interpolation=None)
    own.read_string(files("praw").joinpath("praw.ini").read_text("utf-8"))
    Config.CONFIG = own


class _Wire(prawcore.Requestor):  # type: ignore[misc]  # prawcore is read without its types
    """Makes PRAW's requests as all others are made: to checked addresses, within a size and a time, once.

    Raises what is no success before prawcore sees it: that would sleep and ask again, or trip over a header. For the
    same reason prawcore is not told how many requests are left. When they are used up the next one is not made.
    """

    closed_s = 0.0

    def request(self, method: str, url: str, **told: Any) -> requests.Response:
        if self.closed_s:
            raise Retry("Reddit's API: the requests that it allows for now are used up.", self.closed_s)
        parts = {key: told.get(key) for key in ("headers", "params", "data", "auth")}
        request = self._http.prepare_request(requests.Request(method.upper(), url, **parts))
        reply = exchange(self._http, request, HTTP, HTTP.deadline_s, public_url(url))
        self.closed_s = until_reset(reply.headers)
        response = requests.Response()
        response.status_code, response.url, response.raw = reply.status, url, io.BytesIO(reply.body)
        response.headers.update({k: v for k, v in reply.headers.items() if not k.startswith("x-ratelimit-")})
        if reply.status != requests.codes.ok:
            if self.closed_s and "retry-after" not in reply.headers:
                response.headers["retry-after"] = str(self.closed_s)
            raise prawcore.ResponseException(response)
        return response


class Api:
    """Reddit's API during one run. Where it does not take the key, or shows a bot wall, it is not asked again."""

    most = 100

    def __init__(self, reddit: praw.Reddit, now: datetime, name: str) -> None:
        self._reddit = reddit
        self._now = now
        self._name = name
        self._shut: SourceError | None = None

    def listing(self, listing: Listing, after: str) -> tuple[Page, str]:
        """A page of a listing, and what it goes on after."""
        params = {**listing.params, "limit": str(AT_ONCE), **({"after": after} if after else {})}
        reply = self._ask(listing.path, params, listing.place)
        return page_of(reply, name=self._name, now=self._now), after_of(reply)

    def info(self, fullnames: Sequence[str]) -> Page:
        """What became of these. Reddit leaves out what it shows to nobody any more, and then that is gone as well.

        A reply that leaves out all of them may be a failure: it tells nothing.
        """
        reply = self._ask("api/info", {"id": ",".join(fullnames)}, "")
        page, shown = page_of(reply, name=self._name, now=self._now), shown_in(reply)
        missing = tuple(ident for ident in fullnames if ident not in shown)
        return replace(page, deleted=(*page.deleted, *missing)) if len(missing) < len(fullnames) else page

    def _ask(self, path: str, params: Mapping[str, str], place: str) -> object:
        if self._shut:
            raise self._shut
        try:
            return self._reddit.request(method="GET", path=path, params=dict(params))
        except SourceError:
            raise
        except prawcore.PrawcoreException as error:
            meant = meaning(error, place, self._now)
            if isinstance(meant, Unauthorised) or _shows_wall(error):
                self._shut = meant
            raise meant from None
        except Exception as error:  # what foreign bytes do to a foreign parser is a broken reply, whatever it is called
            raise Broken(f"Reddit's API sends what PRAW cannot read: {type(error).__name__}.") from error


def meaning(error: prawcore.PrawcoreException, place: str, now: datetime) -> SourceError:
    """An error of prawcore as one of ours. `place` is the subreddit that was asked for, "" for none."""
    if isinstance(error, prawcore.OAuthException):
        return Unauthorised(
            f"Reddit does not take the credentials ({error.error}). Check client_id and client_secret, that the app is "
            "of type 'script' where username and password are given, and these two."
        )
    response = getattr(error, "response", None)
    if response is None:
        return Broken(f"Reddit's API cannot be asked: {error}.")
    status, payload, where = response.status_code, response.content, public_url(response.url)
    if _shows_wall(error):
        return Refused(f"{where} shows a bot wall, not its content.", payload, status)
    if isinstance(error, prawcore.BadJSON):
        return Broken(f"{where} should send JSON and sent something else.", payload, status)
    if status == requests.codes.too_many_requests:
        after = retry_after(response.headers.get("retry-after", ""), now)
        return Retry(f"{where} says that we ask too often (429).", after, payload, status)
    if status >= 500 or status == requests.codes.request_timeout:
        after = retry_after(response.headers.get("retry-after", ""), now)
        return Retry(f"{where} fails at present (status {status}).", after, payload, status)
    if status == requests.codes.unauthorized or where.endswith(_TOKEN):
        why = f"{where} does not take the key (status {status}). Check client_id and client_secret."
        return Unauthorised(why, payload, status)
    if place and status in (301, 302, 403, 404):
        return refused(place, status, payload)
    if status in (403, 451):
        return Refused(f"{where} does not let us in (status {status}).", payload, status)
    return Broken(f"{where} answers with status {status}, which is no use to us.", payload, status)


def _shows_wall(error: prawcore.PrawcoreException) -> bool:
    response = getattr(error, "response", None)
    return response is not None and bool(bot_wall(response.headers, response.content))
