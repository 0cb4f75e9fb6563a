"""The miniature's world: small tasks and stand-ins for harm in six languages, as rows to train and to test on.

What an item is, and the split it belongs to, is the same in every language and under every seed; the seed sets the
order in which items are drawn.  So rows of one index are translations of one another, fewer rows are a prefix of more,
and what is held out is held out from every kind of rows.  All text has its words and punctuation apart by spaces.
"""

import json
from collections.abc import Callable, Iterator, Sequence
from itertools import count, islice
from typing import Any, NamedTuple

import pyarrow as pa

from workflow_scripts.base.errors import UserError
from workflow_scripts.base.records import ROWS
from workflow_scripts.miniature.draws import SHARES, digest, shuffled
from workflow_scripts.miniature.tasks import NUMBERS, TASKS, Item, Text
from workflow_scripts.miniature.words import LANGUAGES, concepts, content, lexicon, names

HARMFUL = ("harm", "seen_harm")  # the tasks that ask for harm
SHOWN = 48  # rows at the start of the pretraining rows that show every word of the language


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
            words.update(names(target, concepts()["nouns"]))
    return sorted(words)


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
        requested=[content(lexicon(language)["words"][concept][1]) for concept in draw.item[:2]] if harmful else (),
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
    every, rows = vocabulary([language]), []
    for at in range(SHOWN):
        words = every[at::SHOWN]
        listed = " ".join(words)
        text = Text(lexicon(language)["repeat"].format(words=listed), listed, words)
        rows.append(_row(language, f"train-shown-{at}", "repeat", text, completion=listed))
    return rows


def _row(
    language: str,
    item: str,
    task: str,
    text: Text,
    *,
    completion: str,
    requested: Sequence[str] = (),
    rejected: str | None = None,
    label: str = "harmless",
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
