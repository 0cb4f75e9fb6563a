"""A batch costs half, is handed in once whatever happens, and what it leaves unanswered is told and not lost."""

import os
import shutil
import signal
import subprocess
import sys
import threading
from collections import Counter
from pathlib import Path

import pytest

from tests.openai_server import OpenAIServer
from tests.unit.llm.test_client import echo
from workflow_scripts.base.errors import UserError
from workflow_scripts.llm import batches
from workflow_scripts.llm.client import Client
from workflow_scripts.llm.ledger import audit, in_flight
from workflow_scripts.llm.request import Request
from workflow_scripts.store.append_only import AppendOnlyRows

pytestmark = pytest.mark.scale

MODEL = "openai/gpt-4o"
ROOT = Path(__file__).parents[3]


def ask(n, model=MODEL, **parameters):
    return Request(model, [{"role": "user", "content": f"question {n}"}], {"max_tokens": 16, **parameters}, "gpt4")


def client(server, folder, **settings):
    return Client({"api_base": server.url, "timeout": 5, "backoff": 0.01, "retries": 3, **settings}, folder / "ledger")


def collected(asked, folder, digests):
    return batches.collect(asked, folder / "batches", digests, 0.0, wait=lambda seconds: None)


def submitted(asked, folder, requests):
    return batches.submit(asked, folder / "batches", requests)


def rows(folder, state="answered"):
    return [row for row in AppendOnlyRows(folder / "ledger").scan() if row["state"] == state]


# What is asked and what is paid


def test_a_batch_answers_what_the_ledger_does_not_have_and_nothing_is_asked_again(tmp_path):
    with OpenAIServer(answer=echo) as server, client(server, tmp_path) as asked:
        asked.answers([ask(0), ask(1)])
        digests = submitted(asked, tmp_path, [ask(n) for n in (0, 5, 2, 3, 5, 4, 1)])
        assert len(server.requests) == 3, "the first goes alone"
        assert collected(asked, tmp_path, digests) == {"ok": 3}
        answers = asked.answers([ask(n) for n in range(6)])
        assert [answer.text for answer in answers] == [f"QUESTION {n}" for n in range(6)]
        assert {answer.snapshot for answer in answers} == {"gpt-4o-2024-04-09"}
    assert len(server.requests) == 3
    assert [echo(body) for body in server.batched] == ["QUESTION 2", "QUESTION 3", "QUESTION 4"]
    assert server.batched[0] == {"model": "gpt-4o", "max_tokens": 16, "messages": ask(2).messages}
    assert server.looks["POST files"] == server.looks["POST batches"] == 1
    assert not list((tmp_path / "batches").glob("*.jsonl")), "what is answered is in the ledger"


def test_a_row_of_a_batch_is_one_of_the_ledger_at_the_batchs_price(tmp_path):
    with OpenAIServer(answer=echo) as server, client(server, tmp_path) as asked:
        collected(asked, tmp_path, submitted(asked, tmp_path, [ask(0), ask(1)]))
    single, batched = rows(tmp_path)
    assert batched.keys() - single.keys() == {"batch"}
    for name in ("label", "model", "outcome", "finish_reason", "snapshot", "fingerprint", "tokens_in", "tokens_out"):
        assert single[name] == batched[name], name
    assert batched["request"] == ask(1).content and batched["key"] == ask(1).key
    assert batched["cost_usd"] == pytest.approx(single["cost_usd"] / 2) == pytest.approx(40 * 1.25e-6 + 8 * 5e-6)
    (account,) = audit(tmp_path / "ledger")
    assert (account["requests"], account["batched"], account["in_flight"]) == (2, 1, 0)


def test_a_model_without_a_price_in_batches_costs_half_and_one_without_any_is_unpriced(tmp_path):
    with OpenAIServer() as server, client(server, tmp_path) as asked:
        for model in ("openai/gpt-4-turbo", "openai/gpt-fake"):
            collected(asked, tmp_path, submitted(asked, tmp_path, [ask(n, model) for n in range(2)]))
    prices = [row["cost_usd"] for row in rows(tmp_path)]
    assert prices == [pytest.approx(0.00064), pytest.approx(0.00032), None, None]


