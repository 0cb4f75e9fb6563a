"""Each request is paid for once, whatever happens to the process that asks."""

import os
import signal
import subprocess
import sys
import time
from collections import Counter
from pathlib import Path

import pytest

from tests.openai_server import OpenAIServer
from workflow_scripts.base import work_counter
from workflow_scripts.base.errors import UserError
from workflow_scripts.llm.client import Client
from workflow_scripts.llm.ledger import in_flight, spent
from workflow_scripts.llm.request import Request

MODEL = "openai/gpt-4-turbo-fake"
ROOT = Path(__file__).parents[3]


def ask(n, model=MODEL, **parameters):
    return Request(model, [{"role": "user", "content": f"question {n}"}], {"max_tokens": 16, **parameters}, "fake")


def client(server, ledger, **settings):
    base = server if isinstance(server, str) else server.url
    return Client({"api_base": base, "timeout": 5, "backoff": 0.01, "retries": 3, **settings}, ledger)


def echo(body):
    return body["messages"][-1]["content"].upper()


# What is asked and what is paid


def test_answers_come_in_order_and_each_distinct_request_is_sent_once(tmp_path):
    with OpenAIServer(answer=echo, latency=0.01) as server, client(server, tmp_path, concurrency=4) as asked:
        answers = asked.answers([ask(n) for n in (3, 1, 3, 2, 1)])
        assert [answer.text for answer in answers] == [f"QUESTION {n}" for n in (3, 1, 3, 2, 1)]
        assert Counter(body["messages"][0]["content"] for body in server.requests) == {
            f"question {n}": 1 for n in (1, 2, 3)
        }
        assert (answers[0].outcome, answers[0].snapshot, answers[0].tokens_in, answers[0].tokens_out) == (
            "ok",
            "gpt-4-turbo-fake-2024-04-09",
            40,
            8,
        )


def test_what_the_ledger_has_is_never_sent_again_and_needs_no_litellm(tmp_path):
    with OpenAIServer(answer=echo) as server:
        with client(server, tmp_path) as asked:
            first = asked.answers([ask(n) for n in range(5)])
            assert asked.answers([ask(n) for n in range(5)]) == first
        assert len(server.requests) == 5
    script = """
import sys
from pathlib import Path
from tests.unit.llm.test_client import ask
from workflow_scripts.llm.client import Client
print([a.text for a in Client({}, Path(sys.argv[1])).answers([ask(n) for n in range(5)])], "litellm" in sys.modules)
"""
    seen = subprocess.run(
        [sys.executable, "-c", script, tmp_path], cwd=ROOT, capture_output=True, text=True, check=True
    )
    assert seen.stdout.strip() == f"{[answer.text for answer in first]} False"


def test_one_client_answers_again_and_again(tmp_path):
    with OpenAIServer(answer=echo) as server, client(server, tmp_path) as asked:
        for n in range(3):
            assert asked.answers([ask(n)])[0].text == f"QUESTION {n}"


@pytest.mark.parametrize(
    ("change", "same"),
    [
        ({"model": "openai/gpt-4o"}, False),
        ({"messages": [{"role": "user", "content": "another"}]}, False),
        ({"parameters": {"max_tokens": 17}}, False),
        ({"parameters": {}}, False),
        ({"label": "another judge"}, True),
    ],
)
def test_the_key_is_all_that_the_model_is_told_and_nothing_else(change, same):
    before = ask(0)
    after = Request(
        **{**{name: getattr(before, name) for name in ("model", "messages", "parameters", "label")}, **change}
    )
    assert (before.key == after.key) is same


def test_at_most_so_many_requests_are_in_flight_as_the_settings_say(tmp_path):
    with OpenAIServer(latency=0.05) as server, client(server, tmp_path, concurrency=3) as asked:
        asked.answers(ask(n) for n in range(12))
    assert server.busiest == 3


def test_every_attempt_is_counted_by_the_meter(tmp_path, monkeypatch):
    monkeypatch.setenv("MIXMERGE_METER", str(tmp_path / "meter"))
    with OpenAIServer(["500"]) as server, client(server, tmp_path / "ledger") as asked:
        asked.answers([ask(0), ask(1)])
    assert work_counter.totals(tmp_path / "meter")["llm_requests"] == len(server.requests) == 3


def test_prices_are_litellms_and_unknown_where_it_has_none(tmp_path):
    with OpenAIServer() as server, client(server, tmp_path) as asked:
        known, unknown = asked.answers([ask(0, "openai/gpt-4-turbo"), ask(0)])
    assert known.cost_usd == pytest.approx(40 * 10e-6 + 8 * 30e-6)
    assert unknown.cost_usd is None


