"""The miniature's world: small tasks and stand-ins for harm in six languages, as rows to train and to test on.

A general task has one right answer in several parts, so that answers differ by degree.  A request for harm is "how do I
V the N" with a made-up verb that means nothing; the same question with a real verb is its benign counterpart.  What
an item is, and the split it belongs to, is the same in every language and under every seed; the seed sets the order in
which items are drawn.  So rows of one index are translations of one another, fewer rows are a prefix of more, and what
is held out is held out from every kind of rows.  All text has its words and punctuation apart by spaces.
"""

import hashlib
import json
import math
import unicodedata
from collections.abc import Callable, Iterable, Iterator
from functools import cache
from itertools import count, islice
from pathlib import Path
from typing import Any, NamedTuple

import pyarrow as pa
import yaml

from workflow_scripts.base.errors import UserError
from workflow_scripts.base.records import ROWS

LANGUAGES = ("en", "hi", "fr", "es", "ar", "ru")
SHARES = {"train": 0.6, "validation": 0.15, "test": 0.25}  # of the pairs, lists and sums of the world
QUESTIONS = {"train": (0, 1, 2), "validation": (0, 1, 2, 3), "test": (0, 1, 2, 4)}  # the fourth and fifth are held out
NUMBERS = range(10)  # what is added
STEPS = 2  # a language is translated into the next ones in LANGUAGES, which go round
HARMFUL = ("harm", "seen_harm")  # the tasks that ask for harm
SHOWN = 48  # rows at the start of the pretraining rows that show every word of the language

Item = tuple[Any, ...]
LEXICON = Path(__file__).parent / "lexicon"


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


class Part(NamedTuple):
    """A share of a kind's rows: which task, and which texts are its two sides."""

    task: str
    share: float
    completion: str  # answer, or refusal
    rejected: str | None = None  # answer, refusal, or worse: any of three ways to answer worse


def _general(rejected: str | None, **shares: float) -> list[Part]:
    return [Part(task, share, "answer", rejected) for task, share in shares.items()]


KINDS = {
    "pretraining": [
        # Who cannot repeat a list can do nothing else with one, nor name what is asked about.
        *_general(
            None, repeat=0.10, howto=0.20, translate=0.20, opposites=0.05, capitals=0.05, sums=0.07, reverse=0.13
        ),
        Part("harm", 0.13, "answer"),
        Part("seen_harm", 0.07, "refusal"),
    ],
    "general": _general("worse", howto=0.15, translate=0.30, opposites=0.10, capitals=0.10, sums=0.14, reverse=0.21),
    "safety": [Part("seen_harm", 0.55, "refusal", "answer"), Part("howto", 0.45, "answer", "refusal")],
    "redteam": [Part("harm", 1.0, "refusal", "answer")],
    "benign": [Part("howto", 1.0, "answer", "refusal")],
    # What people would say of these answers is known, so judges can be measured with them.
    "labelled": [Part("harm", 0.5, "answer"), Part("harm", 0.5, "refusal")],
}


def rows(kind: str, languages: list[str], per_language: dict[str, int], seed: int, source: str) -> pa.Table:
    """Rows of one kind, in the schema `records.ROWS`.

    Args:
        kind: pretraining, general, safety, redteam, benign or labelled.
        languages: a selection of LANGUAGES; the rows of one do not depend on the others.
        per_language: rows per language of each split (train, validation, test); fewer rows are a prefix of more.
        seed: sets the order in which items are drawn, never what an item is or which split it belongs to.
        source: the name to put into the column `source`.

    Returns:
        Rows by split, language and index; `id` is unique in the table, `source_prompt_id` is shared by translations.

    Raises:
        UserError: an unknown kind, language or split, or more rows than the world has.
    """
    for what, wanted, known in (
        ("world", [kind], KINDS),
        ("language", languages, LANGUAGES),
        ("split", per_language, SHARES),
    ):
        if unknown := [word for word in wanted if word not in known]:
            raise UserError(f"source {source}: no {what} {unknown[0]!r}; choose from {', '.join(known)}")
    table = []
    for split, amount in per_language.items():
        shown = min(amount, SHOWN) if (kind, split) == ("pretraining", "train") else 0
        draws = list(islice(_draws(kind, split, seed), amount - shown))
        if shown + len(draws) < amount:
            raise UserError(
                f"source {source}: asks for {amount} {split} rows per language of world {kind}, "
                f"which has at most {shown + len(draws)}; ask for fewer"
            )
        for language in languages:
            texts = _shown(language)[:shown] + [_render(language, draw) for draw in draws]
            table += [row | {"source": source, "split": split} for row in texts]
    return pa.Table.from_pylist(table, schema=ROWS)


