"""False alarms in simulated quiet, and how soon and how often planted spikes are found.

python benchmarks/alerts.py [--seeds 40] [--criticism | --topics | --cost]

Posts of an hour are counts of threads whose number varies with the hour, the weekday, the week and the day (lognormal,
so heavier in the tail than the test supposes), each thread with replies (geometric) over the next hours. The counts go
through what the daemon uses, hour by hour: `unusual.looks` with eight weeks of history, one alert an event, a day of
cool-down. Six brands are watched together, from one post in a day to two hundred in an hour. A spike multiplies the
rate of one brand for a day; it is found if an alert begins in that day.

--criticism: quiet months for the negative posts of each brand and of each of its 17 touchpoints, and days on which the
share of negative posts doubles while there are no more posts. --topics: the same for new topics. --cost: what one look
takes in a database with the hourly counts of a year with ten million posts about ten brands.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from collections import defaultdict
from contextlib import closing
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from zoneinfo import ZoneInfo

import numpy as np

from listener import alerting, trends
from listener.alerts import MORE_NEGATIVE, SHARES, Kind, Rules, causes, unusual
from listener.alerts.unusual import WEEK_H, WEEKS
from listener.config import Config
from listener.engine.labels import TOUCHPOINTS
from listener.records import Page, Post
from listener.store import Store

RATES = {"1 a day": 1 / 24, "5 a day": 5 / 24, "1 an hour": 1.0, "10 an hour": 10.0, "50 an hour": 50.0,
         "200 an hour": 200.0}  # fmt: skip
MONTH_H, SPIKE_H = 720, 24
HISTORY_H = (WEEKS + 1) * WEEK_H
# The share of posts that speak of each of the 17 touchpoints.
SPOKEN_OF = (0.3, 0.2, 0.15, 0.12, 0.1, 0.08, 0.06, 0.05, 0.04, 0.03, 0.02, 0.02, 0.01, 0.01, 0.01, 0.005, 0.005)
BY_WEEKDAY = np.array([1.05, 1.0, 1.0, 1.0, 1.1, 0.9, 0.8])


def posts(rng: np.random.Generator, rate: float, hours: int, spike: tuple[int, float] | None = None) -> np.ndarray:
    """Posts of each hour. `spike`: the hour in which it begins, and what it multiplies the rate by."""
    at = np.arange(hours)
    daily = 1 + 0.75 * np.sin((at % 24 - 9) / 24 * 2 * np.pi)
    varied = [np.repeat(rng.lognormal(-(s**2) / 2, s, hours // each + 1), each)[:hours]
              for each, s in ((WEEK_H, 0.12), (24, 0.2), (1, 0.15))]  # fmt: skip
    expected = rate * daily * BY_WEEKDAY[at // 24 % 7] * varied[0] * varied[1] * varied[2]
    if spike:
        expected[spike[0] : spike[0] + SPIKE_H] *= spike[1]
    threads = rng.poisson(0.7 * expected)
    counted = np.zeros(hours + 48)
    for hour, number in enumerate(threads):
        counted[hour] += number
        replies = int(rng.negative_binomial(number, 0.7)) if number else 0  # 0.43 a thread
        np.add.at(counted, hour + rng.geometric(0.3, replies).clip(max=47), 1)
    return counted[:hours]


@dataclass
class Watch:
    """One brand, watched as the daemon does: looks, an event that goes on, its cool-down."""

    brands: int
    rules: Rules
    kind: Kind = "mentions"
    open_h: int = 0
    free_at: int = 0
    events: list[tuple[int, int]] = field(default_factory=list)  # hour in which it was found, hours of the window
    masked: np.ndarray | None = None

    def hour(self, counts: np.ndarray, now: int, posts: np.ndarray | None = None) -> bool:
        """Looks at an hour of counts, `posts` those of which they are a part; returns whether an event goes on."""
        usual = counts if self.masked is None else self.masked
        rows = weeks_of(counts, now, usual)
        if self.open_h:
            looks = [unusual.look(rows, self.open_h)]
            if posts is not None:
                looks.append(unusual.share_look(rows, weeks_of(posts, now), self.open_h))
            if all(look is None or look.p > unusual.BACK for look in looks) or now - self.events[-1][0] > WEEK_H:
                found, window = self.events[-1]
                if now - found < WEEK_H:  # its hours are not what is usual
                    self.masked = usual.astype(float).copy() if self.masked is None else self.masked
                    self.masked[found - window + 1 : now + 1] = np.nan
                self.open_h, self.free_at = 0, now + 24
        elif now >= self.free_at and counts[now - max(unusual.WINDOWS_H) + 1 : now + 1].sum() >= self.rules.least:
            limits = {w: self.rules.threshold(self.kind, self.brands, w) for w in unusual.WINDOWS_H}
            looks = [*unusual.looks(rows, self.rules.least)]
            if posts is not None:
                looks += unusual.share_looks(rows, weeks_of(posts, now), self.rules.least)
            sure = [look for look in looks if look.p < limits[look.window_h]]
            best = min(sure, key=lambda look: look.p, default=None)
            if best and (posts is None or larger_share(counts, posts, now, best.window_h)):
                self.open_h = best.window_h
                self.events.append((now, best.window_h))
        return bool(self.open_h)


def weeks_of(counts: np.ndarray, now: int, usual: np.ndarray | None = None) -> np.ndarray:
    """A series as `unusual.looks` takes it; `usual` stands in for the earlier weeks."""
    past = counts if usual is None else usual
    return np.array([(past if k else counts)[now - WEEK_H * (k + 1) + 1 : now - WEEK_H * k + 1][::-1]
                     for k in range(WEEKS + 1)])  # fmt: skip


def larger_share(negative: np.ndarray, posts: np.ndarray, now: int, window: int) -> bool:
    """Whether the share of negative posts is larger than in the same hours of earlier weeks, as alerts ask."""
    hours = [slice(now - WEEK_H * k - window + 1, now - WEEK_H * k + 1) for k in range(WEEKS + 1)]
    seen, before = posts[hours[0]].sum(), sum(posts[each].sum() for each in hours[1:])
    usual = sum(negative[each].sum() for each in hours[1:]) / before if before else 0
    return bool(seen and negative[hours[0]].sum() / seen >= MORE_NEGATIVE * usual)


def quiet(seeds: int, rules: Rules) -> dict[str, int]:
    """Alerts in a quiet month, by size of brand, over all seeds."""
    alarms: dict[str, int] = defaultdict(int)
    for seed in range(seeds):
        for number, (name, rate) in enumerate(RATES.items()):
            counts = posts(np.random.default_rng([seed, number]), rate, HISTORY_H + MONTH_H)
            watch = Watch(len(RATES), rules)
            for now in range(HISTORY_H, HISTORY_H + MONTH_H):
                watch.hour(counts, now)
            alarms[name] += len(watch.events)
    return alarms


def planted(seeds: int, times: float, rules: Rules) -> dict[str, list[int | None]]:
    """Hours from the beginning of a spike to its alert, None where there was none, by size of brand."""
    found: dict[str, list[int | None]] = defaultdict(list)
    for seed in range(seeds):
        for number, (name, rate) in enumerate(RATES.items()):
            rng = np.random.default_rng([seed, number, int(times * 10)])
            begin = HISTORY_H + 24 + int(rng.integers(0, WEEK_H))
            counts = posts(rng, rate, begin + SPIKE_H + 1, (begin, times))
            watch = Watch(len(RATES), rules)
            for now in range(begin, begin + SPIKE_H):
                watch.hour(counts, now)
            found[name].append(watch.events[0][0] - begin + 1 if watch.events else None)
    return found


def criticism(seeds: int) -> None:
    """False alarms of `negative` and `touchpoint` in quiet months; then `turned`."""
    alarms: dict[str, dict[str, int]] = {"negative": defaultdict(int), "touchpoint": defaultdict(int)}
    for seed in range(seeds):
        for number, (name, rate) in enumerate(RATES.items()):
            rng = np.random.default_rng([seed, number, 7])
            counts = posts(rng, rate, HISTORY_H + MONTH_H)
            whole, parts = (
                Watch(len(RATES), Rules(), "negative"),
                [Watch(len(RATES), Rules(), "touchpoint") for _ in SPOKEN_OF],
            )
            about = [rng.binomial(counts.astype(int), share) for share in SPOKEN_OF]
            negative, bad = unhappy(rng, counts), [unhappy(rng, part) for part in about]
            for now in range(HISTORY_H, HISTORY_H + MONTH_H):
                if not whole.hour(
                    negative, now, counts
                ):  # while all of it is criticised more, that of a part is no news
                    for watch, of_it, part in zip(parts, bad, about, strict=True):
                        watch.hour(of_it, now, part)
            alarms["negative"][name] += len(whole.events)
            alarms["touchpoint"][name] += sum(len(watch.events) for watch in parts)
    for kind, by_brand in alarms.items():
        told = ", ".join(f"{name} {each}" for name, each in by_brand.items())
        print(f"{kind}: {sum(by_brand.values()) / seeds:.2f} false alarms a month, {SHARES[kind]:g} promised ({told})")
    turned()


def turned(cases: int = 24) -> None:
    """How often a day is found on which the share doubles: by the number of negative posts alone, and by both tests."""
    for name, rate in RATES.items():
        told = []
        for by_share in (False, True):
            hours = []
            for seed in range(cases):
                rng = np.random.default_rng([seed, int(rate * 24), 8])
                counts = posts(rng, rate, HISTORY_H + 400)
                begin = HISTORY_H + 24 + int(rng.integers(0, WEEK_H))
                negative = unhappy(rng, counts, (begin, 2.0))
                # Each of two tests has half of the allowance; one alone has all of it.
                watch = Watch(len(RATES), Rules(false_alarms=1.0 if by_share else 2.0), "negative")
                for now in range(begin, begin + SPIKE_H):
                    watch.hour(negative, now, counts if by_share else None)
                hours += [watch.events[0][0] - begin + 1] if watch.events else []
            told.append(f"{len(hours)} of {cases}" + (f", {np.median(hours):.0f} h" if hours else ""))
        print(f"share doubled for a day, {name}: by number alone {told[0]}; by share too {told[1]}", flush=True)


def unhappy(rng: np.random.Generator, counts: np.ndarray, worse: tuple[int, float] | None = None) -> np.ndarray:
    """The negative among the posts: a fifth, more or less by hour of the day, day and week (logistic-normal).

    `worse`: the hour from which on a day's share is so many times what it would be.
    """
    hours = np.arange(len(counts))
    varied = [np.repeat(rng.normal(0, s, len(hours) // each + 1), each)[: len(hours)]
              for each, s in ((WEEK_H, 0.1), (24, 0.25))]  # fmt: skip
    share = 1 / (1 + np.exp(1.39 - 0.15 * np.sin(hours / 24 * 2 * np.pi) - varied[0] - varied[1]))
    if worse:
        share[worse[0] : worse[0] + SPIKE_H] *= worse[1]
    return rng.binomial(counts.astype(int), share.clip(max=1))


def cost() -> None:
    """Seconds of processor for one look of the daemon, the disk's cache warm."""
    sources, touchpoints, now = ("a", "b", "c", "d"), ("", *TOUCHPOINTS[:6]), datetime(2026, 11, 18, 10, 7, tzinfo=UTC)
    rng = np.random.default_rng(5)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "listener.db"
        names = [f"brand {number}" for number in range(10)]
        hours = [f"{now - timedelta(hours=n):%Y-%m-%dT%H}" for n in range(365 * 24)]
        with closing(Store.open(path, ZoneInfo("UTC"), author_key=b"k")) as store, store.writing() as connection:
            connection.executemany(
                "INSERT INTO sources (name, kind, every_s, enabled) VALUES (?, 'feeds', 3600, 1)",
                [(s,) for s in sources],
            )
            connection.executemany(
                "INSERT INTO runs (source, started_at, seconds, seen, new, skipped, outcome, error)"
                " VALUES (?, ?, 1, 1, 1, '{}', 'ok', '')",
                [(source, f"{hour}:00:00Z") for source in sources for hour in hours],
            )
            for name in names:
                for touchpoint in touchpoints:
                    counts = rng.poisson(114 / 12 * (1 if touchpoint == "" else 0.2), (len(hours), len(sources), 3))
                    negative = rng.binomial(counts, 0.2)
                    connection.executemany(
                        "INSERT INTO hourly VALUES (?, ?, ?, ?, ?, ?, ?, 0)",
                        [
                            (name, touchpoint, hour, lag, source, int(counts[h, s, n]), int(negative[h, s, n]))
                            for h, hour in enumerate(hours)
                            for s, source in enumerate(sources)
                            for n, lag in enumerate((0, 1, 5))
                            if counts[h, s, n]
                        ],
                    )
            rows, posts = connection.execute(
                "SELECT count(*), sum(posts) FILTER (WHERE touchpoint = '') FROM hourly"
            ).fetchone()
        config = Config.model_validate(
            {"timezone": "UTC", "database": path, "brand": [{"name": name} for name in names]}
        )
        spent = []
        with closing(trends.open_reader(path, ZoneInfo("UTC"))) as reader:
            for _ in range(3):
                began = time.process_time()
                found = alerting.unnoted(reader, config, now)
                spent.append(time.process_time() - began)
        print(f"{posts:,} posts, {rows:,} rows of hourly counts ({path.stat().st_size / 1024**2:,.0f} MB): a look "
              f"takes {sorted(spent)[1]:.2f} s of processor, {len(found)} found")  # fmt: skip


