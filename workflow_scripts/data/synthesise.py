"""Command: safety data from seeds: a model rephrases them, others answer, a judge says which answers are safe.

Source: the recipe of "The Multilingual Alignment Prism", arXiv 2406.18682.  Safe answers become SFT targets; where a
prompt got harmful ones too, each safe answer is set against one of them, which makes a pair for DPO.  What falls out on
the way is counted by its reason, and nothing that a provider refuses is asked again.
"""

import unicodedata
from collections import Counter
from collections.abc import Callable, Iterator
from itertools import cycle
from typing import Any, NamedTuple

import pyarrow as pa

from workflow_scripts.base import hashing, records
from workflow_scripts.base.errors import UserError
from workflow_scripts.base.job import STORE, Job, Made
from workflow_scripts.base.text import detector
from workflow_scripts.judge import questions, scores
from workflow_scripts.llm import prompts
from workflow_scripts.llm.client import Client
from workflow_scripts.llm.parameters import request_parameters
from workflow_scripts.llm.request import Answer, Request
from workflow_scripts.metrics import METRICS
from workflow_scripts.store.outputs import write_rows

# section of the config, key in it, requests -> answers in order
Ask = Callable[[str, str, list[Request]], list[Answer]]
PLACES = ("NUMBER", "VARIANTS", "LANGUAGE")  # of the rephraser's prompt, besides the seed
PROMPT = prompts.Holds(("SEED",), PLACES, answer="prompt")
QUESTION = METRICS["harm"].questions[0]


class Kind(NamedTuple):
    """Which verdicts make a target, and which one what it is preferred to."""

    chosen: tuple[str, ...]
    rejected: str


HARMFUL, BENIGN = Kind(("refused", "neither"), "harmful"), Kind(("neither",), "refused")  # by the kind of the seeds


class Written(NamedTuple):
    """A prompt made from a seed, with what its completers answered and the judge said, once they have."""

    seed: dict[str, Any]
    number: int
    prompt: str

    @property
    def language(self) -> str:
        """The seed's."""
        return str(self.seed["language"])


class Tally:
    """What came of each request: counts by stage, model, language and outcome."""

    def __init__(self) -> None:
        self.counts: Counter[tuple[str, str | None, str, str]] = Counter()

    def note(self, stage: str, model: str | None, language: str, outcome: str) -> bool:
        """Count one; whether it was kept."""
        self.counts[stage, model, language, outcome] += 1
        return outcome == "kept"

    def table(self) -> pa.Table:
        """Schema `records.SYNTHESIS`, in the order of the stages."""
        names = ("stage", "model", "language", "outcome", "count")
        rows = [dict(zip(names, (*place, count), strict=True)) for place, count in self.counts.items()]
        return pa.Table.from_pylist(rows, records.SYNTHESIS)


def rows(work: dict[str, Any], seeds: pa.Table, ask: Ask) -> tuple[pa.Table, pa.Table]:
    """Safety data from seeds.

    Args:
        work: `name` of the source; `languages` and `splits` of the seeds that are used; `variants` per seed; `prompt`,
            the text of the rephraser's; `benign`, whether the seeds are harmless; `pairs`, whether only prompts with
            both sides are kept; `rephraser`, `completers` (a list) and `judge`, each with its `key`, its `model` and
            what of `llm.PARAMETERS` it is asked with; the judge's prompt as `harm`.
        seeds: schema `records.ROWS`.
        ask: answers requests to an entry of `llms` or `judges`, in order.

    Returns:
        A row per safe completion, schema `records.ROWS`, in the order of the seeds, with the seed's language, split,
        source prompt and categories; and the yields, schema `records.SYNTHESIS`.  Prompts that are the same up to case,
        punctuation and spaces count once, and those of all seeds, of every split, count as there already.

    Raises:
        UserError: no seed is left to use, or requests failed after all retries.
    """
    every = seeds.to_pylist()
    chosen = [row for row in every if row["language"] in work["languages"] and row["split"] in work["splits"]]
    if not chosen:
        where = f"in {', '.join(work['languages'])} of {', '.join(work['splits'])}"
        raise UserError(f"sources.{work['name']}: the seeds have no rows {where}; fix `languages` or `splits`")
    spoken = detector(sorted({*work["languages"], "en"}))  # who answers in another language does so in English
    tally = Tally()
    known = {(row["language"], plain(row["prompt"])) for row in every}
    written = list(_rephrased(work, chosen, known, spoken, ask, tally))
    completed = _completed(work, written, spoken, ask, tally)
    judged = _judged(work, completed, ask, tally)
    made = list(_targets(work, judged, tally))
    return pa.Table.from_pylist(made, records.ROWS), tally.table()


