"""The commands as a person types them: real processes where start-up counts, else click's runner."""

from __future__ import annotations

import csv
import io
import json
import re
import subprocess
import sys
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from listener.cli import main

POSTS = [
    {"id": "1", "text": "Which hotel is better, Harbour or Lumen?", "created_at": "2026-11-20T09:00:00Z"},
    {"id": "2", "text": "We stayed at the Harbour. Filthy, rude staff.", "created_at": "2026-11-20T10:00:00Z"},
    {"id": "3", "text": "Stayed at the Harbour, loved it.", "created_at": "2026-11-20T23:30:00Z", "rating": 5},
    {"id": "4", "text": "Weather was nice today", "created_at": "2026-11-21T08:00:00Z"},
]
CONFIG = """
timezone = "Europe/Berlin"
database = "listener.db"
[[brand]]
name = "Harbour"
[[brand]]
name = "Lumen"
role = "competitor"
"""


@pytest.fixture
def at(tmp_path, monkeypatch) -> Path:
    """A folder with a configuration and a file of posts; the commands run in it."""
    monkeypatch.chdir(tmp_path)
    for name in ("LISTENER_DB", "LISTENER_CONFIG"):
        monkeypatch.delenv(name, raising=False)
    (tmp_path / "listener.toml").write_text(CONFIG)
    (tmp_path / "posts.jsonl").write_text("".join(json.dumps(post) + "\n" for post in POSTS))
    return tmp_path


def listener(*arguments: str, code: int = 0) -> Result:
    result = CliRunner().invoke(main, arguments)
    if result.exception and not isinstance(result.exception, SystemExit):
        raise result.exception
    assert result.exit_code == code, f"{arguments}: {result.output}"
    return result


def test_import_classify_trends_the_whole_way(at):
    (run,) = json.loads(listener("import", "posts.jsonl", "--source", "survey", "--json").stdout)
    assert (run["seen"], run["new"], run["outcome"]) == (4, 4, "ok")
    assert "4 posts judged" in listener("classify").stderr
    assert "has its verdict" in listener("classify").stderr
    rows = json.loads(listener("trends", "--json").stdout)
    by_key = {(row["period"], row["brand"]): row for row in rows}
    # 23:30 UTC on the 20th is the 21st in Berlin
    assert {key: row["posts"] for key, row in by_key.items()} == {
        ("2026-11-20", "Harbour"): 2, ("2026-11-20", "Lumen"): 1, ("2026-11-21", "Harbour"): 1, ("2026-11-21", ""): 1,
    }  # fmt: skip
    assert list(rows[0]) == [
        "period", "brand", "posts", "moments", "research", "transaction", "feedback", "none", "zmot_share",
        "tmot_share", "positive", "neutral", "negative", "net_sentiment", "score", "csat", "abstained", "unread",
        "late", "net", "research_share", "feedback_share", "negative_share", "positive_share", "corrected", "rating",
        "stars",
    ]  # fmt: skip
    loved = by_key["2026-11-21", "Harbour"]
    assert loved["csat"]["value"] is None and loved["csat"]["n"] == 1
    for row in rows:
        assert sum(row["moments"].values()) + row["abstained"] == row["posts"]
        assert row["positive"] + row["neutral"] + row["negative"] == row["posts"]


def test_importing_again_adds_nothing(at):
    listener("import", "posts.jsonl", "--source", "survey")
    (again,) = json.loads(listener("import", "posts.jsonl", "--source", "survey", "--json").stdout)
    assert again["new"] == 0
    assert len(json.loads(listener("posts", "--json").stdout)) == 4


def test_rows_that_cannot_be_read_are_kept_aside_and_counted(at):
    with (at / "posts.jsonl").open("a") as file:
        file.write('{"id": 5}\nnot json\n')
    (run,) = json.loads(listener("import", "posts.jsonl", "--source", "survey", "--json").stdout)
    assert run["new"] == 4 and sum(run["skipped"].values()) == 2
    aside = [json.loads(line) for line in (at / "posts.jsonl.rejected.jsonl").read_text().splitlines()]
    assert [row["line"] for row in aside] == [5, 6]


def test_trends_as_csv_and_by_month(at):
    listener("import", "posts.jsonl", "--source", "survey")
    listener("classify")
    rows = list(csv.DictReader(io.StringIO(listener("trends", "--csv", "--by", "month", "--brand", "Harbour").stdout)))
    assert [(row["period"], row["brand"], row["posts"]) for row in rows] == [("2026-11", "Harbour", "3")]
    assert "csat_low" in rows[0]


