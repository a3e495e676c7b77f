"""Brands by what a query asks of a post: the same when a post comes in and when stored posts are linked anew."""

from __future__ import annotations

from pathlib import Path

import pytest
from posting import NOW, opened

from listener import config as configuration
from listener import linking
from listener.config import BrandSettings, Config, PrivacySettings, SourceSettings
from listener.errors import ConfigError, QueryError
from listener.records import Page, Post

QUERIES = {
    "by source": "source:feed",
    "by another source": "source:shop",
    "by author": "author:ann",
    "by title": "title:quiet",
    "by language": "lang:de",
    "by nearness": "lumen NOT NEAR/2 lamp",
}
POSTS = (
    Post("feed", "1", "The Lumen is near the sea, and a lamp is there", title="Quiet rooms", author="Ann"),
    Post("feed", "2", "Das Hotel war wunderbar ruhig und das Frühstück reichlich", author="Ben"),
    Post("feed", "3", "a Lumen lamp", author="@ann", lang="en"),
)
LINKED = [
    {"by source", "by author", "by title", "by nearness"}, {"by source", "by language"}, {"by source", "by author"},
]  # fmt: skip


def config(queries: dict[str, str], authors: str = "plain") -> Config:
    brands = [BrandSettings(name=name, query=query) for name, query in queries.items()]
    return Config(timezone="UTC", brand=brands, privacy=PrivacySettings(authors=authors))  # type: ignore[arg-type]


def test_a_post_is_linked_the_same_when_it_comes_and_when_brands_change(tmp_path: Path) -> None:
    made = config(QUERIES)
    entry = SourceSettings(name="feed", kind="files")
    page, links = linking.link(Page(POSTS), entry, linking.brand_matcher(made))
    assert [set(found or {}) for found in links] == LINKED
    assert links[0] == {
        "by source": "source:feed", "by author": "author:Ann", "by title": "Quiet", "by nearness": "Lumen",
    }  # fmt: skip
    with opened(tmp_path / "a.db", authors="plain") as store:
        store.save_page("feed", page, [{} for _ in POSTS], NOW)
        assert store.relink(linking.brand_matcher(made), linking.brands_key(made)) == 3
        rows = store.connection.execute(
            "SELECT native_id, brand, why FROM mentions JOIN posts ON id = post_id"
        ).fetchall()
    assert sorted(map(tuple, rows)) == sorted(
        (post.native_id, brand, why) for post, found in zip(POSTS, links, strict=True) for brand, why in found.items()
    )


@pytest.mark.parametrize("authors", ["hash", "drop"])
def test_a_brand_cannot_be_told_by_names_that_are_not_kept(tmp_path: Path, authors: str) -> None:
    file = tmp_path / "listener.toml"
    brand = "[[brand]]\nname = 'Ann'\nquery = 'lumen author:ann'\n"
    file.write_text(f"{brand}[privacy]\nauthors = '{authors}'\n")
    with pytest.raises(ConfigError, match=r'"Ann" query: author: .*\[privacy\] authors'):
        configuration.load(file)
    with pytest.raises(QueryError):
        linking.brand_matcher(config({"Ann": "author:ann"}, authors))
    file.write_text(f"{brand}[privacy]\nauthors = 'plain'\n")
    assert configuration.load(file).brands[0].query == "lumen author:ann"