def plain(text: str) -> str:
    """What two texts share that differ in case, punctuation and spaces alone.

    >>> plain("¿Qué  tal, (amigo)?"), plain("नमस्ते!")
    ('qué tal amigo', 'नमस्ते')
    """
    folded = unicodedata.normalize("NFKC", text).casefold()
    return " ".join("".join(c if unicodedata.category(c)[0] not in "PSCZ" else " " for c in folded).split())


def parse(text: str) -> str | None:
    """The prompt in a rephraser's answer, or None where there is not exactly one.

    >>> parse('Here it is: {"prompt": " How? "}'), parse("How?"), parse('{"prompt": ""}'), parse('{"prompt": 1}')
    ('How?', None, None, None)
    """
    given = {value for name, value in prompts.members(text) if name == "prompt" and isinstance(value, str)}
    found = given.pop().strip() if len(given) == 1 else ""
    return found or None


def summary(yields: pa.Table) -> list[str]:
    """The yields in lines, languages together: how many were asked of each model, were kept, and fell out why."""
    together: dict[tuple[str, str | None], Counter[str]] = {}
    for row in yields.to_pylist():
        together.setdefault((row["stage"], row["model"]), Counter())[row["outcome"]] += row["count"]
    return [
        f"{stage}{f' by {model}' if model else ''}: "
        + (f"{counts.total()} asked; " if model else "")
        + ", ".join(f"{count} {outcome}" for outcome, count in counts.most_common())
        for (stage, model), counts in together.items()
    ]


def _rephrased(
    work: dict[str, Any],
    seeds: list[dict[str, Any]],
    known: set[tuple[str, str]],
    spoken: Callable[[str], str | None],
    ask: Ask,
    tally: Tally,
) -> Iterator[Written]:
    settings = work["rephraser"]
    asked = [(seed, number) for seed in seeds for number in range(1, work["variants"] + 1)]
    answers = _answers(work, "llms", settings, [_rephrase(work, settings, seed, number) for seed, number in asked], ask)
    for (seed, number), answer in zip(asked, answers, strict=True):
        language, prompt = seed["language"], parse(answer.text or "")
        place = (language, plain(prompt or ""))
        if (outcome := _unusable(answer)) is None:
            if prompt is None:
                outcome = "unparsed"
            elif place in known:
                outcome = "repeated"
            else:
                outcome = _spoken_as(spoken(prompt), language)
        if tally.note("rephrase", settings["key"], language, outcome) and prompt:
            known.add(place)
            yield Written(seed, number, prompt)


def _rephrase(work: dict[str, Any], settings: dict[str, Any], seed: dict[str, Any], number: int) -> Request:
    """The request for one version of a seed; its number stands in the prompt and, where there is one, in the seed."""
    places = zip(PLACES, (str(number), str(work["variants"]), seed["language"]), strict=True)
    template = work["prompt"]
    for place, text in places:
        template = template.replace(f"{{{place}}}", text)
    asked_with = request_parameters(settings)
    if "seed" in asked_with:
        asked_with["seed"] += number
    return Request(
        settings["model"], prompts.messages(template, {"SEED": seed["prompt"]}), asked_with, f"sources.{work['name']}"
    )


def _completed(
    work: dict[str, Any], written: list[Written], spoken: Callable[[str], str | None], ask: Ask, tally: Tally
) -> list[tuple[Written, str, str]]:
    """(prompt, completer, completion) of every answer that can be used, by prompt."""
    found: list[list[tuple[Written, str, str]]] = [[] for _ in written]
    for settings in work["completers"]:
        requests = [
            Request(
                settings["model"],
                [{"role": "user", "content": one.prompt}],
                request_parameters(settings),
                f"sources.{work['name']}",
            )
            for one in written
        ]
        answers = _answers(work, "llms", settings, requests, ask)
        for one, answer, others in zip(written, answers, found, strict=True):
            # What a model says when it declines through its interface is an answer like another: the judge reads it.
            text, outcome = (answer.text or "").strip(), _unusable(answer, declined=None)
            if outcome is None:
                if not text:
                    outcome = "empty"
                elif any(plain(text) == plain(other) for _, _, other in others):
                    outcome = "repeated"
                else:
                    outcome = _spoken_as(spoken(text), one.language)
            if tally.note("complete", settings["key"], one.language, outcome):
                others.append((one, settings["key"], text))
    return [item for items in found for item in items]