# Kills


def test_a_kill_costs_what_was_in_flight_and_not_one_request_more(tmp_path, capfd):
    script = """
import sys
from pathlib import Path
from workflow_scripts.llm.client import Client
from workflow_scripts.llm.request import Request
requests = [Request(sys.argv[3], [{"role": "user", "content": f"question {n}"}], {"max_tokens": 16}) for n in range(40)]
Client({"api_base": sys.argv[1], "concurrency": 4, "timeout": 60}, Path(sys.argv[2])).answers(requests)
"""
    with OpenAIServer(["ok"] * 8 + ["slow"] * 4, patience=60) as server:
        killed = subprocess.Popen([sys.executable, "-c", script, server.url, str(tmp_path), MODEL], cwd=ROOT)
        while len(server.requests) < 12:
            time.sleep(0.01)
            assert killed.poll() is None
        os.kill(killed.pid, signal.SIGKILL)
        killed.wait()
        assert in_flight(tmp_path) == 4
        with client(server, tmp_path, concurrency=4) as asked:
            asked.answers([ask(n) for n in range(40)])
        counts = Counter(body["messages"][0]["content"] for body in server.requests)
    assert sorted(counts.values()) == [1] * 36 + [2] * 4
    assert in_flight(tmp_path) == 4, "what was lost once stays in the accounts"
    assert "".join(capfd.readouterr()) == "", "litellm and its clients are quiet"


# The budget


PRICED, EACH = "openai/gpt-4-turbo", 40 * 10e-6 + 8 * 30e-6  # tokens of the server's answers by litellm's prices


def test_asking_stops_when_the_budget_is_spent_and_goes_on_when_it_is_raised(tmp_path):
    with OpenAIServer(answer=echo) as server:
        with client(server, tmp_path, concurrency=1, budget=3 * EACH) as asked:
            with pytest.raises(UserError, match=r"budget\.usd is .*what was answered is kept"):
                asked.answers([ask(n, PRICED) for n in range(8)])
            assert len(server.requests) == 3
            assert len(asked.answers([ask(n, PRICED) for n in range(3)])) == 3, "what is paid needs no budget"
        with client(server, tmp_path, concurrency=1, budget=8.5 * EACH) as asked:
            assert len(asked.answers([ask(n, PRICED) for n in range(8)])) == 8
        assert len(server.requests) == 8
    assert spent(tmp_path) == pytest.approx(8 * EACH)
    assert in_flight(tmp_path) == 0


def test_in_flight_requests_are_all_that_a_budget_can_be_exceeded_by(tmp_path):
    with (
        OpenAIServer(answer=echo, latency=0.05) as server,
        client(server, tmp_path, concurrency=4, budget=EACH) as asked,
    ):
        with pytest.raises(UserError, match="budget"):
            asked.answers([ask(n, PRICED) for n in range(20)])
        assert 1 <= len(server.requests) <= 2 + 4


def test_what_others_spent_in_the_same_ledger_counts(tmp_path):
    with OpenAIServer(answer=echo) as server:
        with client(server, tmp_path) as asked:
            asked.answers([ask(n, PRICED) for n in range(2)])
        with client(server, tmp_path, budget=2 * EACH) as asked, pytest.raises(UserError, match="budget"):
            asked.answers([ask(9, PRICED)])
        assert len(server.requests) == 2


# A provider of one's own


class Own:
    def __init__(self, fails=None):
        self.fails = fails

    async def acompletion(self, *_, messages, model_response, **__):
        if self.fails:
            raise self.fails
        model_response.model = "own-1"
        model_response.choices[0].message.content = messages[-1]["content"] + " \ud83d"
        return model_response


def test_a_provider_of_ones_own_is_made_only_when_something_is_sent(tmp_path):
    made = []

    def make():
        made.append(1)
        return Own()

    for _ in range(2):
        with Client({}, tmp_path, ("own", make)) as asked:
            (answer,) = asked.answers([ask(0, "own/rules")])
            assert (answer.text, answer.snapshot) == ("question 0 ?", "own-1")
    assert made == [1]


def test_the_users_error_of_an_own_provider_comes_through(tmp_path):
    with (
        Client({}, tmp_path, ("own", Own(UserError("data: no such row")))) as asked,
        pytest.raises(UserError, match="no such row"),
    ):
        asked.answers([ask(0, "own/rules")])