def topics(seeds: int) -> None:
    """New topics in a quiet month, and how often a word is found that so many authors use on its first day.

    Posts are drawn word by word from 30,000 words, the n-th as often as 1/n (Zipf): 100 posts a day, of 25 words, by an
    author each. No word is new but for chance.
    """
    days, a_day, now = 56, 100, datetime(2026, 11, 18, 0, tzinfo=UTC)
    limit, alarms = Rules().threshold("topic", 1, 24), 0
    found: dict[int, int] = defaultdict(int)
    for seed in range(seeds):
        rng = np.random.default_rng([seed, 77])
        odds = 1 / np.arange(1, 30_001)
        words = rng.choice([f"word{_letters(n)}" for n in range(30_000)], (days * a_day, 25), p=odds / odds.sum())
        said = [causes.Said(n + 1, "s", f"a{n}", causes.terms(" ".join(row)), 0, False, False)
                for n, row in enumerate(words)]  # fmt: skip
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder) / "listener.db"
            with closing(Store.open(path, ZoneInfo("UTC"), author_key=b"k")) as store:
                for day in range(days):
                    posts = [Post("s", str(n), " ".join(words[n]), created_at=now)
                             for n in range(day * a_day, (day + 1) * a_day)]  # fmt: skip
                    store.save_page("s", Page(tuple(posts)), [{"b": "its name"}] * a_day, now)
            with closing(trends.open_reader(path, ZoneInfo("UTC"))) as reader:
                for day in range(days - 30, days):
                    today = said[day * a_day : (day + 1) * a_day]
                    alarms += len(causes.topics(reader, today, 4, limit))
                for authors in (4, 5, 6, 8):
                    new = [replace(post, terms=post.terms | {"bedbugs"}) for post in said[-authors:]]
                    told = causes.topics(reader, [*said[-a_day:-authors], *new], 4, limit)
                    found[authors] += any(topic.term == "bedbugs" for topic in told)
    shown = ", ".join(f"{authors} authors {number / seeds:.0%}" for authors, number in found.items())
    print(f"New topics, {seeds} quiet months of 100 posts a day: {alarms / seeds:.2f} a month, "
          f"{SHARES['topic']:g} promised; a new word is found of {shown}")  # fmt: skip