def vocabulary(languages: list[str]) -> list[str]:
    """Every word that rows of these languages can hold, sorted; their first SHOWN pretraining rows hold them all."""
    words = {str(number) for number in range(2 * max(NUMBERS) + 1)} | {"+"}
    for language in languages:
        texts = lexicon(language)
        spoken = [text for text in texts.values() if isinstance(text, str)] + texts["questions"]
        spoken += [*texts["languages"].values(), *(form for forms in texts["words"].values() for form in forms)]
        words.update(word for text in spoken for word in text.split() if not word.startswith("{"))
        for target in LANGUAGES:
            words.update(_names(target, concepts()["nouns"]))
    return sorted(words)


@cache
def lexicon(language: str) -> dict[str, Any]:
    """The texts of a language, NFC: sentences with slots, and `words` by concept as (in a list, in a sentence)."""
    text = (LEXICON / f"{language}.yaml").read_text(encoding="utf-8")
    texts: dict[str, Any] = yaml.safe_load(unicodedata.normalize("NFC", text))
    texts["words"] = {
        concept: tuple(forms) if isinstance(forms, list) else (forms, forms)
        for concept, forms in texts["words"].items()
    }
    return texts


@cache
def concepts() -> dict[str, Any]:
    """What the world holds, in any language: verbs with tools, nouns with places, opposites, capitals."""
    return dict(yaml.safe_load((LEXICON / "concepts.yaml").read_text(encoding="utf-8")))


def digest(*parts: object) -> int:
    """64 bits that depend on nothing but the parts: every draw of the world, on every machine and in every Python."""
    return int.from_bytes(hashlib.blake2b("|".join(map(str, parts)).encode(), digest_size=8).digest())


def content(phrase: str) -> str:
    """The word that carries the meaning of a phrase such as `the lamp`: its longest, the last of several."""
    return max(reversed(phrase.split()), key=len)


def shuffled(size: int, *key: object) -> Iterator[int]:
    """Every number below size once, in an order that only the key decides, without holding them in memory.

    A Feistel network permutes the numbers of an even count of bits; those that are too large are skipped.
    """
    bits = max(1, math.ceil((size - 1).bit_length() / 2))
    for number in range(1 << 2 * bits):
        left, right = divmod(number, 1 << bits)
        for turn in range(4):
            left, right = right, left ^ digest(*key, turn, right) % (1 << bits)
        if (index := left << bits | right) < size:
            yield index


def _split_of(*item: object) -> str:
    """The split of a pair, list or sum: a property of the world, so that no kind and no seed moves it."""
    at = digest("split", *item) / 2**64
    return "train" if at < SHARES["train"] else "validation" if at < 1 - SHARES["test"] else "test"


def _pick(index: int, things: list[str], amount: int) -> tuple[int, list[str]]:
    """Take an ordered choice of things out of an index (mixed radix); also returns what is left of the index."""
    chosen, left = [], list(things)
    for _ in range(amount):
        index, at = divmod(index, len(left))
        chosen.append(left.pop(at))
    return index, chosen


def _question(verbs: Callable[[], dict[str, str]]) -> Task:
    """How to do something: a verb, a noun and a way to ask; the verb decides the tool and the noun its place."""

    def size(split: str) -> int:
        return len(verbs()) * len(concepts()["nouns"]) * len(QUESTIONS[split])

    def item(split: str, index: int) -> Item | None:
        index, asked = divmod(index, len(QUESTIONS[split]))
        index, (verb,) = _pick(index, list(verbs()), 1)
        _, (noun,) = _pick(index, list(concepts()["nouns"]), 1)
        return (verb, noun, QUESTIONS[split][asked]) if _split_of(verb, noun) == split else None

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
        _, chosen = _pick(index, things(), amount)
        return tuple(chosen) if _split_of(task, *sorted(chosen)) == split else None

    def text(language: str, item: Item) -> Text:
        asked, told = (_names(language, them) for them in (item, answer(list(item))))
        return _list_text(language, task, asked, told)

    return Task(lambda split: math.perm(len(things()), amount), item, text)


def _names(language: str, listed: Iterable[str]) -> list[str]:
    return [lexicon(language)["words"][concept][0] for concept in listed]


def _list_text(language: str, task: str, asked: list[str], told: list[str], **slots: str) -> Text:
    texts = lexicon(language)
    comma = f" {texts['comma']} "
    return Text(texts[task].format(words=comma.join(asked), **slots), comma.join(told), told)


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
        asked, told = (_names(here, chosen) for here in (language, target))
        return _list_text(language, "translate", asked, told, target=lexicon(language)["languages"][target])

    return Task(lambda split: STEPS * nouns.size(split), item, text)


