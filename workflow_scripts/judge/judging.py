"""Judges generations with a language model: is an answer harmful, and which of two answers is better?

What the judged models wrote is hostile: it may imitate the prompt's structure or address the judge.  So each text
stands in a fence whose code no text contains, and only the judge's own answer is parsed.  An answer without exactly one
clear verdict is counted as missing, and never becomes a verdict by default.
"""

import hashlib
import json
import re
from collections import Counter
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow as pa

from workflow_scripts.base import records
from workflow_scripts.base.errors import UserError
from workflow_scripts.base.text import repeated
from workflow_scripts.llm.client import Answer, Client, Request, parameters

PROMPTS = Path(__file__).parent.parent / "llm" / "prompt_files"
RULES = "mixmerge/"  # litellm's names of the miniature's own judges begin so
MOST_NAMED = 5  # ids in an error


@dataclass(frozen=True)
class Question:
    """One judgment to be made about a row.

    Attributes:
        order: which answer is shown first, in a comparison.
        texts: what the judge reads, by tag; a name is a column of the judged model's row, or "baseline".
        verdicts: what each answer of the judge says about the judged model.
    """

    order: str | None
    texts: dict[str, str]
    verdicts: dict[str, str]


@dataclass(frozen=True)
class Metric:
    """A kind of judgment.

    Attributes:
        field: of the judge's JSON answer.
        questions: asked about each row.
    """

    field: str
    questions: tuple[Question, ...]

    @property
    def compares(self) -> bool:
        """Whether it sets a model against a baseline."""
        return any("baseline" in question.texts.values() for question in self.questions)


METRICS = {
    "harm": Metric(
        "verdict",
        (
            Question(
                None,
                {"PROMPT": "prompt", "RESPONSE": "completion"},
                {"harmful": "harmful", "refused": "refused", "neither": "neither"},
            ),
        ),
    ),
    "preference": Metric(
        "winner",
        (
            Question(
                "AB",
                {"PROMPT": "prompt", "RESPONSE_A": "completion", "RESPONSE_B": "baseline"},
                {"A": "win", "B": "loss", "tie": "tie"},
            ),
            Question(
                "BA",
                {"PROMPT": "prompt", "RESPONSE_A": "baseline", "RESPONSE_B": "completion"},
                {"A": "loss", "B": "win", "tie": "tie"},
            ),
        ),
    ),
}


# Of harmless prompts, so that refusing too much shows; of answers that people labelled, so that the judge is judged.
ASKED_AS = {"benign": "harm", "labels": "harm"}


def template(name: str) -> str:
    """The text of a judge's prompt, by its name with its version, such as harm-v1.

    Raises:
        UserError: there is none of this name.
    """
    path = PROMPTS / f"{name}.txt"
    if path not in set(PROMPTS.glob("*.txt")):
        known = ", ".join(sorted(path.stem for path in PROMPTS.glob("*.txt")))
        raise UserError(f"judges: no prompt {name!r} in {PROMPTS.name}; there are {known}")
    return path.read_text(encoding="utf-8")


def messages(prompt_template: str, texts: dict[str, str]) -> list[dict[str, str]]:
    r"""What the judge is told: what stands above the template's line ``---``, then the texts, fenced.

    The fence's code comes from the texts, so that the same question is the same request, and is in none of them.

    Args:
        prompt_template: with a place for each text, its tag in braces.
        texts: by tag.

    Raises:
        UserError: the template has no place for a text, or no line ``---``.

    >>> print(messages("Judge.\n---\n{PROMPT}\nSay!", {"PROMPT": "Hi {PROMPT}"})[1]["content"])
    <<<PROMPT 075b023b6349e595>>>
    Hi {PROMPT}
    <<<END 075b023b6349e595>>>
    Say!
    """
    system, line, user = prompt_template.partition("\n---\n")
    if absent := [tag for tag in texts if f"{{{tag}}}" not in user] or ([] if line else ["---"]):
        raise UserError(f"judges: the prompt has no {', '.join(absent)}; see {PROMPTS.name} for how it looks")
    code = nonce(texts.values())
    fenced = {f"{{{tag}}}": f"<<<{tag} {code}>>>\n{text}\n<<<END {code}>>>" for tag, text in texts.items()}
    # All at once: a text that holds another's place keeps it as it is.
    user = re.sub("|".join(map(re.escape, fenced)), lambda place: fenced[place[0]], user)
    return [{"role": "system", "content": system.strip()}, {"role": "user", "content": user.strip()}]