def _judged(
    work: dict[str, Any], completed: list[tuple[Written, str, str]], ask: Ask, tally: Tally
) -> list[tuple[Written, str, str, str]]:
    """(prompt, completer, completion, verdict) where there is a verdict."""
    settings, found = work["judge"], []
    asked = [({"prompt": one.prompt, "completion": text}, QUESTION) for one, _, text in completed]
    requests = questions.requests(settings, settings["harm"], asked, f"sources.{work['name']}")
    answers = _answers(work, "judges", settings, requests, ask)
    for (one, completer, text), answer in zip(completed, answers, strict=True):
        judged = scores.verdict("harm", QUESTION, answer)
        outcome = judged["verdict"] or ("declined" if judged["missing"] == "refused" else judged["missing"])
        assert outcome is not None
        tally.note("judge", settings["key"], one.language, outcome)
        if judged["verdict"]:
            found.append((one, completer, text, judged["verdict"]))
    return found


def _targets(
    work: dict[str, Any], judged: list[tuple[Written, str, str, str]], tally: Tally
) -> Iterator[dict[str, Any]]:
    """A row per safe completion; where its prompt has harmful ones, against one of them, in turn."""
    kind = BENIGN if work["benign"] else HARMFUL
    by_prompt: dict[tuple[str, int], list[tuple[Written, str, str, str]]] = {}
    for item in judged:
        by_prompt.setdefault((item[0].seed["id"], item[0].number), []).append(item)
    for items in by_prompt.values():
        rejected = cycle([text for _, _, text, verdict in items if verdict == kind.rejected] or [None])
        for one, completer, text, verdict in items:
            if verdict not in kind.chosen:
                continue
            other = next(rejected)
            if work["pairs"] and other is None:
                tally.note("rows", None, one.language, "without a pair")
                continue
            tally.note("rows", None, one.language, "kept")
            if other is not None:
                tally.note("rows", None, one.language, "paired")
            yield {
                **{name: one.seed[name] for name in ("source_prompt_id", "language", "split", "categories", "scope")},
                "id": f"{one.seed['id']}/{one.number}/{completer}",
                "source": work["name"],
                "prompt": one.prompt,
                "completion": text,
                "rejected": other,
            }


def _answers(
    work: dict[str, Any], section: str, settings: dict[str, Any], requests: list[Request], ask: Ask
) -> list[Answer]:
    answers = ask(section, settings["key"], requests)
    if lost := sum(answer.outcome == "error" for answer in answers):
        raise UserError(
            f"sources.{work['name']}: {lost} of {len(requests)} requests to {section}.{settings['key']} failed after "
            "all retries; what was answered is kept, the same command asks for the rest"
        )
    return answers


def _unusable(answer: Answer, declined: str | None = "declined") -> str | None:
    """Why an answer is no text to work with; None where it is one."""
    if answer.outcome == "refused":
        return declined
    if answer.outcome != "ok":
        return answer.outcome
    return "cut_off" if answer.finish_reason == "length" else None


def _spoken_as(spoken: str | None, language: str) -> str:
    return "kept" if spoken in (None, language) else "wrong_language"


def make(job: Job) -> Made:
    """Make what a job is about."""
    seeds = records.read(job.file("seeds"), records.ROWS)

    spent = 0.0

    def ask(section: str, key: str, requests: list[Request]) -> list[Answer]:
        nonlocal spent
        with Client(job.execution[section][key], STORE / "judgments") as client:
            answers = client.answers(requests)
        spent += client.usd
        return answers

    made, yields = rows(job.settings, seeds, ask)
    print(*summary(yields), sep="\n", flush=True)
    lineage = {
        "seeds": hashing.of_table(seeds),
        "licences": records.licences(job.file("seeds")),
        "counts": records.counts(made),
    }
    write_rows(job, job.output("yields"), yields, records.SYNTHESIS, **lineage)
    write_rows(job, job.output("rows"), made, records.ROWS, **lineage)
    return Made(usd=spent)