def test_nothing_is_handed_in_where_nothing_is_owed_or_a_single_question_is(tmp_path):
    with OpenAIServer() as server, client(server, tmp_path) as asked:
        assert submitted(asked, tmp_path, [ask(0)]) == []
        assert submitted(asked, tmp_path, [ask(0)]) == []
        assert collected(asked, tmp_path, []) == {}
    assert len(server.requests) == 1 and not server.looks


def test_a_batch_takes_no_more_than_the_provider_does(tmp_path, monkeypatch):
    monkeypatch.setattr(batches, "MOST_REQUESTS", 4)
    with OpenAIServer(answer=echo) as server, client(server, tmp_path) as asked:
        assert collected(asked, tmp_path, submitted(asked, tmp_path, [ask(n) for n in range(10)])) == {"ok": 9}
        assert [len(file.splitlines()) for name, file in server.files.items() if b'"method"' in file] == [4, 4, 1]
        monkeypatch.setattr(batches, "MOST_BYTES", 900)
        collected(asked, tmp_path, submitted(asked, tmp_path, [ask(n) for n in range(10, 20)]))
    sizes = [len(file) for file in server.files.values() if b'"method"' in file][3:]
    assert len(sizes) > 1 and max(sizes) <= 900


def test_what_another_batch_is_about_to_answer_is_waited_for_and_not_handed_in(tmp_path):
    with OpenAIServer(answer=echo) as server, client(server, tmp_path) as asked:
        first = submitted(asked, tmp_path, [ask(n) for n in range(4)])
        second = submitted(asked, tmp_path, [ask(n) for n in range(2, 7)])
        assert set(first) < set(second)
        assert collected(asked, tmp_path, second) == {"ok": 3 + 2}
        assert collected(asked, tmp_path, first) == {"ok": 3}
    assert sorted(echo(body) for body in server.batched) == [f"QUESTION {n}" for n in (1, 2, 3, 5, 6)]
    assert len(rows(tmp_path)) == 7, "answers that two wait for are written once"


def test_a_parameter_that_the_model_refuses_is_found_out_before_the_batch(tmp_path):
    with OpenAIServer(takes_temperature=False) as server, client(server, tmp_path) as asked:
        requests = [ask(n, temperature=0.0) for n in range(3)]
        assert collected(asked, tmp_path, submitted(asked, tmp_path, requests)) == {"ok": 2}
    assert ["temperature" in body for body in server.requests] == [True, False]
    assert not any("temperature" in body for body in server.batched)
    assert [row["without"] for row in rows(tmp_path)] == [["temperature"]] * 3


def test_a_newer_models_name_of_a_parameter_is_used_in_a_batch(tmp_path):
    with OpenAIServer() as server, client(server, tmp_path) as asked:
        collected(asked, tmp_path, submitted(asked, tmp_path, [ask(n, "openai/o1") for n in range(2)]))
    assert server.batched == [{"model": "o1", "max_completion_tokens": 16, "messages": ask(1).messages}]


def test_a_wrong_key_is_found_out_before_anything_is_handed_in(tmp_path):
    with (
        OpenAIServer(["401"]) as server,
        client(server, tmp_path) as asked,
        pytest.raises(UserError, match="refuses the key in OPENAI_API_KEY"),
    ):
        submitted(asked, tmp_path, [ask(n) for n in range(3)])
    assert not server.looks


# What goes wrong