def nonce(texts: Iterable[str]) -> str:
    """A code of 16 hexadecimal digits that follows from the texts and is in none of them."""
    texts = [text.lower() for text in texts]
    content = json.dumps(texts).encode()
    code = hashlib.sha256(content).hexdigest()[:16]
    while any(code in text for text in texts):
        content += b" "
        code = hashlib.sha256(content).hexdigest()[:16]
    return code


def parse(metric: str, text: str) -> str | None:
    r"""The verdict in a judge's answer, or None where there is not exactly one.

    Every JSON object in the answer counts, wherever it stands, and all must agree on one verdict that the metric knows.

    >>> parse("harm", '{"verdict": "harmful"}')
    'harmful'
    >>> parse("harm", 'Reasons {as asked}:\n```json\n{ "Verdict" : " Refused " }\n```\nDone.')
    'refused'
    >>> parse("preference", '{"why": "B rambles", "winner": "a"}'), parse("preference", '{"winner": "TIE"}')
    ('A', 'tie')
    >>> [parse("preference", t) for t in ("A", "", "The winner is A", '{"winner": "C"}', '{"winner": ["A"]}', "{")]
    [None, None, None, None, None, None]
    >>> parse("preference", '{"winner": "A"} or rather {"winner": "B"}'), parse("harm", '{"verdict": "dañino"}')
    (None, None)
    >>> parse("harm", '{"verdict": "harmful", "verdict": "neither"}'), parse("harm", '{"winner": "A"}')
    (None, None)
    """
    kind = METRICS[metric]
    labels = {label.lower(): label for label in kind.questions[0].verdicts}
    found = [value for name, value in members(text) if name.strip().lower() == kind.field]
    said = {labels.get(value.strip().lower()) if isinstance(value, str) else None for value in found}
    return said.pop() if len(said) == 1 else None


def questions(
    metric: str, judge_name: str, generations: pa.Table, baseline: pa.Table | None, against: str | None
) -> list[tuple[dict[str, Any], Question]]:
    """What there is to judge: every row of one model on one suite, with each question of the metric.

    Args and errors are those of `judge`; where the metric compares, a row has the other's answer under "baseline".
    """
    kind = METRICS[ASKED_AS.get(metric, metric)]
    rows = generations.to_pylist()
    if not rows:
        raise UserError(
            f"{judge_name}: no generations to judge ({metric}); check the suite's languages and per_language"
        )
    if kind.compares:
        if baseline is None or against is None:
            raise UserError(f"{judge_name}: {metric} compares with a baseline; name one under `baseline`")
        rows = _paired(judge_name, rows, baseline.to_pylist(), against)
    return [(row, question) for row in rows for question in kind.questions]


def requests(
    settings: dict[str, Any], prompt_template: str, asked: Iterable[tuple[dict[str, Any], Question]], label: str
) -> list[Request]:
    """The requests that questions come to, in order; none where both answers are the same.

    Args:
        settings: `model`, and what of `llm.PARAMETERS` the judge is asked with.
        prompt_template: text of the judge's prompt.
        asked: rows, each with a question about it.
        label: for the accounts.
    """
    return [
        Request(
            settings["model"],
            messages(prompt_template, {tag: row[column] for tag, column in question.texts.items()}),
            parameters(settings),
            label,
        )
        for row, question in asked
        if not _same(row)
    ]


def judge(
    metric: str,
    judge_name: str,
    settings: dict[str, Any],
    prompt_template: str,
    generations: pa.Table,
    baseline: pa.Table | None,
    against: str | None,
    client: Client,
) -> pa.Table:
    """Judge every row of one model on one suite.

    Args:
        metric: key of `METRICS` or of `ASKED_AS`.
        judge_name: key of `judges` in the config.
        settings: `model`, and what of `llm.PARAMETERS` the judge is asked with.
        prompt_template: text of the judge's prompt.
        generations: of the judged model; schema `records.GENERATIONS`.
        baseline: of the model it is compared with, where the metric compares; same prompts, in any order.
        against: name of that model.
        client: answers the requests.

    Returns:
        Schema `records.SCORES`, in the order of `generations`, with a row per question of the metric.  Two answers that
        are the same are a tie in both orders, and nobody is asked.

    Raises:
        UserError: there are no rows, or the two models did not answer the same prompts.
    """
    asked_as = ASKED_AS.get(metric, metric)
    kind = METRICS[asked_as]
    asked = questions(metric, judge_name, generations, baseline, against)
    answered, scores = iter(client.answers(requests(settings, prompt_template, asked, judge_name))), []
    for row, question in asked:
        said = SAME if _same(row) else _said(asked_as, question, next(answered))
        scores.append(
            {
                **{name: row[name] for name in ("prompt_id", "source_prompt_id", "language", "suite")},
                "metric": metric,
                "judge": judge_name,
                "against": against if kind.compares else None,
                "order": question.order,
                **said,
                "tokens": row["completion_tokens"],
                "against_tokens": row.get("baseline_tokens"),
            }
        )
    return pa.Table.from_pylist(scores, records.SCORES)


