"""A piece is translated once, whatever kills the process that does it, and code never reaches a translator."""

import contextlib
import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import pyarrow as pa
import pytest

from tests import jobs, tiny_nllb
from tests.openai_server import OpenAIServer
from workflow_scripts.base import hashing, records, work_counter
from workflow_scripts.base.errors import UserError
from workflow_scripts.base.job import STORE
from workflow_scripts.data import translators
from workflow_scripts.data.translator import Piece
from workflow_scripts.llm import ledger, prompts
from workflow_scripts.store.append_only import AppendOnlyRows

ROOT = Path(__file__).parents[3]
TEXTS = ["Hello world.", "How are you?", "world", "Hello you.", "world world world", "you are", "Hello.", "are you?"]
PIECES = [Piece(text, "en", target) for target in ("fr", "hi") for text in TEXTS]
HOW = {"batch_size": 3}


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    return tiny_nllb.make(tmp_path_factory.mktemp("nllb"))


@pytest.fixture(autouse=True)
def _here(monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("MIXMERGE_WARM", "0")
    monkeypatch.setenv("MIXMERGE_METER", str(tmp_path / "meter"))
    monkeypatch.setenv("OPENAI_API_KEY", "sk-proj-0123456789abcdef")


def work(model, **settings):
    known = {"model": str(model), "revision": None, "max_tokens": 12, "precision": "float32", "beams": 1, "codes": {}}
    return {**known, **settings}


def job_of(settings, execution=HOW, **code):
    code = {"translate": "0" * 12, "translator:nllb": "1" * 12, **code}
    return jobs.job(
        "translate", {"rows": [Path("a")]}, settings={"translator": settings}, execution=execution, code=code
    )


def translate(model, folder, pieces, execution=HOW, **settings):
    """Translate in a folder's store."""
    folder.mkdir(exist_ok=True)
    with contextlib.chdir(folder):
        return translators.start(job_of(work(model, **settings), execution)).translate(pieces)


def place(model, execution=HOW, code=None, **settings):
    return translators.start(job_of(work(model, **settings), execution, **(code or {}))).place


def test_what_a_piece_becomes_does_not_depend_on_its_batch_or_its_neighbours(model, tmp_path):
    found = [
        translate(model, tmp_path / str(number), order, {"batch_size": size})
        for number, (size, order) in enumerate([(1, PIECES), (3, PIECES[::-1]), (16, PIECES)])
    ]
    assert found[0] == found[1] == found[2]
    assert len(set(found[0].values())) > 8, "a model that says the same to everything shows nothing"


def test_each_target_is_forced_and_its_translation_is_its_own(model, tmp_path):
    found = translate(model, tmp_path, PIECES)
    assert any(found[Piece(text, "en", "fr")] != found[Piece(text, "en", "hi")] for text in TEXTS)
    with pytest.raises(UserError, match="the model has no language 'deu_Latn' .de."):
        translate(model, tmp_path, [Piece("world", "en", "de")])
    found = translate(model, tmp_path, [Piece("world", "en", "de")], codes={"de": "spa_Latn"})
    spanish = translate(model, tmp_path, [Piece("world", "en", "es")])
    assert list(found.values()) == list(spanish.values())


def test_beams_model_and_versions_decide_what_is_found_again_and_the_batch_does_not(model, tmp_path):
    known = place(model)
    assert place(model, {"batch_size": 1}) == place(model, code={"translate": "2" * 12}) == known
    others = [{"beams": 2}, {"max_tokens": 16}, {"code": {"torch": "1.0"}}, {"code": {"translator:nllb": "2" * 12}}]
    assert len({known, *(place(model, **other) for other in others)}) == 5
    assert place(tiny_nllb.make(tmp_path / "other", seed=1)) != known


def test_what_was_translated_is_found_again_without_the_model(model, tmp_path):
    first = translate(model, tmp_path, PIECES)
    assert work_counter.totals(tmp_path / "meter")["translated"] == len(PIECES)
    script = """
import json, sys
from tests.unit.data.test_translators import PIECES, job_of, translators
t = translators.start(job_of(json.loads(sys.argv[1])))
found = t.translate(PIECES)
print(len(found), t.size("Hello world."), "torch" in sys.modules)
"""
    command = [sys.executable, "-c", script, json.dumps(work(model))]
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    found = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True, check=True).stdout
    assert found.split()[0] == str(len(PIECES)) and found.split()[2] == "False"
    assert translate(model, tmp_path, [*PIECES, Piece("you", "en", "fr")]).items() >= first.items()
    assert work_counter.totals(tmp_path / "meter")["translated"] == len(PIECES) + 1, "only the new one is owed"


def test_a_killed_run_goes_on_where_it_was_and_pays_no_piece_twice_but_those_of_its_last_batch(model, tmp_path):
    script = """
import json, os, signal, sys
from tests.unit.data.test_translators import PIECES, job_of, translators
from workflow_scripts.data import nllb
batch, done = nllb.Engine._batch, []
def dying(self, texts, first):
    if len(done) == 3:
        os.kill(os.getpid(), signal.SIGKILL)
    done.append(texts)
    return batch(self, texts, first)
nllb.Engine._batch = dying
translators.start(job_of(json.loads(sys.argv[1]))).translate(PIECES)
"""
    command = [sys.executable, "-c", script, json.dumps(work(model))]
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    killed = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, check=False)
    assert killed.returncode == -signal.SIGKILL
    with AppendOnlyRows(tmp_path / STORE / "translations" / place(model)) as kept:
        before = len(kept.find(map(hashing.of_json, PIECES)))
    assert before == 3 + 3 + 2, "two full batches of French, and the third that ends it"
    found = translate(model, tmp_path, PIECES)
    assert work_counter.totals(tmp_path / "meter")["translated"] == len(PIECES)
    assert found == translate(model, tmp_path / "fresh", PIECES)