def _letters(number: int) -> str:
    """A number as letters: words hold no digits."""
    return "".join(chr(97 + int(digit)) for digit in str(number))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seeds", type=int, default=40)
    parser.add_argument("--cost", action="store_true")
    parser.add_argument("--topics", action="store_true")
    parser.add_argument("--criticism", action="store_true")
    arguments = parser.parse_args()
    if arguments.criticism:
        criticism(arguments.seeds)
        return
    if arguments.topics:
        topics(arguments.seeds)
        return
    if arguments.cost:
        cost()
        return
    seeds = arguments.seeds
    began = time.monotonic()
    print(f"Quiet: {seeds} months of {len(RATES)} brands")
    for promised in (1.0, 5.0):
        rules = Rules(false_alarms=promised)
        alarms = quiet(seeds, rules)
        told = ", ".join(f"{name} {number}" for name, number in alarms.items())
        print(f"  {promised:g} a month promised, {promised * SHARES['mentions']:g} of them for mentions: "
              f"{sum(alarms.values()) / seeds:.2f} a month ({told})", flush=True)  # fmt: skip
    print("\nSpikes of a day: found, and after how many hours (median, and nine in ten of those found)")
    print("| brand |" + "".join(f" {times:g}x |" for times in (2, 3, 5)) + "\n|---|---|---|---|")
    results = {times: planted(seeds, times, Rules()) for times in (2, 3, 5)}
    for name in RATES:
        cells = []
        for times in (2, 3, 5):
            delays = sorted(delay for delay in results[times][name] if delay is not None)
            told = f"{len(delays) / seeds:.0%}"
            if delays:
                told += f", {np.median(delays):.0f} h ({np.quantile(delays, 0.9):.0f} h)"
            cells.append(told)
        print(f"| {name} | {' | '.join(cells)} |")
    print(f"{time.monotonic() - began:.0f} s")


if __name__ == "__main__":
    main()
