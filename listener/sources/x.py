"""X, formerly Twitter: posts of the last seven days that match a search, through its paid interface.

Plain HTTPS through `get` instead of tweepy: one endpoint, the same guarded door and contract test, no seven packages.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

from pydantic import BaseModel, ConfigDict, Field, field_validator, model_validator

from listener.errors import Broken, Disabled, Refused, Retry, SourceError, Unauthorised
from listener.http import Get
from listener.records import Gap, Page
from listener.settings.secrets import Secret
from listener.sources import About
from listener.sources.turns import Failures
from listener.sources.x_account import LEAST, Account, next_month, spent
from listener.sources.x_posts import FIELDS, id_at, ident_of, idents_of, list_of, page_of, parse, read, second_of
from listener.text import clean

__all__ = ["ABOUT", "RECHECK_AT_ONCE", "Settings", "fetch", "parse", "recheck", "status"]

ABOUT = About(
    brings="public posts on X that match a search",
    key="a bearer token of an app at console.x.com, whose account holds credits",
    limits="the last seven days; 60 requests in 15 minutes; as many posts as the caps you set allow",
    terms="X's developer agreement: what is deleted or withheld there has to go here within a day",
    caution="every post that is read costs money, about 0.005 USD; set a spending limit in X's console as well",
)
RECHECK_AT_ONCE = 100

_API = "https://api.x.com/2/tweets"
_MAX_REQUESTS = 20  # a run
_NO_REPOSTS = " -is:retweet"
_LONGEST_QUERY = 512


class Settings(BaseModel):
    """What to look for, and how much it may cost."""

    model_config = ConfigDict(extra="forbid")

    queries: list[str] = Field(
        min_length=1,
        description="Searches in X's own language: words, phrases in quotation marks, OR, from:, lang: and so on. "
        "Reposts are left out.",
        examples=[['"Acme Hotel" lang:en']],
    )
    token: Secret | None = Field(
        None, description="Where the app's bearer token is kept.", examples=[{"env": "X_BEARER_TOKEN"}]
    )
    daily_posts_cap: int | None = Field(None, ge=LEAST, description="The most posts to read in a day (UTC).")
    monthly_spend_cap: float | None = Field(
        None, gt=0, allow_inf_nan=False, description="The most to spend on reading in a month (UTC), in US dollars."
    )
    price_per_post: float = Field(
        0.005, gt=0, allow_inf_nan=False, description="What X asks for one post that is read, in US dollars."
    )
    days: float = Field(1, gt=0, le=7, description="How many days the first run looks back; X shows seven.")
    recheck: bool = Field(
        False,
        description="Whether stored posts are asked after again, to see which were deleted. Each time costs the price "
        "of the post, within the caps.",
    )

    @field_validator("queries")
    @classmethod
    def _searches(cls, queries: list[str]) -> list[str]:
        searches = list(dict.fromkeys(" ".join(query.split()) for query in queries))
        if "" in searches:
            raise ValueError("a query is empty: name a word or a phrase, such as the brand's name")
        longest = max(searches, key=len)
        if len(_asked(longest)) > _LONGEST_QUERY:
            raise ValueError(f"{longest[:40]!r}... is too long: X takes {_LONGEST_QUERY} characters in all; split it")
        return searches

    @model_validator(mode="after")
    def _capped(self) -> Settings:
        if self.daily_posts_cap is None and self.monthly_spend_cap is None:
            raise ValueError("X takes money for every post: set daily_posts_cap, monthly_spend_cap, or both")
        if self.monthly_spend_cap is not None and self.monthly_spend_cap < LEAST * self.price_per_post:
            raise ValueError(f"monthly_spend_cap does not pay for {LEAST} posts, the least that X hands out; raise it")
        return self


def fetch(settings: Settings, cursor: Mapping[str, Any] | None, get: Get, now: datetime, name: str) -> Iterator[Page]:
    """Pages of posts, newest first.

    The cursor is {"marks": {query: {"newest": id, "at": epoch seconds}}, "walks": {query: ...}, "spent": ...}, see
    `Account`. A walk that a cap, an error or the end of the run cut off goes on below the id it came to, so that no
    post is paid for twice; only its end moves the bookmark.
    """
    headers, account = _headers(settings, name), Account(settings, cursor, now)
    failures = Failures()
    for query in sorted(settings.queries, key=lambda query: account.marks.get(query, {}).get("at", 0)):
        try:
            if query in account.walks:
                yield from _walk(account, query, get, headers, name)
            if query not in account.walks:
                yield from _walk(account, query, get, headers, name)
        except Unauthorised:
            raise
        except (Broken, Refused) as error:
            failures.add(error)
        except Retry as error:
            if error.after is not None or error.status == 429:  # a cap, or X asks us to wait: that is of all
                raise
            failures.add(error)
    failures.tell()


def _walk(account: Account, query: str, get: Get, headers: Mapping[str, str], name: str) -> Iterator[Page]:
    """The pages of one walk. Ends early when the requests of the run are used up."""
    walk = account.walk(query)
    since = max(int(walk["since"]), id_at(account.floor))
    gap = _lost(walk, account.floor, query)
    while account.requests < _MAX_REQUESTS:
        below = int(walk["below"] or 2**63)
        if below <= since + 1:  # all that was left is out of reach by now
            account.end(query)
            yield Page((), cursor=account.cursor(), gap=gap)
            return
        params = {
            "query": _asked(query),
            "since_id": str(since),
            **({"until_id": walk["below"]} if walk["below"] else {}),
            "max_results": str(account.affordable()),
            "tweet.fields": FIELDS,
        }
        account.requests += 1
        reply, payload = _ask(get, f"{_API}/search/recent", params, headers, query, account.now)
        page, idents, meta = page_of(reply, payload, name, account.now), idents_of(reply), reply.get("meta")
        fresh = account.pay(query, idents)
        more = isinstance(meta, dict) and bool(meta.get("next_token"))
        if (more and not idents) or max(idents, default=0) >= below:
            raise Broken("X does not show what is older than the last post shown, as it was asked to.", payload)
        walk["newest"] = str(max([int(walk["newest"]), *idents]))
        walk["below"] = str(min(idents, default=below))
        if not more:
            account.end(query)
        posts = tuple(post for post in page.posts if int(post.native_id) in fresh)
        yield replace(page, posts=posts, cursor=account.cursor(), gap=None if more else gap)
        if not more:
            return


def _lost(walk: Mapping[str, Any], floor: float, query: str) -> Gap | None:
    """What came out of X's reach before it was read."""
    if walk["unread"] >= floor:
        return None
    reached = min(floor, second_of(int(walk["below"]))) if walk["below"] else floor
    why = f"X shows seven days, and what matched {query!r} was not all read in time; ask more often, or raise the caps"
    return Gap(datetime.fromtimestamp(walk["unread"], UTC), datetime.fromtimestamp(reached, UTC), why)