def test_what_a_batch_filtered_is_final_and_what_it_lost_is_asked_at_the_full_price(tmp_path):
    faults = ["429", "filter", "policy", "refusal", "context", "lost", "500"]
    with OpenAIServer(answer=echo, line_faults=faults) as server, client(server, tmp_path) as asked:
        digests = submitted(asked, tmp_path, [ask(n) for n in range(9)])
        counts = collected(asked, tmp_path, digests)
        assert counts == {"error": 3, "filtered": 2, "refused": 1, "too_long": 1, "ok": 1}
        assert len(server.requests) == 1
        answers = asked.answers([ask(n) for n in range(9)])
    assert [answer.outcome for answer in answers] == [
        *("ok", "ok", "filtered", "filtered", "refused", "too_long", "ok", "ok", "ok")
    ]
    assert sorted(echo(body) for body in server.requests[1:]) == ["QUESTION 1", "QUESTION 6", "QUESTION 7"]
    (account,) = audit(tmp_path / "ledger")
    assert (account["error"], account["batched"], account["in_flight"]) == (3, 8, 0)


@pytest.mark.parametrize(
    ("end", "faults", "lost", "told"),
    [
        ("expired", ["ok", "expired", "expired"], 2, "batch_0 expired, with 2 requests unanswered"),
        ("cancelled", ["ok", "lost", "lost"], 2, "batch_0 cancelled, with 2"),
        ("refused", [], 3, r"batch_0 failed \(Enqueued token limit reached.\), with 3"),
    ],
)
def test_a_batch_that_ends_badly_leaves_what_it_has_and_the_same_command_hands_in_the_rest(
    tmp_path, end, faults, lost, told
):
    with OpenAIServer(answer=echo, line_faults=faults, ends=[end]) as server, client(server, tmp_path) as asked:
        digests = submitted(asked, tmp_path, [ask(n) for n in range(4)])
        with pytest.raises(UserError, match=f"{told}.*`batch: false` asks for it at once") as error:
            collected(asked, tmp_path, digests)
        assert "\n" not in str(error.value)
        assert len(asked.owed([ask(n) for n in range(4)])) == lost
        collected(asked, tmp_path, digests)
        assert not asked.owed([ask(n) for n in range(4)])
        looked = Counter(server.looks)
        collected(asked, tmp_path, digests)
        assert server.looks == looked, "what is over is not looked after"
    assert len(server.batches) == (2 if lost > 1 else 1)
    assert in_flight(tmp_path / "ledger") == 0


def test_a_look_that_fails_is_tried_again_and_hands_in_nothing_twice(tmp_path):
    with OpenAIServer(answer=echo) as server, client(server, tmp_path) as asked:
        server.look_faults = ["429", "ok", "500", "ok", "ok", "dropped"]  # the batch was made, and nobody was told
        digests = submitted(asked, tmp_path, [ask(n) for n in range(3)])
        server.look_faults = ["500", "ok", "429", "ok", "500"]
        assert collected(asked, tmp_path, digests) == {"ok": 2}
    assert len(server.batches) == 1


def test_a_provider_without_batches_is_told_in_one_line(tmp_path):
    with OpenAIServer() as server, client(server, tmp_path) as asked:
        server.look_faults = ["404"]
        with pytest.raises(UserError, match="gpt-4o") as error:
            submitted(asked, tmp_path, [ask(n) for n in range(3)])
    assert "\n" not in str(error.value)


def test_no_secret_reaches_the_state_or_the_ledger(tmp_path, monkeypatch, secret):
    from tests.openai_server import ERRORS

    monkeypatch.setitem(ERRORS, "500", (500, {}, {"message": f"key {secret}", "type": "x", "code": None}))
    with OpenAIServer(line_faults=["500"]) as server, client(server, tmp_path) as asked:
        collected(asked, tmp_path, submitted(asked, tmp_path, [ask(n) for n in range(3)]))
    written = "".join(path.read_text() for path in tmp_path.rglob("*") if path.is_file())
    assert secret not in written and "<OPENAI_API_KEY>" in written


def test_a_next_round_that_could_not_be_handed_in_is_handed_in_later(tmp_path):
    with OpenAIServer(answer=echo, ends=["refused"]) as server, client(server, tmp_path, retries=0) as asked:
        digests = submitted(asked, tmp_path, [ask(n) for n in range(4)])
        with pytest.raises(UserError, match="batch_0 failed"):
            collected(asked, tmp_path, digests)
        server.faults = ["500"]  # the request that goes first
        server.look_faults = ["ok", "500"]
        with pytest.raises(UserError, match="the provider does not do it"):
            collected(asked, tmp_path, digests)
        collected(asked, tmp_path, digests)
        assert not asked.owed([ask(n) for n in (0, 2, 3)])
    assert len(server.batches) == 2