def test_posts_are_found_and_filtered(at):
    listener("import", "posts.jsonl", "--source", "survey")
    listener("classify")
    found = json.loads(listener("posts", "filthy OR loved", "--brand", "Harbour", "--json").stdout)
    assert [post["native_id"][:2] for post in found] == ["3-", "2-"]
    shown = listener("posts", "filthy").stdout
    assert "negative" in shown and "Harbour" in shown


def test_brands_test_counts_what_each_part_finds(at):
    listener("import", "posts.jsonl", "--source", "survey")
    result = json.loads(listener("brands", "test", "harbour OR lumen OR nowhere", "--json").stdout)
    assert (result["posts"], result["hits"]) == (4, 3)
    assert result["parts"] == {"harbour": 3, "lumen": 1, "nowhere": 0}


def test_a_changed_brand_links_stored_posts_anew(at):
    listener("import", "posts.jsonl", "--source", "survey")
    (at / "listener.toml").write_text(CONFIG + '[[brand]]\nname = "weather"\n')
    listener("import", "posts.jsonl", "--source", "survey")
    (found,) = json.loads(listener("posts", "--brand", "weather", "--json").stdout)
    assert found["text"] == "Weather was nice today"


def test_the_digest_is_shown_and_written(at):
    listener("import", "posts.jsonl", "--source", "survey")
    listener("classify")
    assert "2 mentions of Harbour" in listener("digest", "--date", "2026-11-20").stdout
    files = listener("digest", "--date", "2026-11-20", "--out", "out").stdout.split()
    assert sorted(Path(file).suffix for file in files) == [".eml", ".html", ".txt"]
    assert all(Path(file).stat().st_size > 500 for file in files)
    assert "host is not set" in listener("digest", "--send", code=1).stderr


def test_init_writes_a_working_example_and_overwrites_nothing(at):
    (at / "listener.toml").unlink()
    listener("init")
    written = (at / "listener.toml").read_text()
    assert listener("doctor").exit_code == 0
    assert "was left as it is" in listener("init", code=1).stderr
    assert (at / "listener.toml").read_text() == written


def test_doctor_names_what_is_wrong_and_the_remedy(at):
    (at / "listener.toml").write_text(
        CONFIG + '[[source]]\nname = "x"\nkind = "feeds"\nurll = "https://example.com/"\n'
    )
    result = listener("doctor", code=1)
    assert "wrong" in result.stdout and "urll" in result.stdout and "'url'" in result.stdout
    findings = json.loads(listener("doctor", "--json", code=1).stdout)
    assert {finding["state"] for finding in findings} <= {"ok", "warning", "wrong"}


def test_doctor_tells_how_far_verdicts_may_lag_and_who_can_read_the_files(at):
    listener("import", "posts.jsonl", "--source", "s")
    for name in ("listener.db", "listener.db.m003"):
        (at / name).touch()
        (at / name).chmod(0o644)
    findings = json.loads(listener("doctor", "--json").stdout)
    (pace,) = [each["detail"] for each in findings if each["what"] == "pace"]
    assert re.search(r"some [\d,]+ posts a second are judged here: a new one within \d+ s, the last of the \d+", pace)
    readable = "\n".join(each["detail"] for each in findings)
    for name in ("listener.db", "listener.db.m003"):
        assert f"{at / name} can be read by other users" in readable


@pytest.mark.parametrize("model", ['[model]\nfolder = "away"', '[model.heads.sentiment]\nfolder = "away"',
                                   '[model.languages]\nde = "away"'])  # fmt: skip
def test_a_model_whose_disk_is_not_there_keeps_no_post_from_being_fetched(at, model):
    (at / "listener.toml").write_text(
        CONFIG + '[[source]]\nname = "file"\nkind = "files"\npaths = ["posts.jsonl"]\n' + model
    )
    (run,) = json.loads(listener("collect", "--json").stdout)
    assert (run["outcome"], run["new"]) == ("ok", 4)
    assert "away" in listener("classify", code=1).stderr
    assert re.search(r"wrong +model: .*away", listener("doctor", code=1).stdout)


def test_doctor_sees_a_damaged_database(at):
    listener("import", "posts.jsonl", "--source", "survey")
    (at / "listener.db").write_bytes(b"no database at all" * 500)
    assert "listener.db" in listener("doctor", code=1).stdout


