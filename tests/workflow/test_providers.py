"""Through Snakemake, against a local server: batches and syntheses are paid once, and a switch of how runs nothing."""

import json
import re
import signal
import time
from collections import Counter
from pathlib import Path

import pytest

from bench.stale.run import Run
from tests.openai_server import OpenAIServer
from workflow_scripts.base import records

pytestmark = pytest.mark.scale

ANSWERS = {
    "en": "You could water the flowers every morning and then sweep the path before the neighbours come to visit you",
    "fr": "Vous pourriez arroser les fleurs chaque matin, puis balayer le chemin avant que les voisins ne viennent",
}
JUDGED = re.compile(r"<<<RESPONSE_?[AB]? ")


def answer(body: dict) -> str:
    """Rephrases (a prompt of its own for every request), completes, judges."""
    text = body["messages"][-1]["content"]
    if "<<<SEED" in text:
        language = re.search(r"code (\w\w)\.", text)[1]
        return json.dumps({"prompt": f"{ANSWERS[language]}, {abs(hash(text))}"})
    if "RESPONSE_A" in text:
        return '{"winner": "A"}'
    if JUDGED.search(text):
        return '{"verdict": "neither"}'
    return next(said for said in ANSWERS.values() if said[:9] in text)


@pytest.fixture
def asking(nano: Run, monkeypatch: pytest.MonkeyPatch) -> Run:
    """The finished nano experiment, with a judge to be asked in batches about two of its models."""
    nano.environment |= {"OPENAI_API_KEY": "sk-test-0123456789"}
    nano.config["judges"] = {
        **nano.config["judges"],
        "gpt": {"model": "openai/gpt-4o", "models": ["mix", "slerp"], "batch": True, "poll": 0.2},
    }
    return nano


def pending(run: Run) -> Counter:
    return run.snakemake("--dry-run").jobs


def test_judging_in_batches_pays_the_batchs_price_and_is_asked_once(asking: Run) -> None:
    with OpenAIServer(answer=answer, line_faults=["429", "filter"]) as server:
        asking.config["judges"]["gpt"]["api_base"] = server.url
        outcome = asking.snakemake()
        assert outcome.status == 0, outcome.output
        assert outcome.jobs["submit"] == outcome.jobs["collect"] == 3, "two models and the baseline"
        assert outcome.jobs["submit_labels"] == outcome.jobs["collect_labels"] == 1
        assert not outcome.work["steps"] and not outcome.work["completions"]
        alone = len(server.batches)  # of each batch one request goes first, and one line was lost
        assert len(server.requests) == alone + 1
        assert len(server.batches) <= 4
        asked = Counter(json.dumps(body["messages"]) for body in [*server.requests, *server.batched])
        assert sorted(asked.values())[-2:] == [1, 2], "what the batch lost alone is asked again"
        assert not pending(asking)

        asking.config["judges"]["gpt"]["batch"] = False
        assert not pending(asking), "how answers come in is no reason to run"
        (asking.results / "seed0/scores/gpt/mix/redteam.parquet").unlink()
        paid = len(server.requests) + len(server.batched)
        assert asking.snakemake().status == 0
        assert len(server.requests) + len(server.batched) == paid


def test_turning_batches_on_runs_nothing_that_is_finished_and_asks_what_is_new_through_them(asking: Run) -> None:
    with OpenAIServer(answer=answer) as server:
        asking.config["judges"]["gpt"] |= {"api_base": server.url, "batch": False}
        assert asking.snakemake().status == 0
        assert not server.batches
        asking.config["judges"]["gpt"]["batch"] = True
        assert not pending(asking)
        asking.config["judges"]["gpt"]["max_tokens"] = 99  # other requests
        before = len(server.requests)
        outcome = asking.snakemake()
        assert outcome.status == 0, outcome.output
        assert server.batches and len(server.requests) == before + len(server.batches)
        assert not pending(asking)


def test_a_run_that_is_killed_while_it_waits_for_batches_goes_on_and_hands_in_nothing_twice(asking: Run) -> None:
    with OpenAIServer(answer=answer, steps=["in_progress"] * 10_000) as server:
        asking.config["judges"]["gpt"]["api_base"] = server.url
        process = asking.start(asking.folder / "meter")
        while len(server.batches) < 2 or not server.looks["GET batches one"]:
            time.sleep(0.05)
            assert process.poll() is None, process.stdout.read()
        process.send_signal(signal.SIGKILL)
        process.wait()
        for batch in server.batches.values():
            batch["steps"].clear()
        server.steps = []
        outcome = asking.snakemake()
        assert outcome.status == 0, outcome.output
        asked = Counter(json.dumps(body["messages"]) for body in [*server.requests, *server.batched])
        assert sum(asked.values()) - len(asked) <= 1, "at most the single request that was in flight"
        assert not pending(asking)


def test_a_batch_that_expired_is_told_in_one_line_and_the_same_command_finishes(asking: Run) -> None:
    with OpenAIServer(answer=answer, line_faults=["ok"] * 3 + ["expired"] * 4, ends=["expired"]) as server:
        asking.config["judges"]["gpt"]["api_base"] = server.url
        outcome = asking.snakemake()
        assert outcome.status == 1
        assert re.search(r"mixmerge collect: judges.gpt: batch batch_0 expired, with \d+ requests", outcome.output)
        outcome = asking.snakemake()
        assert outcome.status == 0, outcome.output
        asked = Counter(json.dumps(body["messages"]) for body in [*server.requests, *server.batched])
        assert max(asked.values()) == 2 and sum(count == 2 for count in asked.values()) == 4


def test_a_synthesis_becomes_a_source_and_is_paid_once(nano: Run) -> None:
    nano.environment |= {"OPENAI_API_KEY": "sk-test-0123456789"}
    with OpenAIServer(answer=answer) as server:
        reached = {"api_base": server.url, "temperature": 0.7}
        nano.config["llms"] = {name: {"model": f"openai/{name}", **reached} for name in ("writer", "one", "two")}
        nano.config["judges"]["gpt"] = {"model": "openai/judge", "api_base": server.url, "models": ["mix"]}
        nano.config["sources"]["made"] = {
            **{"synthesise": "redteam", "rephraser": "writer", "completers": ["one", "two"], "judge": "gpt"},
            **{"variants": 2, "splits": ["test"]},
        }
        place, yields = (f"results/nano/data/{kind}/made.parquet" for kind in ("sources", "synthesis"))
        outcome = nano.snakemake(place)
        assert outcome.status == 0, outcome.output
        assert outcome.jobs == {"synthesise": 1}
        rows = records.read(nano.folder / place, records.ROWS).to_pylist()
        seeds = records.read(nano.results / "data/sources/redteam.parquet", records.ROWS).to_pylist()
        assert {row["source_prompt_id"] for row in rows} == {seed["source_prompt_id"] for seed in seeds}
        assert {row["split"] for row in rows} == {"test"}
        assert sum(row["count"] for row in records.read(nano.folder / yields, records.SYNTHESIS).to_pylist()) > len(
            rows
        )
        paid = len(server.requests)
        assert paid == len(seeds) * 2 * (1 + 2) + len(rows)
        assert nano.snakemake("--dry-run", place).jobs == {}
        Path(nano.folder / place).unlink()
        assert nano.snakemake(place).status == 0
        assert len(server.requests) == paid