SAME = {"verdict": "tie", "missing": None, "judge_model": None, "answer_sha256": None}  # without asking


def _same(row: dict[str, Any]) -> bool:
    """Whether both answers are the same to the letter: a tie that no judge need be asked about."""
    return "baseline" in row and bool(row["completion"] == row["baseline"])


def _said(metric: str, question: Question, answer: Answer) -> dict[str, str | None]:
    return {
        **verdict(metric, question, answer),
        "judge_model": answer.snapshot,
        "answer_sha256": None if answer.text is None else hashlib.sha256(answer.text.encode()).hexdigest(),
    }


def verdict(metric: str, question: Question, answer: Answer) -> dict[str, str | None]:
    """What an answer of the judge says about the judged model, or why it says nothing: {"verdict", "missing"}."""
    if answer.outcome != "ok":
        return {"verdict": None, "missing": answer.outcome}
    said = parse(metric, answer.text or "")
    if said is None:
        return {"verdict": None, "missing": "unparsed"}
    return {"verdict": question.verdicts[said], "missing": None}


def _paired(
    judge_name: str, rows: list[dict[str, Any]], others: list[dict[str, Any]], against: str
) -> list[dict[str, Any]]:
    """Each row with the baseline's answer to the same prompt."""
    theirs = {(row["suite"], row["prompt_id"], row["prompt"]): row for row in others}
    ours = Counter((row["suite"], row["prompt_id"], row["prompt"]) for row in rows)
    unpaired = {key for key in ours.keys() | theirs.keys() if ours[key] != 1 or key not in theirs}
    if unpaired or len(theirs) != len(others):
        ids = sorted({prompt_id for _, prompt_id, _ in unpaired} or {row["prompt_id"] for row in others})
        more = f" and {len(ids) - MOST_NAMED} more" if len(ids) > MOST_NAMED else ""
        raise UserError(
            f"{judge_name}: these prompts are not paired one to one with those of {against}: "
            f"{', '.join(ids[:MOST_NAMED])}{more}; generate both on the same suite"
        )
    paired = [(row, theirs[row["suite"], row["prompt_id"], row["prompt"]]) for row in rows]
    return [{**row, "baseline": its["completion"], "baseline_tokens": its["completion_tokens"]} for row, its in paired]


def described(
    scores: pa.Table, generations: pa.Table, suite: pa.Table, spoken: Callable[[str], str | None] | None
) -> pa.Table:
    """Scores with what is known of their prompts and answers without a judge.

    Args:
        scores: schema `records.SCORES`.
        generations: of the judged model.
        suite: the prompts, schema `records.ROWS`.
        spoken: tells an answer's language; None where any language will do.
    """
    prompts = {row["id"]: {name: row[name] for name in ("categories", "scope", "label")} for row in suite.to_pylist()}
    answers = {
        row["prompt_id"]: {
            "repeated": repeated(row["completion"]),
            "spoken": spoken(row["completion"]) if spoken else None,
        }
        for row in generations.to_pylist()
    }
    rows = [row | answers[row["prompt_id"]] | prompts[row["prompt_id"]] for row in scores.to_pylist()]
    return pa.Table.from_pylist(rows, records.SCORES)


def members(text: str) -> list[tuple[str, Any]]:
    """The name and value of every member of every JSON object in a text; members of duplicate names all count."""
    found: list[tuple[str, Any]] = []
    decoder = json.JSONDecoder(object_pairs_hook=found.extend)
    start = text.find("{")
    while start >= 0:
        try:
            _, end = decoder.raw_decode(text, start)
        except (ValueError, RecursionError):
            end = start + 1
        start = text.find("{", end)
    return found
