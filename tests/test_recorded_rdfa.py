"""RDFa as others read it: extruct's samples with what it makes of them, and schema.org's examples in three markups."""

from __future__ import annotations

import json
import os
import re
from collections import Counter
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from bs4 import BeautifulSoup

from listener.records import Page, Post
from listener.sources import rdfa, webreviews

RECORDED = Path(os.environ.get("LISTENER_RECORDED") or Path(__file__).resolve().parents[2] / "shared" / "recorded")
REVIEWS = RECORDED / "schema-org-review"
SCHEMA_ORG = re.compile(r"https?://schema\.org/")

pytestmark = pytest.mark.skipif(
    not REVIEWS.is_dir(), reason=f"no recorded pages at {REVIEWS}; set LISTENER_RECORDED to the folder above"
)


def as_extruct(expanded: list[dict[str, Any]]) -> list[dict[str, set[str]]]:
    """The items of a schema.org type, with the texts and addresses of their schema.org properties."""
    found = []
    for node in expanded:
        if any(SCHEMA_ORG.match(kind) for kind in node.get("@type", ())):
            values = {
                key: {one.get("@value") or one["@id"] for one in value} for key, value in node.items() if key[0] != "@"
            }
            found.append({SCHEMA_ORG.sub("", key): value for key, value in values.items() if SCHEMA_ORG.match(key)})
    return found


def as_we(payload: bytes) -> list[dict[str, set[str]]]:
    items, _ = rdfa.read_items(BeautifulSoup(payload, "lxml", multi_valued_attributes=None), 100, "")
    return [{key: set(values) for key, values in item.items() if key != "@type"} for item in items]


@pytest.mark.filterwarnings("ignore::bs4.XMLParsedAsHTMLWarning")
def test_samples_of_extruct(capsys: pytest.CaptureFixture[str]) -> None:
    counts: Counter[str] = Counter()
    for oracle in sorted(REVIEWS.glob("extruct/**/*.expanded.json")):
        sample = oracle.with_name(oracle.name.replace(".expanded.json", ".html"))
        ours, theirs = as_we(sample.read_bytes()), as_extruct(json.loads(oracle.read_text("utf-8")))
        assert ours == theirs, sample.name
        counts.update(samples=1, items=len(ours), properties=sum(map(len, ours)))
        page = webreviews.parse(
            sample.read_bytes(), url="https://pages.example/", name="recorded", now=datetime.now(UTC)
        )
        assert page.posts == (), "none of them is a review"
    with capsys.disabled():
        print(f"\nrecorded RDFa samples of extruct: {dict(counts)}")
    assert counts["samples"] >= 13 and counts["properties"] >= 8


def examples() -> Iterator[dict[str, str]]:
    """Each of schema.org's examples by the kind of its markup."""
    document = (REVIEWS / "schemaorg" / "examples.txt").read_text("utf-8")
    for example in re.split(r"(?m)^TYPES:", document):
        found = {kind: re.search(rf"(?ms)^{kind}:\s*\n(.*?)(?=^[A-Z-]+:\s*$|\Z)", example) for kind in KINDS}
        yield {kind: each.group(1) for kind, each in found.items() if each}


KINDS = ("RDFA", "MICRODATA", "JSON")


def what_it_says(post: Post) -> tuple[Any, ...]:
    """All but the ends of lines, which are those of the markup."""
    return " ".join(post.text.split()), post.title, post.author, post.rating, post.created_at


def test_the_examples_of_schema_org_say_the_same_in_every_markup(capsys: pytest.CaptureFixture[str]) -> None:
    def read(markup: str) -> Page:
        payload = f"<!doctype html><html><body>{markup}</body></html>".encode()
        return webreviews.parse(
            payload, url="https://pages.example/", name="recorded", now=datetime(2026, 11, 1, tzinfo=UTC)
        )

    counts: Counter[str] = Counter()
    for example in examples():
        pages = {kind: read(markup) for kind, markup in example.items() if "Review" in markup}
        told = list(pages["RDFA"].posts) if "RDFA" in pages else []
        if not told:
            continue
        for kind, page in pages.items():
            counts[kind] += len(page.posts)
            assert list(map(what_it_says, page.posts)) == list(map(what_it_says, told))
        assert len(read("".join(example.values())).posts) == len(told), "and all three together are no more"
    with capsys.disabled():
        print(f"\nrecorded reviews of schema.org's examples: {dict(counts)}")
    assert counts["RDFA"] == counts["MICRODATA"] == counts["JSON"] == 4
