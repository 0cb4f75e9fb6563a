"""The accounts say what was asked and what it cost, and other programs can read the ledger."""

import json
from collections import Counter

import pytest

from tests.openai_server import OpenAIServer
from tests.unit.llm.test_client import MODEL, ask, client
from workflow_scripts.llm.ledger import audit, in_flight
from workflow_scripts.llm.request import Request
from workflow_scripts.store.append_only import AppendOnlyRows


def test_the_accounts_say_what_each_judge_cost(tmp_path):
    with OpenAIServer(["filter", "500"]) as server, client(server, tmp_path, concurrency=1) as asked:
        asked.answers([ask(n, "openai/gpt-4-turbo") for n in range(3)])
        asked.answers([Request(MODEL, [{"role": "user", "content": "x"}], {}, "other")])
    with AppendOnlyRows(tmp_path) as rows:
        lost = ask(99)
        rows.append(
            {"key": lost.key, "state": "sent", "time": "2020-01-02T", "label": "fake", "model": "openai/gpt-4-turbo"}
        )
    old, fake, other = audit(tmp_path)
    assert (old["day"], old["in_flight"], old["requests"]) == ("2020-01-02", 1, 0)
    assert {name: fake[name] for name in ("label", "requests", "ok", "filtered", "error", "attempts", "tokens_in")} == {
        "label": "fake",
        "requests": 3,
        "ok": 2,
        "filtered": 1,
        "error": 0,
        "attempts": 4,
        "tokens_in": 120,
    }
    assert fake["cost_usd"] == pytest.approx(3 * 0.00064)
    assert (other["label"], other["cost_usd"], other["unpriced"]) == ("other", 0.0, 1)
    assert in_flight(tmp_path) == 1


def test_the_accounts_of_no_ledger_are_empty(tmp_path):
    assert audit(tmp_path / "none") == []


def test_another_reader_reads_the_ledger(tmp_path):
    import pyarrow.json

    with OpenAIServer(["filter", "500"]) as server, client(server, tmp_path) as asked:
        asked.answers([ask(n, temperature=0.0) for n in range(3)])
    (segment,) = tmp_path.iterdir()
    table = pyarrow.json.read_json(segment)
    assert Counter(table["state"].to_pylist()) == {"sent": 3, "answered": 3}
    assert json.loads(segment.read_text().splitlines()[0])["state"] == "sent"