def test_an_unknown_key_names_the_nearest(at):
    (at / "listener.toml").write_text(CONFIG.replace("timezone", "timezon"))
    assert "did you mean 'timezone'" in listener("trends", code=1).stderr


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["trends"], "no database"),
        (["collect"], "no source is configured"),
        (["collect", "nowhere"], "no source is configured"),
        (["sources", "test", "nowhere"], "nowhere"),
        (["brands", "test", "(a"], "^"),
    ],
)
def test_what_cannot_be_done_is_said_without_a_traceback(at, arguments, said):
    result = listener(*arguments, code=1)
    assert said in result.stderr and "Traceback" not in result.stderr


def test_a_brand_that_does_not_exist_names_the_nearest(at):
    listener("import", "posts.jsonl", "--source", "survey")
    assert "Harbour" in listener("trends", "--brand", "Harbor", code=1).stderr


def test_a_locked_database_is_said_to_be_locked(at):
    import sqlite3

    listener("import", "posts.jsonl", "--source", "survey")
    holder = sqlite3.connect("listener.db")
    holder.execute("BEGIN IMMEDIATE")
    (at / "more.jsonl").write_text('{"id": "9", "text": "one more"}\n')
    command = [sys.executable, "-c", "from listener.store import Store\n"
               "Store.open.__func__.__kwdefaults__['busy_s'] = 0.3\n"
               "from listener.cli import main; main(['import', 'more.jsonl', '--source', 'survey'])"]  # fmt: skip
    result = subprocess.run(command, capture_output=True, text=True, timeout=60)
    holder.rollback()
    assert result.returncode == 1
    assert "locked" in result.stderr and "Traceback" not in result.stderr
    (again,) = json.loads(listener("import", "more.jsonl", "--source", "survey", "--json").stdout)
    assert again["new"] == 1, "what could not be stored is stored the next time"


def test_sources_kinds_tells_every_kind(at):
    told = json.loads(listener("sources", "kinds", "--json").stdout)
    assert {"feeds", "files", "hackernews", "webreviews"} <= set(told)
    assert all(about["brings"] and about["key"] and about["limits"] and about["terms"] for about in told.values())


def test_sources_test_shows_what_would_be_stored_and_stores_nothing(at):
    (at / "listener.toml").write_text(CONFIG + '[[source]]\nname = "box"\nkind = "files"\npaths = ["posts.jsonl"]\n')
    with (at / "posts.jsonl").open("a") as file:
        file.write("not json\n")
    found = json.loads(listener("sources", "test", "box", "--json").stdout)
    assert found["seen"] == 4 and found["posts"][0]["brands"].keys() == {"Harbour", "Lumen"}
    assert found["skipped"] and sorted(path.name for path in at.iterdir()) == ["listener.toml", "posts.jsonl"]


def test_the_demo_shows_the_whole_way_and_leaves_ones_own_database_alone(at):
    result = listener("demo", "--out", "shown")
    assert (at / "shown" / "demo.db").exists() and not (at / "listener.db").exists()
    html = next((at / "shown").glob("*.html")).read_text()
    assert "Harbour &amp; Pine" in html and "Lumen Stays" in html
    assert "posts" in result.output
    listener("demo", "--out", "shown")


def test_help_names_every_command_and_the_readme_and_docs_do_too(repo):
    written = (repo / "README.md").read_text()
    for name in main.commands:
        assert f"listener {name}" in written or f"`{name}" in written, f"README.md does not name {name}"
    sources = (repo / "docs" / "sources.md").read_text()
    for kind in json.loads(listener("sources", "kinds", "--json").stdout):
        assert f"## {kind}" in sources, f"docs/sources.md does not speak of {kind}"
    logged = (repo / "docs" / "running.md").read_text()
    code = "".join(path.read_text() for path in (repo / "listener").rglob("*.py"))
    for event in set(re.findall(r'log\.event\("(\w+)"', code)):
        assert f"`{event}`" in logged, f"docs/running.md does not list the event {event}"


def test_python_m_listener_answers(at):
    result = subprocess.run([sys.executable, "-m", "listener", "--version"], capture_output=True, text=True, check=True)
    assert re.fullmatch(r"listener, version \d+\.\d+\.\d+", result.stdout.strip())


def test_an_import_that_is_set_up_wrongly_is_refused_before_it_begins(at):
    result = listener("import", "posts.jsonl", "--source", "survey", "--preset", "bookingg", code=1)
    assert "should be" in result.stderr and "Traceback" not in result.stderr and not (at / "listener.db").exists()
    (at / "listener.toml").write_text(CONFIG + '[[source]]\nname = "hn"\nkind = "hackernews"\nqueries = ["Harbour"]\n')
    assert "another kind" in listener("import", "posts.jsonl", "--source", "hn", code=1).stderr


