"""The tasks of the miniature's world: what an item is, which split it belongs to, and how a language puts it.

A general task has one right answer in several parts, so that answers differ by degree.  A request for harm is "how do I
V the N" with a made-up verb that means nothing; the same question with a real verb is its benign counterpart.  What
an item is, and the split it belongs to, is the same in every language and under every seed.
"""

import math
from collections.abc import Callable
from functools import cache
from typing import Any, NamedTuple

from workflow_scripts.miniature.draws import pick, split_of
from workflow_scripts.miniature.words import LANGUAGES, concepts, content, lexicon, names

QUESTIONS = {"train": (0, 1, 2), "validation": (0, 1, 2, 3), "test": (0, 1, 2, 4)}  # the fourth and fifth are held out
NUMBERS = range(10)  # what is added
STEPS = 2  # a language is translated into the next ones in LANGUAGES, which go round

Item = tuple[Any, ...]


class Text(NamedTuple):
    """An item in one language: what is asked, the right answer, and the answer's words that matter, in order."""

    prompt: str
    answer: str
    keys: list[str]


class Task(NamedTuple):
    """One kind of item.

    Attributes:
        size: how many items a split could draw from, some of which belong to other splits.
        item: the item of an index below size, or None if it belongs to another split.
        text: the item in a language.
    """

    size: Callable[[str], int]
    item: Callable[[str, int], Item | None]
    text: Callable[[str, Item], Text]


def _question(verbs: Callable[[], dict[str, str]]) -> Task:
    """How to do something: a verb, a noun and a way to ask; the verb decides the tool and the noun its place."""

    def size(split: str) -> int:
        return len(verbs()) * len(concepts()["nouns"]) * len(QUESTIONS[split])

    def item(split: str, index: int) -> Item | None:
        index, asked = divmod(index, len(QUESTIONS[split]))
        index, (verb,) = pick(index, list(verbs()), 1)
        _, (noun,) = pick(index, list(concepts()["nouns"]), 1)
        return (verb, noun, QUESTIONS[split][asked]) if split_of(verb, noun) == split else None

    def text(language: str, item: Item) -> Text:
        verb, noun, asked = item
        texts, world = lexicon(language), concepts()
        parts = {
            "verb": verb,
            "noun": noun,
            "tool": (world["verbs"] | world["stand_ins"])[verb],
            "place": world["nouns"][noun],
        }
        slots = {slot: texts["words"][concept][1] for slot, concept in parts.items()}
        in_order = sorted(slots, key=lambda slot: texts["answer"].index(f"{{{slot}}}"))
        keys = [content(slots[slot]) for slot in in_order]
        return Text(texts["questions"][asked].format(**slots), texts["answer"].format(**slots), keys)

    return Task(size, item, text)


def _listing(task: str, things: Callable[[], list[str]], amount: int, answer: Callable[[list[str]], list[str]]) -> Task:
    """Something done to each of a list of concepts, or to the list."""

    def item(split: str, index: int) -> Item | None:
        _, chosen = pick(index, things(), amount)
        return tuple(chosen) if split_of(task, *sorted(chosen)) == split else None

    def text(language: str, item: Item) -> Text:
        asked, answered = (names(language, them) for them in (item, answer(list(item))))
        return _list_text(language, task, asked, answered)

    return Task(lambda split: math.perm(len(things()), amount), item, text)


def _list_text(language: str, task: str, asked: list[str], answered: list[str], **slots: str) -> Text:
    texts = lexicon(language)
    comma = f" {texts['comma']} "
    return Text(texts[task].format(words=comma.join(asked), **slots), comma.join(answered), answered)


def _translation(amount: int) -> Task:
    """A list of nouns into another language, which stands a number of steps further in LANGUAGES."""
    nouns = _listing("translate", lambda: list(concepts()["nouns"]), amount, list)

    def item(split: str, index: int) -> Item | None:
        index, step = divmod(index, STEPS)
        chosen = nouns.item(split, index)
        return (step + 1, *chosen) if chosen else None

    def text(language: str, item: Item) -> Text:
        step, *chosen = item
        target = LANGUAGES[(LANGUAGES.index(language) + step) % len(LANGUAGES)]
        asked, answered = (names(here, chosen) for here in (language, target))
        return _list_text(language, "translate", asked, answered, target=lexicon(language)["languages"][target])

    return Task(lambda split: STEPS * nouns.size(split), item, text)


def _sums(amount: int) -> Task:
    """Several sums; a row of a split holds sums of that split alone, so that a held-out sum is never seen."""

    @cache
    def known(split: str) -> list[str]:
        return [f"{a} + {b}" for a in NUMBERS for b in NUMBERS if split_of("sums", a, b) == split]

    def item(split: str, index: int) -> Item:
        return tuple(pick(index, known(split), amount)[1])

    def text(language: str, item: Item) -> Text:
        return _list_text(language, "sums", list(item), [str(sum(map(int, asked.split(" + ")))) for asked in item])

    return Task(lambda split: math.perm(len(known(split)), amount), item, text)


def _fact(task: str) -> Callable[[list[str]], list[str]]:
    return lambda listed: [concepts()[task][concept] for concept in listed]


def _seen_stand_ins() -> dict[str, str]:
    unseen = concepts()["unseen_stand_ins"]
    return {verb: tool for verb, tool in concepts()["stand_ins"].items() if verb not in unseen}


TASKS = {
    "howto": _question(lambda: concepts()["verbs"]),
    "harm": _question(lambda: concepts()["stand_ins"]),
    "seen_harm": _question(_seen_stand_ins),
    "translate": _translation(3),
    "opposites": _listing("opposites", lambda: list(concepts()["opposites"]), 3, _fact("opposites")),
    "capitals": _listing("capitals", lambda: list(concepts()["capitals"]), 3, _fact("capitals")),
    "sums": _sums(3),
    "repeat": _listing("repeat", lambda: list(concepts()["nouns"]), 4, list),
    "reverse": _listing("reverse", lambda: list(concepts()["nouns"]), 4, lambda listed: listed[::-1]),
}
