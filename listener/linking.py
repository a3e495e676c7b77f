"""Which brands a post is about: by the brand's words, or because its source belongs to one."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace

from listener import query, sources
from listener.config import Config, SourceSettings
from listener.records import Page, Post
from listener.text import fingerprint

Match = Callable[[Post], Mapping[str, str]]  # -> {brand: why}

_READING = "2"  # how queries are read: another number when a query that stays as it is finds something else


def brands_key(config: Config) -> str:
    """A name for the brands as they are configured: another one when anything of them changes."""
    return fingerprint(_READING, *(brand.model_dump_json() for brand in config.brands))


def brand_matcher(config: Config) -> Match:
    """The function that tells which configured brands a post names, and by which words.

    A brand with `locales` takes no post that is known to be in another language.
    """
    by_words = query.matcher(
        [(brand.name, brand.aliases, brand.query) for brand in config.brands], config.privacy.authors
    )
    spoken = {brand.name: {tag.partition("-")[0].lower() for tag in brand.locales} for brand in config.brands}

    def match(post: Post) -> dict[str, str]:
        language = post.lang.partition("-")[0].lower()
        found = by_words(post)
        return {
            brand: why for brand, why in found.items() if not (language and spoken[brand]) or language in spoken[brand]
        }

    return match


def link(page: Page, entry: SourceSettings, match: Match) -> tuple[Page, list[Mapping[str, str] | None]]:
    """Links every post of a page to the brands it names, {brand: why}. None stands beside a post that names none where
    the source keeps only those that do: it is wanted only if it is stored already, and named one before an edit.
    """
    keep_all = (entry.keep or sources.load(entry.kind).ABOUT.keep) == "all"
    posts: list[Post] = []
    links: list[Mapping[str, str] | None] = []
    for post in page.posts:
        post = replace(post, source=entry.name, brand=post.brand or entry.brand)
        brands = dict(match(post))
        if post.brand:
            brands.setdefault(post.brand, f"source {entry.name}")
        posts.append(post)
        links.append(brands if brands or keep_all else None)
    dropped = links.count(None)
    skipped = {**page.skipped, "no brand named": dropped} if dropped else page.skipped
    return replace(page, posts=tuple(posts), skipped=skipped), links