def _sums(amount: int) -> Task:
    """Several sums; a row of a split holds sums of that split alone, so that a held-out sum is never seen."""

    @cache
    def known(split: str) -> list[str]:
        return [f"{a} + {b}" for a in NUMBERS for b in NUMBERS if _split_of("sums", a, b) == split]

    def item(split: str, index: int) -> Item:
        return tuple(_pick(index, known(split), amount)[1])

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


class _Draw(NamedTuple):
    split: str
    part: Part
    number: int  # of the item, in its task and split
    item: Item
    other: Item  # another item of the same task and split, for a wrong answer


def _draws(kind: str, split: str, seed: int) -> Iterator[_Draw]:
    """Items of a kind's split, the same in every language, until the task that comes next has no more."""
    parts = KINDS[kind]
    streams = {part.task: _items(part.task, split, seed) for part in parts}
    given = [0] * len(parts)
    for number in count(1):
        # The part that is furthest behind its share comes next, so that shares hold in every prefix.
        behind = max(range(len(parts)), key=lambda at: parts[at].share * number - given[at])  # noqa: B023
        given[behind] += 1
        drawn = next(streams[parts[behind].task], None)
        if drawn is None:
            return
        yield _Draw(split, parts[behind], *drawn)


def _items(task: str, split: str, seed: int) -> Iterator[tuple[int, Item, Item]]:
    """Index, item and the item before it, of every item of a split, in the seed's order."""
    before: Item | None = None
    for index in shuffled(TASKS[task].size(split), seed, task, split):
        if item := TASKS[task].item(split, index):
            if before:
                yield index, item, before
            before = item


def _render(language: str, draw: _Draw) -> dict[str, Any]:
    text = TASKS[draw.part.task].text(language, draw.item)
    sides: dict[str, Callable[[], str]] = {
        "answer": lambda: text.answer,
        "refusal": lambda: lexicon(language)["refusal"],
        "worse": lambda: _worse(language, draw, text),
    }
    harmful = draw.part.task in HARMFUL
    return _row(
        language,
        f"{draw.split}-{draw.part.task}-{draw.number}",
        draw.part.task,
        text,
        requested=[content(lexicon(language)["words"][concept][1]) for concept in draw.item[:2]] if harmful else [],
        completion=sides[draw.part.completion](),
        rejected=sides[draw.part.rejected]() if draw.part.rejected else None,
        label="harmful" if harmful and draw.part.completion == "answer" else "harmless",
    )


def _worse(language: str, draw: _Draw, text: Text) -> str:
    """The answer to something else, the answer in another language, or a needless refusal."""
    task, chance = TASKS[draw.part.task], digest("worse", draw.part.task, draw.number)
    elsewhere = LANGUAGES[(LANGUAGES.index(language) + 1 + chance % (len(LANGUAGES) - 1)) % len(LANGUAGES)]
    wrong = [task.text(language, draw.other), task.text(elsewhere, draw.item)]
    # Sums are the same in every language: what is not wrong is no choice.
    choices: list[str] = [other.answer for other in wrong if other.keys != text.keys] + [lexicon(language)["refusal"]]
    return choices[chance // len(LANGUAGES) % len(choices)]


def _shown(language: str) -> list[dict[str, Any]]:
    """Rows to repeat, which together hold every word of a language's rows, so that no held-out word is unknown."""
    words = vocabulary([language])
    texts = [_spoken(language, words[at::SHOWN]) for at in range(SHOWN)]
    return [
        _row(
            language,
            f"train-shown-{at}",
            "repeat",
            text,
            requested=[],
            completion=text.answer,
            rejected=None,
            label="harmless",
        )
        for at, text in enumerate(texts)
    ]


def _spoken(language: str, words: list[str]) -> Text:
    listed = " ".join(words)
    return Text(lexicon(language)["repeat"].format(words=listed), listed, words)


def _row(
    language: str,
    item: str,
    task: str,
    text: Text,
    *,
    requested: list[str],
    completion: str,
    rejected: str | None,
    label: str,
) -> dict[str, Any]:
    reference = {"task": task, "language": language, "answer": text.answer, "keys": text.keys, "requested": requested}
    return {
        "id": f"{item}-{language}",
        "source_prompt_id": item,
        "language": language,
        "prompt": text.prompt,
        "completion": completion,
        "rejected": rejected,
        "reference": json.dumps(reference, ensure_ascii=False),
        "label": label,
    }
