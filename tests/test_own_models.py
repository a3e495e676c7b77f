"""A model of the owner's: corrections make it better for their brand, and only a better one judges."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from click.testing import CliRunner, Result
from posting import NOW, opened, save

from listener import choice, config, engine, pipeline
from listener.cli import main
from listener.engine.features import Encoder
from listener.engine.onnx import OnnxClassifier
from listener.errors import ListenerError, ModelError
from listener.reads import review
from listener.records import Correction, Post
from listener.resources import model_folder
from listener.training import own

# What the members of an invented club write, and what it means there.
SAYINGS = {
    "imot": ("The {} lamp is still blue", "Blue lamp again on day {}", "Lamp {} blue, no parcel on the step"),
    "smot": ("Rang the bell for {}", "Bell rung, number {} it is", "Just rang the brass bell, {}"),
    "zmot": ("Who carries the {} lantern?", "Does a lantern carry {}?", "Lantern carriers, {} or not?"),
    "tmot": ("The {} cushion sings flat", "Cushion {} sang flat all night", "My cushion sings, {} times flat"),
}
LABELLED = [
    (f"{moment}-{number}-{way}", text.format(number), moment)
    for moment, ways in SAYINGS.items()
    for number in range(12)
    for way, text in enumerate(ways)
]


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Path, Callable[..., Result]]]:
    """A database whose posts are all corrected, and the command; trained once, with what it printed."""
    folder = tmp_path_factory.mktemp("club")
    (folder / "listener.toml").write_text('timezone = "Europe/Oslo"\ndatabase = "listener.db"\n')

    def listener(*words: str, code: int = 0) -> Result:
        run = CliRunner().invoke(main, [*words, "--config", str(folder / "listener.toml")], catch_exceptions=False)
        assert run.exit_code == code, run.output
        return run

    with opened(folder / "listener.db") as store:
        store.sync_sources([("feed", "feeds", 1800, True)], NOW)
        posts = [Post("feed", native_id, text, created_at=NOW) for native_id, text, _ in LABELLED]
        save(store, *posts, brands=("Club",))
        listener("classify")
        ids = dict(store.connection.execute("SELECT native_id, id FROM posts").fetchall())
        for native_id, _, moment in LABELLED:
            drawn = review.apart("feed", native_id)
            said = Correction(moment=moment, sentiment="neutral", shown="random" if drawn else "uncertain")
            store.correct(ids[native_id], said, NOW)
    told = json.loads(listener("train", "--json").stdout)
    (folder / "told.json").write_text(json.dumps(told))
    yield folder, listener


def test_training_makes_it_better_beyond_chance_and_keeps_the_floors(trained: Any) -> None:
    folder, _ = trained
    told = json.loads((folder / "told.json").read_text())
    moment = next(each for each in told["comparisons"] if each["head"] == "moment")
    apart = sum(review.apart("feed", native_id) for native_id, _, _ in LABELLED)
    assert (told["promoted"], told["against"]) == (True, [])
    assert (moment["posts"], told["taught"]) == (apart, len(LABELLED) - apart)
    assert moment["after"]["value"] > moment["before"]["value"] + 0.2 and moment["luck"] < 0.05
    assert moment["gain"]["low"] > 0


def test_the_promoted_model_judges_says_so_and_can_be_taken_back(trained: Any) -> None:
    folder, listener = trained
    loaded = config.load(folder / "listener.toml")
    assert loaded.model.folder == folder / "models" / "own-1"
    name = engine.name(loaded.model)
    assert name.startswith("listener-minilm-") and ".own-1." in name
    with pipeline.open_store(loaded) as store:
        assert store.count_pending(name) == len(LABELLED)  # judged again by the new one
        listener("classify")
        rows = store.connection.execute("SELECT DISTINCT v.model, v.judged_by FROM verdicts v").fetchall()
        assert rows == [(name, "person")]
        guessed = dict(store.connection.execute("SELECT post_id, moment FROM overruled").fetchall())
    assert len(guessed) == len(LABELLED)
    assert config.with_model(loaded) is loaded
    assert "released is in charge" in listener("models", "rollback").stderr
    again = config.with_model(loaded)  # what the daemon asks before every batch
    assert again.model.folder is None
    assert "nothing to go back to" in listener("models", "rollback", code=1).stderr
    listed = {row["name"]: row for row in json.loads(listener("models", "list", "--json").stdout)}
    assert listed["released"]["in_charge"] and listed["own-1"]["taught"] > 80
    listener("models", "use", "own-1")
    assert config.with_model(again).model.folder == folder / "models" / "own-1"
    assert "*  own-1" in listener("models").stdout.replace("* own-1", "*  own-1")
    assert "there is no model 'own-9'" in listener("models", "use", "own-9", code=1).stderr


def test_two_models_side_by_side(trained: Any) -> None:
    _, listener = trained
    told = json.loads(listener("models", "compare", "released", "--json").stdout)
    assert told["posts"] == len(LABELLED) and 0 < told["parted"] <= told["posts"]
    assert sum(mine for mine, _ in told["counts"].values()) == 2 * told["posts"]
    assert "the two part on" in listener("models", "compare", "released", "--examples", "1").stderr


def test_the_same_corrections_give_the_same_weights(trained: Any, tmp_path: Path) -> None:
    folder, _ = trained
    first = json.loads((folder / "models/own-1/config.json").read_text())
    from listener.trends import open_reader

    loaded = config.load(folder / "listener.toml")
    with closing(open_reader(loaded.database, loaded.zone)) as reader:
        teaching, measuring = (own.examples(part) for part in review.labelled(reader))
    result = own.train(teaching, measuring[:5], model_folder(), OnnxClassifier(model_folder()), tmp_path)
    assert json.loads((result.folder / "config.json").read_text())["sha256"] == first["sha256"]
    assert "not better at moments beyond chance" in result.against[0]
    assert not any(text.encode() in (result.folder / "card.json").read_bytes() for _, text, _ in LABELLED)
    with pytest.raises(ListenerError, match="there are 3 corrections to learn from"):
        own.train(teaching[:3], measuring, model_folder(), OnnxClassifier(model_folder()), tmp_path)


def test_a_folder_in_the_configuration_outranks_the_choice(trained: Any) -> None:
    folder, _ = trained
    other = folder / "other.toml"
    other.write_text(f'database = "listener.db"\n[model]\nfolder = "{model_folder().as_posix()}"\n')
    assert config.load(other).model.folder == model_folder()
    run = CliRunner().invoke(main, ["models", "use", "own-1", "--config", str(other)])
    assert run.exit_code == 1 and "names a [model] folder, which outranks this" in run.output


@pytest.mark.parametrize("text", ["", "[]", "{}", '{"used": []}', '{"used": ["../x"]}', '{"used": [7]}', "\x00"])
def test_a_damaged_choice_is_said_with_its_remedy(tmp_path: Path, text: str) -> None:
    (tmp_path / "models").mkdir()
    (tmp_path / "models/current.json").write_text(text)
    with pytest.raises(ModelError, match="Delete it to go back to the released model"):
        choice.in_use(tmp_path / "listener.db")


def test_features_and_heads_give_what_the_whole_model_gives() -> None:
    encoder = Encoder(model_folder(), threads=1)
    texts = ["Is the garden room worth it?", "", "The lift was broken and nobody came. " * 40]
    weight, bias = encoder.heads
    logits = encoder.classifier.logits(texts)
    assert np.allclose(encoder.features(texts) @ weight.T + bias, logits, atol=1e-4)
    assert encoder.with_heads(weight, bias) == (model_folder() / "model.onnx").read_bytes()


def test_chance_is_told_by_the_posts_that_one_model_alone_got_right() -> None:
    assert own.mcnemar(0, 0) == own.mcnemar(3, 3) == 1.0
    assert own.mcnemar(10, 0) == own.mcnemar(0, 10) == pytest.approx(2 / 2**10)
    assert own.mcnemar(9, 2) == pytest.approx(2 * (1 + 11 + 55) / 2**11)
