"""What a provider does wrong is tried again by one layer, and what it refuses is said in one line."""

import logging
import threading
from collections import Counter

import pytest

from tests.openai_server import ERRORS, OpenAIServer
from tests.unit.llm.test_client import MODEL, ask, client, echo
from workflow_scripts.base.errors import UserError
from workflow_scripts.llm.client import Client
from workflow_scripts.llm.ledger import audit, in_flight
from workflow_scripts.store.append_only import AppendOnlyRows


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
def test_cohere_answers_in_its_own_protocol(tmp_path, monkeypatch, model, secret):
    monkeypatch.setenv("COHERE_API_KEY", secret)
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


# Secrets


def test_no_secret_reaches_the_ledger_the_log_or_the_output(tmp_path, monkeypatch, caplog, capfd, secret):
    quoted = {"message": f"Incorrect API key provided: {secret}.", "code": "invalid_api_key"}
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
    assert secret not in ledger + caplog.text + "".join(capfd.readouterr()) + str(error.value)