def recheck(
    settings: Settings, cursor: Mapping[str, Any] | None, native_ids: Sequence[str], get: Get, now: datetime, name: str
) -> Iterator[Page]:
    """Which of the stored posts are deleted, closed or withheld, and how the others are received by now.

    Does nothing unless the settings ask for it, because each answer costs the price of a post. Raises Retry when the
    caps do not suffice for all of them.
    """
    if not settings.recheck:
        return
    account = Account(settings, cursor, now)
    asked = native_ids[: account.affordable_again()]
    yield _asked_after(account, asked, get, name)
    if len(asked) < len(native_ids):
        raise Retry("X: the other posts are asked after in a later run.")


def _asked_after(account: Account, native_ids: Sequence[str], get: Get, name: str) -> Page:
    params = {"ids": ",".join(native_ids), "tweet.fields": FIELDS}
    headers = _headers(account.settings, name)
    reply, payload = _ask(get, _API, params, headers, "the posts asked after", account.now)
    errors = list_of(reply.get("errors"))
    if not errors and not isinstance(reply.get("data"), list):
        raise Broken("X tells neither what there is of the posts asked after nor what is missing.", payload)
    page = page_of({"data": [], **reply}, payload, name, account.now)
    account.spend(len(list_of(reply.get("data"))))
    missing = {ident_of(error, "resource_id") for error in errors if _tells_of_a_gone_post(error)}
    gone = {*page.deleted, *missing} & set(native_ids)
    return replace(page, deleted=tuple(sorted(gone)), cursor=account.cursor())


def _tells_of_a_gone_post(error: object) -> bool:
    # Deleted; or its author's account was closed, to all or to the public.
    kinds = ("/resource-not-found", "/not-authorized-for-resource")
    return isinstance(error, dict) and str(error.get("type")).endswith(kinds)


def _ask(
    get: Get, url: str, params: Mapping[str, str], headers: Mapping[str, str], what: str, now: datetime
) -> tuple[dict[str, Any], bytes]:
    try:
        payload = get(url, params=params, headers=headers).body
    except SourceError as error:
        meant = _meaning(error, what, now)
        if meant is error:
            raise
        raise meant from error
    return read(payload), payload


def _meaning(error: SourceError, what: str, now: datetime) -> SourceError:
    """The error, or a better one where X's reply says more than its status."""
    try:
        told = json.loads(error.payload)
        first: Any = next(iter(told.get("errors") or ()), {})
        said = clean(str(first.get("message") or told.get("detail") or ""))[:300]
        kind = str(told.get("type"))
    except (ValueError, TypeError, AttributeError, RecursionError):
        said = kind = ""
    reply = error.payload, error.status
    if error.status == 402 or kind.endswith("/credits"):
        return Refused(f"X: the account of this app has no credits left; buy some at console.x.com. {said}", *reply)
    if kind.endswith("/usage-capped"):
        wait = (next_month(now) - now).total_seconds()
        return Retry(f"X: the account has read as much as its plan allows in a month. {said}", wait, *reply)
    if error.status == 400:
        return Refused(f"X does not take {what!r}; correct it in queries. {said}", *reply)
    return error


def _asked(query: str) -> str:
    return f"({query}){_NO_REPOSTS}"


def _headers(settings: Settings, name: str) -> dict[str, str]:
    if settings.token is None:
        raise Disabled(
            f'[[source]] "{name}": X needs the bearer token of an app; make one at console.x.com, keep it in an '
            'environment variable, and write token = { env = "X_BEARER_TOKEN" }'
        )
    secret = settings.token.read(f'[[source]] "{name}" token')
    return {"Authorization": f"Bearer {secret}"}


def status(settings: Settings, cursor: Mapping[str, Any] | None) -> str:
    """What was spent of the caps, with the day it is of."""
    return spent(cursor)