def test_a_model_without_safetensors_is_refused(model, tmp_path):
    (tmp_path / "bin").mkdir()
    (tmp_path / "bin/pytorch_model.bin").write_bytes(b"")
    with pytest.raises(UserError, match="has no .safetensors"):
        place(tmp_path / "bin")


# A language model


def asked(server, **settings):
    known = {"model": "openai/gpt-4-turbo-fake", "temperature": 0.0, "max_tokens": 64, "seed": None}
    template = prompts.template("translate-v1")
    work = {"llm": known, "prompt": template, "max_tokens": 40, "label": "gpt", "codes": {}, **settings}
    access = {"api_base": server.url, "timeout": 5, "backoff": 0.01, "retries": 1, "concurrency": 1}
    return translators.start(job_of(work, access))


def shout(body):
    return " " + body["messages"][-1]["content"].split("\n")[1].upper() + "\n"


def test_a_language_model_translates_by_name_and_is_paid_once(tmp_path):
    pieces = [Piece("Hello there.", "en", "fr"), Piece("Hello there.", "en", "hi")]
    with OpenAIServer(answer=shout) as server:
        for _ in range(2):
            found = asked(server).translate(pieces)
            assert found == dict.fromkeys(pieces, "HELLO THERE.")
        assert len(server.requests) == 2
    system = [body["messages"][0]["content"] for body in server.requests]
    assert "from English into French" in system[0] and "from English into Hindi" in system[1]
    assert "{" not in system[0]
    assert [account["label"] for account in ledger.audit(STORE / "judgments")] == ["gpt"]


def test_what_a_provider_filters_or_a_model_refuses_has_no_translation_and_is_not_asked_again(tmp_path):
    pieces = [Piece(text, "en", "fr") for text in ("One.", "Two.", "Three.")]
    with OpenAIServer(faults=["filter", "refusal"], answer=shout) as server:
        for _ in range(2):
            found = asked(server).translate(pieces)
            assert list(found.values()) == [None, None, "THREE."]
        assert len(server.requests) == 3


def test_what_fails_after_all_retries_stops_with_a_count_and_the_rest_is_kept(tmp_path):
    pieces = [Piece(text, "en", "fr") for text in ("One.", "Two.")]
    with OpenAIServer(faults=["500", "500"], answer=shout) as server:
        with pytest.raises(UserError, match="translators.gpt: 1 of 2 requests failed after all retries"):
            asked(server).translate(pieces)
        assert asked(server).translate(pieces) == dict.fromkeys(pieces, "ONE.") | {pieces[1]: "TWO."}


# The stage


def test_the_stage_keeps_originals_translations_quality_and_licences_together(model, tmp_path):
    blank = dict.fromkeys(records.ROWS.names)
    code = "```\nprint('Hello. You?')\n```"
    rows = [
        {**blank, "id": "1-en", "source_prompt_id": "1", "language": "en", "source": "a", "split": "train"}
        | {"prompt": "Hello world. How are you?", "completion": f"Hello.\n{code}\nyou are"},
        {**blank, "id": "2-en", "source_prompt_id": "2", "language": "en", "source": "a", "split": "test"}
        | {"prompt": "world"},
    ]
    source = pa.Table.from_pylist(rows, schema=records.ROWS)
    records.write(tmp_path / "a.parquet", source, records.ROWS, {"rows": "x", "licences": {"a": "MIT"}})
    settings = {"name": "b", "languages": ["fr", "hi"], "order": ["en", "fr", "hi"], "minimum": 0.0}
    settings |= {"translator": work(model)}
    outputs = {"rows": [Path("results/b.parquet")], "quality": [Path("results/q.parquet")]}
    names = {"source": "a", "translator": "nllb", "licence": "CC-BY-NC-4.0"}
    job = jobs.job("translate", outputs, {"source": [Path("a.parquet")]}, settings, names, HOW)
    started = jobs.start(job, tmp_path)
    said, _ = started.communicate()
    assert started.returncode == 0, said
    made = records.read(tmp_path / "results/b.parquet", records.ROWS).to_pylist()
    assert [row["id"] for row in made] == ["1-en", "1-en.fr", "1-en.hi", "2-en", "2-en.fr", "2-en.hi"]
    assert all(code in row["completion"] for row in made[:3]), "code untouched"
    assert made[1]["prompt"] != made[0]["prompt"] and made[1]["source"] == "b" and made[4]["split"] == "test"
    assert len(records.read(tmp_path / "results/q.parquet", records.TRANSLATIONS)) == 6
    lineage = records.lineage(tmp_path / "results/b.parquet")
    assert lineage["licences"] == {"a": "MIT", "nllb": "CC-BY-NC-4.0"}
    assert lineage["counts"]["source_prompts"] == {"train": 1, "test": 1} and lineage["counts"]["translated_rows"] == 4
    assert (tmp_path / "results/.store/translations" / lineage["translations"]).is_dir()
