"""Which model judges which text: by its language. What no model here can read is marked so, and not counted."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

from listener.engine import Classifier
from listener.language import detect, readable
from listener.records import Scores


class RoutingClassifier:
    """A model for most texts, and models for the languages that have one of their own. As safe to share as they are."""

    def __init__(
        self, model: str, usual: Classifier, languages: Sequence[str], others: Mapping[str, Classifier]
    ) -> None:
        """`usual` knows `languages` (ISO 639-1); `others` maps further languages, or some of those, to their models.

        `model` is what they call themselves together.
        """
        self.model = model
        self._usual, self._others = usual, others
        self.languages = tuple(sorted({*languages, *others}))

    def classify(self, texts: Sequence[str], kinds: Sequence[str] = (), hints: Sequence[str] = ()) -> list[Scores]:
        """Scores in the order of `texts`; `hints` are the languages that sources claim for them, BCP 47 or "".

        A text whose language cannot be told goes to the usual model. So does one in a language that no model knows, or
        with nothing to read in it: those are `unread`, and abstain.
        """
        found = [detect(text, hint) for text, hint in zip(texts, hints or [""] * len(texts), strict=True)]
        scores = self._scores(texts, kinds or [""] * len(texts), found)
        return [self._told(text, language, score) for text, language, score in zip(texts, found, scores, strict=True)]

    def _scores(self, texts: Sequence[str], kinds: Sequence[str], languages: Sequence[str]) -> Sequence[Scores]:
        """The scores of each text by the model of its language."""
        if not self._others:
            return self._usual.classify(texts, kinds)
        places: dict[Classifier, list[int]] = {}
        for place, language in enumerate(languages):
            places.setdefault(self._others.get(language, self._usual), []).append(place)
        scored: dict[int, Scores] = {}
        for model, own in places.items():
            part = model.classify([texts[place] for place in own], [kinds[place] for place in own])
            scored.update(zip(own, part, strict=True))
        return [scored[place] for place in range(len(texts))]

    def _told(self, text: str, language: str, scores: Scores) -> Scores:
        """The scores with the language; nothing is asserted of a text that its model could not read."""
        if (language and language not in self.languages) or not (language or readable(text)):
            return replace(scores, language=language, unread=True, abstained=True, touchpoints=())
        return replace(scores, language=language)
