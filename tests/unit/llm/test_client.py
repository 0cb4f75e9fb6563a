import json
import logging
import os
import signal
import subprocess
import sys
import threading
import time
from collections import Counter
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.openai_server import ERRORS, OpenAIServer
from workflow_scripts.base import work_counter
from workflow_scripts.base.errors import UserError
from workflow_scripts.llm.client import Client, Pace, Request, _refused_parameters, audit, in_flight, spent
from workflow_scripts.store.append_only import AppendOnlyRows

MODEL = "openai/gpt-4-turbo-fake"
SECRET = "sk-proj-0123456789abcdefSECRET"
ROOT = Path(__file__).parents[3]


@pytest.fixture(autouse=True)
def _provider(monkeypatch):
    monkeypatch.setenv("OPENAI_API_KEY", SECRET)
    _refused_parameters.clear()


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


# Faults


@pytest.mark.parametrize("fault", ["429", "500", "slow", "truncated", "dropped"])
def test_a_transient_fault_is_retried_by_one_layer_only(tmp_path, fault):
    with OpenAIServer([fault], answer=echo, patience=12.0) as server, client(server, tmp_path, timeout=5.0) as asked:
        (answer,) = asked.answers([ask(0)])
    assert (answer.outcome, answer.text) == ("ok", "QUESTION 0")
    assert len(server.requests) == 2
    assert [row["attempts"] for row in AppendOnlyRows(tmp_path).scan() if row["state"] == "answered"] == [2]


def test_retry_after_is_honoured_by_all_requests(tmp_path):
    with OpenAIServer(["429"], latency=0.05) as server, client(server, tmp_path, concurrency=1) as asked:
        asked.answers([ask(0), ask(1)])
    assert server.times[1] - server.times[0] >= 1.0
    with OpenAIServer(["429", "slow"], patience=0.8) as server, client(server, tmp_path, concurrency=2) as asked:
        asked.answers([ask(10), ask(11), ask(12), ask(13)])
    after = sorted(at - server.times[0] for at in server.times)[2:]
    assert min(after) >= 1.0, "a worker that met no 429 must wait too"


def test_a_request_that_fails_every_time_is_an_error_and_is_asked_again_in_the_next_run(tmp_path):
    with OpenAIServer(["500"] * 4, answer=echo) as server, client(server, tmp_path, concurrency=1) as asked:
        assert [answer.outcome for answer in asked.answers([ask(0), ask(1)])] == ["error", "ok"]
        assert len(server.requests) == 5
        assert [answer.outcome for answer in asked.answers([ask(0), ask(1)])] == ["ok", "ok"]
        assert len(server.requests) == 6


@pytest.mark.parametrize("fault", ["filter", "policy"])
def test_what_the_provider_filters_is_recorded_and_never_sent_again(tmp_path, fault):
    with OpenAIServer([fault]) as server, client(server, tmp_path) as asked:
        for _ in range(2):
            assert [(answer.outcome, answer.text) for answer in asked.answers([ask(0)])] == [("filtered", None)]
    assert len(server.requests) == 1


def test_a_refusal_keeps_its_text(tmp_path):
    with OpenAIServer(["refusal"]) as server, client(server, tmp_path) as asked:
        (answer,) = asked.answers([ask(0)])
    assert (answer.outcome, answer.text) == ("refused", "I can't help with that.")


def test_a_request_that_is_too_long_is_told_so_stops_no_other_and_is_never_sent_again(tmp_path):
    with OpenAIServer(["context"]) as server, client(server, tmp_path, concurrency=1) as asked:
        for _ in range(2):
            assert [answer.outcome for answer in asked.answers([ask(0), ask(1)])] == ["too_long", "ok"]
    assert len(server.requests) == 2
    assert [account["too_long"] for account in audit(tmp_path)] == [1]


def test_a_model_without_temperature_is_asked_once_more_without_and_that_is_remembered(tmp_path):
    with OpenAIServer(takes_temperature=False) as server, client(server, tmp_path, concurrency=1) as asked:
        answers = asked.answers([ask(n, temperature=0.0) for n in range(3)])
    assert [answer.outcome for answer in answers] == ["ok"] * 3
    assert ["temperature" in body for body in server.requests] == [True, False, False, False]
    rows = [row for row in AppendOnlyRows(tmp_path).scan() if row["state"] == "answered"]
    assert all(row["without"] == ["temperature"] and row["request"]["temperature"] == 0.0 for row in rows)