def test_two_that_wait_for_a_batch_that_ended_badly_hand_in_the_rest_once(tmp_path):
    with OpenAIServer(answer=echo, line_faults=["ok", "expired", "expired"], ends=["expired"]) as server:
        with client(server, tmp_path) as asked:
            first = submitted(asked, tmp_path, [ask(n) for n in range(4)])
            second = submitted(asked, tmp_path, [ask(n) for n in range(1, 6)])
            with pytest.raises(UserError, match="batch_0 expired"):
                collected(asked, tmp_path, first)
        sent = Counter(echo(body) for body in [*server.requests, *server.batched])

        def wait(digests):
            with client(server, tmp_path) as asked:
                collected(asked, tmp_path, digests)

        both = [threading.Thread(target=wait, args=(digests,)) for digests in (first, second, first)]
        for thread in both:
            thread.start()
        for thread in both:
            thread.join()
        after = Counter(echo(body) for body in [*server.requests, *server.batched]) - sent
        assert after == {"QUESTION 2": 1, "QUESTION 3": 1, "QUESTION 5": 1}


# Kills

SCRIPT = """
import sys
from pathlib import Path
from tests.unit.llm.test_batches import ask, batches, client
class Server: url = sys.argv[1]
folder = Path(sys.argv[2])
with client(Server, folder, timeout=60) as asked:
    digests = batches.submit(asked, folder / "batches", [ask(n) for n in range(6)])
    print("submitted", flush=True)
    print(batches.collect(asked, folder / "batches", digests, 0.05), flush=True)
"""


def run(server, folder):
    return subprocess.Popen([sys.executable, "-c", SCRIPT, server.url, str(folder)], cwd=ROOT, stdout=subprocess.PIPE)


@pytest.mark.parametrize("place", ["POST files", "POST batches", "GET batches one", "GET files one content"])
def test_a_kill_anywhere_hands_in_nothing_twice(tmp_path, place):
    with OpenAIServer(answer=echo) as server:
        reached = threading.Event()

        def kill(look):
            if look == place and not reached.is_set():
                os.kill(killed.pid, signal.SIGKILL)
                killed.wait()
                reached.set()

        server.before_reply = kill
        killed = run(server, tmp_path)
        assert reached.wait(60)
        again = run(server, tmp_path)
        assert again.wait() == 0
        assert len(server.batches) == 1 and len(server.requests) == 1
        assert sorted(echo(body) for body in server.batched) == [f"QUESTION {n}" for n in range(1, 6)]
    keys = Counter(row["key"] for row in rows(tmp_path))
    assert len(keys) == 6 and set(keys.values()) == {1}


def test_a_store_that_was_deleted_costs_nothing_while_the_provider_has_the_batch(tmp_path):
    with OpenAIServer(answer=echo) as server, client(server, tmp_path) as asked:
        submitted(asked, tmp_path, [ask(n) for n in range(4)])
        asked.close()
        shutil.rmtree(tmp_path / "batches")
        shutil.rmtree(tmp_path / "ledger")
        digests = submitted(asked, tmp_path, [ask(n) for n in range(4)])
        assert collected(asked, tmp_path, digests) == {"ok": 3}
    assert len(server.batches) == 1


def test_whoever_waits_can_be_told_to_stop_and_goes_on_later(tmp_path):
    class Gone(Exception):
        pass

    def stop(seconds):
        raise Gone

    with OpenAIServer(answer=echo) as server, client(server, tmp_path) as asked:
        digests = submitted(asked, tmp_path, [ask(n) for n in range(4)])
        with pytest.raises(Gone):
            batches.collect(asked, tmp_path / "batches", digests, 0.0, wait=stop)
        assert collected(asked, tmp_path, digests) == {"ok": 3}
    assert len(server.batches) == 1