def test_a_day_that_is_not_over_is_not_sent(at):
    mail = '[mail]\nhost = "127.0.0.1"\nport = 1\nsender = "l@example.org"\n[[recipient]]\nemail = "anna@example.org"\n'
    (at / "listener.toml").write_text(CONFIG + mail)
    listener("import", "posts.jsonl", "--source", "survey")
    assert "not over" in listener("digest", "--date", "today", "--send", code=2).stderr


def test_today_is_that_of_the_configured_time_zone(at):
    days = set()
    for zone in ("Pacific/Kiritimati", "Etc/GMT+12"):  # 26 hours apart: never the same day
        (at / "listener.toml").write_text(CONFIG.replace("Europe/Berlin", zone))
        listener("import", "posts.jsonl", "--source", "survey")
        days |= {Path(file).stem for file in listener("digest", "--date", "today", "--out", "o").stdout.split()}
    assert len(days) == 2
    assert "is not a day" in listener("posts", "--since", "999999999d", code=2).stderr


def test_the_doctor_leaves_no_lock_file_behind(at):
    listener("doctor")
    assert not (at / "listener.db.lock").exists()


def test_a_daemon_that_may_not_write_says_so(at):
    result = listener("run", "--db", "posts.jsonl/listener.db", code=1)
    assert "cannot be written" in result.stderr


def test_help_shows_whole_sentences(at):
    for group in ([], ["brands"], ["sources"]):
        assert "..." not in listener(*group, "--help").output.partition("Commands:")[2]


@pytest.mark.parametrize("width", [80, 120])
def test_the_trends_fit_the_screen(at, monkeypatch, width):
    from listener.cli import reading, shared

    monkeypatch.setattr(shared, "width", lambda: width)
    monkeypatch.setattr(reading, "width", lambda: width)
    listener("import", "posts.jsonl", "--source", "survey")
    listener("classify")
    result = listener("trends")
    assert max(map(len, result.output.splitlines())) <= width
    assert ("research" in result.stdout) == (width == 120), "a narrow screen leaves the counts of the phases out"
    assert "(none)" in result.stdout and "95 % interval" in result.stderr and "(none):" in result.stderr
    assert result.stdout.count("2026-11-2") == 4, "no day is broken into two lines"


def test_an_import_names_the_option_that_is_wrong_and_the_file_of_rejects(at):
    def refused(*options):
        return listener("import", "posts.jsonl", "--source", "survey", *options, code=1).stderr

    assert (
        refused("--brand", "Harbor")
        == "listener: --brand: there is no [[brand]] called 'Harbor'; did you mean 'Harbour'?\n"
    )
    assert refused("--preset", "hilton").startswith("listener: --preset: should be")
    assert refused("--column", "txt=a").startswith("listener: --column: there is no field 'txt'; did you mean 'text'?")
    (at / "reviews.csv").write_text("Date;Text\n2026-11-20;Lovely\n2026-11-21;\n")
    broken = listener("import", "reviews.csv", "--source", "csv", "--column", "text=Nope", code=1)
    assert "no column 'Nope'" in broken.stdout and broken.stderr == "", "the table says it, the log need not"
    assert "reviews.csv.rejected.jsonl" in listener("import", "reviews.csv", "--source", "csv").stderr


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["trends", "--json", "--csv"], "exclude each other"),
        (["digest", "--out", "a", "--send"], "give one of them"),
        (["digest", "--date", "2999-01-01"], "has not come yet"),
        (["brands", "test", "a", "--limit", "-1"], "--limit"),
    ],
)
def test_what_contradicts_itself_is_not_understood(at, arguments, said):
    assert said in listener(*arguments, code=2).stderr


def test_a_folder_that_cannot_be_made_is_said_without_a_traceback(at):
    assert "posts.jsonl" in listener("demo", "--out", "posts.jsonl/demo", code=1).stderr


def test_a_part_that_is_negated_says_that_it_takes_posts_away(at):
    listener("import", "posts.jsonl", "--source", "survey")
    told = listener("brands", "test", "harbour NOT lumen").stdout
    assert re.search(r"NOT lumen \(takes these away\) +1", told) and re.search(r"harbour +3", told)


def test_a_database_named_on_the_command_line_is_that_commands_alone(at):
    import os

    listener("import", "posts.jsonl", "--source", "survey", "--db", "other.db")
    assert (at / "other.db").exists() and "LISTENER_DB" not in os.environ
    assert "no database" in listener("trends", code=1).stderr