def test_a_model_that_wants_another_name_for_a_parameter_gets_it(tmp_path):
    with OpenAIServer(takes_max_tokens=False) as server, client(server, tmp_path, concurrency=1) as asked:
        answers = asked.answers([ask(n, temperature=0.0) for n in range(2)])
    assert [answer.outcome for answer in answers] == ["ok"] * 2
    assert [body.get("max_tokens") for body in server.requests] == [16, None, None]
    assert [body.get("max_completion_tokens") for body in server.requests] == [None, 16, 16]
    assert all(body["temperature"] == 0.0 for body in server.requests)


@pytest.mark.parametrize("model", ["cohere/command-a-03-2025", "cohere_chat/command-a-03-2025"])
def test_cohere_answers_in_its_own_protocol(tmp_path, monkeypatch, model):
    monkeypatch.setenv("COHERE_API_KEY", SECRET)
    with OpenAIServer(["429", "500"], answer=echo) as server:
        base = server.url.removesuffix("/v1") + "/v2/chat"
        with client(base, tmp_path, concurrency=1) as asked:
            (answer,) = asked.answers([ask(0, model, temperature=0.0, seed=1)])
    assert (answer.outcome, answer.text, answer.tokens_in, answer.tokens_out) == ("ok", "QUESTION 0", 40, 8)
    assert answer.snapshot and answer.cost_usd == pytest.approx(40 * 2.5e-6 + 8 * 10e-6)
    assert len(server.requests) == 3


def test_a_local_server_needs_no_key_and_may_be_named_in_the_environment(tmp_path, monkeypatch):
    monkeypatch.delenv("OPENAI_API_KEY")
    with OpenAIServer(answer=echo) as server:
        monkeypatch.setenv("HOSTED_VLLM_API_BASE", server.url)
        with Client({"timeout": 5}, tmp_path) as asked:
            (answer,) = asked.answers([ask(0, "hosted_vllm/my-model", temperature=0.0)])
    assert (answer.outcome, answer.text, answer.cost_usd) == ("ok", "QUESTION 0", None)
    assert server.requests[0]["model"] == "my-model"


def test_a_slow_answer_keeps_nobody_else_waiting(tmp_path):
    others = threading.Event()

    def slow_first(body):
        if body is server.requests[0]:
            assert others.wait(60)
        elif len(server.requests) == 12:
            others.set()
        return echo(body)

    with OpenAIServer(answer=slow_first) as server, client(server, tmp_path, concurrency=2, timeout=90) as asked:
        answers = asked.answers([ask(n) for n in range(12)])
    assert [answer.text for answer in answers] == [f"QUESTION {n}" for n in range(12)]
    assert len(server.requests) == 12


def test_an_answer_that_was_cut_off_says_so(tmp_path):
    with OpenAIServer(["length"], answer=echo) as server, client(server, tmp_path, concurrency=1) as asked:
        assert [answer.finish_reason for answer in asked.answers([ask(0), ask(1)])] == ["length", "stop"]
        assert [answer.finish_reason for answer in asked.answers([ask(0), ask(1)])] == ["length", "stop"]


def test_a_temperature_that_litellm_knows_to_be_refused_is_never_sent(tmp_path):
    with OpenAIServer() as server, client(server, tmp_path) as asked:
        (answer,) = asked.answers([ask(0, "openai/o1", temperature=0.0)])
    assert answer.outcome == "ok"
    assert ["temperature" in body for body in server.requests] == [False]


def test_requests_in_flight_together_all_survive_a_refused_temperature(tmp_path):
    with OpenAIServer(takes_temperature=False, latency=0.1) as server, client(server, tmp_path, concurrency=4) as asked:
        answers = asked.answers([ask(n, temperature=0.0) for n in range(4)])
    assert [answer.outcome for answer in answers] == ["ok"] * 4


@pytest.mark.parametrize(
    ("fault", "says"),
    [("401", "refuses the key in OPENAI_API_KEY"), ("quota", "no credit left"), ("404", "no such model")],
)
def test_a_permanent_failure_is_the_users_to_mend_and_loses_no_answer(tmp_path, fault, says):
    with OpenAIServer(["ok", "ok", fault], latency=0.05) as server:
        with client(server, tmp_path, concurrency=1) as asked, pytest.raises(UserError, match=says) as error:
            asked.answers([ask(n) for n in range(9)])
        assert MODEL in str(error.value)
        assert "\n" not in str(error.value)
        assert len(server.requests) == 3, "nothing else is sent"
        assert in_flight(tmp_path) == 0
        with client(server, tmp_path) as asked:
            asked.answers([ask(n) for n in range(9)])
        assert len(server.requests) == 3 + 7


def test_a_request_that_waits_for_its_turn_is_not_sent_after_a_permanent_failure(tmp_path):
    with (
        OpenAIServer(["401"]) as server,
        client(server, tmp_path, concurrency=2, rpm=60) as asked,
        pytest.raises(UserError),
    ):
        asked.answers([ask(n) for n in range(4)])
    assert len(server.requests) == 1
    assert in_flight(tmp_path) == 0


def test_what_is_in_flight_when_another_request_fails_for_good_is_still_brought_in(tmp_path):
    with OpenAIServer(["401", "ok", "ok"], answer=echo) as server:
        slow = server.serve

        def serve(handler):
            server.latency = 0.3 if server.requests else 0.1
            slow(handler)

        server.serve = serve
        with client(server, tmp_path, concurrency=3) as asked, pytest.raises(UserError):
            asked.answers([ask(n) for n in range(9)])
    outcomes = Counter(row["outcome"] for row in AppendOnlyRows(tmp_path).scan() if row["state"] == "answered")
    assert outcomes == {"error": 1, "ok": 2}


def test_an_unreachable_provider_is_named(tmp_path):
    with OpenAIServer() as server:
        pass
    with (
        client(server, tmp_path, retries=1) as asked,
        pytest.raises(UserError, match="openai cannot be reached.*api_base"),
    ):
        asked.answers([ask(0)])


def test_a_missing_key_is_named(tmp_path, monkeypatch):
    monkeypatch.delenv("OPENAI_API_KEY")
    with (
        OpenAIServer() as server,
        client(server, tmp_path) as asked,
        pytest.raises(UserError, match="OPENAI_API_KEY, which is not set"),
    ):
        asked.answers([ask(0)])
    assert server.requests == []


# Kills


def test_a_kill_costs_what_was_in_flight_and_not_one_request_more(tmp_path, capfd):
    script = """
import sys
from pathlib import Path
from workflow_scripts.llm.client import Client, Request
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


# Secrets


def test_no_secret_reaches_the_ledger_the_log_or_the_output(tmp_path, monkeypatch, caplog, capfd):
    quoted = {"message": f"Incorrect API key provided: {SECRET}.", "code": "invalid_api_key"}
    monkeypatch.setitem(ERRORS, "401", (401, {}, quoted))
    caplog.set_level(logging.DEBUG)
    with (
        OpenAIServer(["ok", "500", "filter", "policy", "401"]) as server,
        client(server, tmp_path, concurrency=1) as asked,
        pytest.raises(UserError) as error,
    ):
        asked.answers([ask(n, temperature=0.0) for n in range(5)])
    ledger = "".join(path.read_text() for path in tmp_path.iterdir())
    assert "key provided: <OPENAI_API_KEY>" in ledger
    assert SECRET not in ledger + caplog.text + "".join(capfd.readouterr()) + str(error.value)


# Limits


@given(rate=st.floats(1, 1e5), amounts=st.lists(st.floats(0, 1e4), min_size=1, max_size=20))
def test_a_pace_never_lets_through_more_than_its_rate(rate, amounts):
    pace = Pace(rate)
    last = [pace.reserve(amount) for amount in amounts][-1]
    assert last >= sum(amounts[:-1]) / rate * 60 - 1.0 - 1e-6


@pytest.mark.parametrize("limits", [{"rpm": 600}, {"tpm": 600 * 48}])
def test_limits_per_minute_are_kept(tmp_path, limits):
    with OpenAIServer() as server, client(server, tmp_path, concurrency=1, **limits) as asked:
        asked.answers([ask(n) for n in range(9)])
    assert server.times[-1] - server.times[1] >= 0.6, "seven at ten a second, of which the first may be late"


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


# The accounts


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
