"""Params and keys of each stage, as they are: an accidental change of what is in a recipe makes finished work stale.

Versions of code and libraries are constants here.  Whoever changes a value on purpose knows that results made before
are made again, and says so in CHANGELOG.md.
"""

import copy
import json
from pathlib import Path

import pyarrow as pa
import pytest

from tests.unit.experiment.everything import LABELLED, edited
from workflow_scripts.base import hashing, records
from workflow_scripts.data import translators
from workflow_scripts.experiment import code_lock, kept
from workflow_scripts.experiment.artifacts import artifacts
from workflow_scripts.experiment.stages import STAGES
from workflow_scripts.experiment.table_of_models import load
from workflow_scripts.generate import engine, generate
from workflow_scripts.judge import questions
from workflow_scripts.metrics import METRICS
from workflow_scripts.models import manifest

EDITS = {"judges/other/model": "openai/gpt-4o", "judges/other/batch": True, "suites/known": LABELLED}
EDITS |= {"models/loaded": {"load": "CohereLabs/aya-23-8B", "revision": "c" * 40, "evaluate": False}}
EDITS |= {"models/adapted": {"load": "org/lora", "revision": "d" * 40, "base": "base", "evaluate": False}}
ANSWER = {"prompt": "How?", "completion": "So.", "baseline": "Thus.", "prompt_id": "1"}
GOLDEN = {
    "adapt": [
        "settings: load=org/lora, revision=dddddddddddddddddddddddddddddddddddddddd",
        "inputs: base=base, licence=null, model=adapted",
        "code: adapt=0123456789ab, peft=1.0.0, torch=1.0.0, transformers=1.0.0",
        "b2366f084e97",
    ],
    "calibrate": [
        "settings: languages=null, lexicon=3edb85d5aee4, metric=labels, model=mixmerge/rules, prompt=#a65c517b",
        "inputs: baseline=null, judge=rules, model=null, suite=known",
        "code: judge:labels=0123456789ab, rule_judge=0123456789ab",
        "f6a18ac0880e",
    ],
    "collect": ["settings: ", "inputs: judge=other, model=after", "code: collect=0123456789ab", "ee8141a87894"],
    "collect_labels": ["settings: ", "inputs: judge=other, model=null", "code: collect=0123456789ab", "9bc14cb1b8a3"],
    "compare": [
        'settings: languages=["en","fr"], lexicon=3edb85d5aee4, metric=preference, model=mixmerge/rules, '
        "prompt=#3d385a67",
        "inputs: baseline=mix, judge=rules, model=slerp, suite=general",
        "code: judge:preference=0123456789ab, rule_judge=0123456789ab",
        "9a37c8d9235f",
    ],
    "dataset": [
        'settings: dataset=CohereLabs/aya_redteaming, format=aya_redteaming, languages=["en","fr"], '
        'name=native, revision=bbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb, splits={"test":0.5,"train":0.5}',
        "inputs: licence=Apache-2.0",
        "code: dataset:aya_redteaming=0123456789ab",
        "7314a30af2d1",
    ],
    "figure": [
        "settings: alpha=0.05, baseline=base, bootstrap=#cd5e63ce, item=figure2, judge=rules, "
        'languages=["en","fr"], learned=#38a6cba7, matched=#9b3927f1, matters=#c503c854, rows=#a63137e1, '
        "spec=#369a77de",
        'inputs: curves=[], merges=[{"model":"slerp","seed":0}], scores=#c281eb91',
        "code: figure:bars=#d407ad90, matplotlib=1.0.0, measure:direct=#d407ad90, measure:harm=#d407ad90, "
        "measure:harmful=#d40#aceff127",
        "6d1eab516816",
    ],
    "generate": [
        "settings: max_model_len=128, max_new_tokens=16, precision=float32",
        'inputs: model=base, suites=["general","native","redteam"]',
        "code: generate:transformers=0123456789ab, tokenizers=1.0.0, torch=1.0.0, transformers=1.0.0",
        "5112dfb390ec",
    ],
    "initialise": [
        "settings: architecture=#13e2c61c, seed=0",
        "inputs: mixture=pretraining, model=init",
        "code: initialise=0123456789ab, tokenizers=1.0.0, torch=1.0.0, transformers=1.0.0",
        "54be4122759d",
    ],
    "judge": [
        'settings: languages=["en","fr"], lexicon=3edb85d5aee4, metric=preference, model=mixmerge/rules, '
        "prompt=#3d385a67",
        "inputs: baseline=base, judge=rules, model=after, suite=general",
        "code: judge:preference=0123456789ab, rule_judge=0123456789ab",
        "37034c4adc97",
    ],
    "load": [
        "settings: load=CohereLabs/aya-23-8B, revision=cccccccccccccccccccccccccccccccccccccccc",
        "inputs: licence=null, model=loaded",
        "code: load=0123456789ab",
        "8a7ac4f8c1cc",
    ],
    "merge": [
        "settings: method=slerp, t=0.5",
        'inputs: base=null, model=slerp, parents=["general","safety"]',
        "code: merge=0123456789ab, mergekit=1.0.0, torch=1.0.0",
        "6f194fb96ce7",
    ],
    "merge_temporary": [
        "settings: density=[0.5,0.5], method=ties, weights=[1.0,1.0]",
        'inputs: base=base, model=ties, parents=["general","safety"]',
        "code: merge=0123456789ab, mergekit=1.0.0, torch=1.0.0",
        "88c9fec53d61",
    ],
    "mixture": [
        'settings: languages=["en","fr"], parts=[["pretraining",1.0]], per_language=400',
        'inputs: sources=["pretraining"]',
        "code: mixture=0123456789ab",
        "e9f8fc540e45",
    ],
    "overlap": [
        'settings: origins={"general":"world","native":"dataset '
        'CohereLabs/aya_redteaming","pretraining":"world","redteam":"world","safety":"world"}',
        'inputs: mixtures=#f863f9b5, suites=["general","known","native","redteam"]',
        "code: overlap=0123456789ab",
        "06dc0eb120e0",
    ],
    "source": [
        'settings: languages=["en","fr"], lexicon=3edb85d5aee4, name=pretraining, per_language={"train":400}, '
        "seed=11, world=pretraining",
        "inputs: licence=null",
        "code: source=0123456789ab",
        "2bd52bd7fc00",
    ],
    "submit": [
        'settings: prompts=#f1779d34, questions=#52ad0747, settings={"model":"openai/gpt-4o"}',
        'inputs: generations=#eeeaa9f8, judge=other, model=after, suites=["general","native","redteam"]',
        "code: judge:harm=0123456789ab, judge:preference=0123456789ab, submit=0123456789ab",
        "b63b515d55bb",
    ],
    "submit_labels": [
        'settings: prompts=#dcb43f7e, questions=[{"baseline":null,"metric":"labels","suite":"known"}], '
        'settings={"model":"openai/gpt-4o"}',
        'inputs: generations=[], judge=other, model=null, suites=["known"]',
        "code: judge:labels=0123456789ab, submit=0123456789ab",
        "f3dba2d7baab",
    ],
    "suite": ['settings: languages=["en","fr"]', "inputs: source=general", "code: suite=0123456789ab", "082f909af1cb"],
    "synthesise": [
        'settings: completers=#808b7540, judge=#3b781a3a, languages=["en","fr"], name=synthetic, '
        'prompt=#d4419e7b, rephraser=#16bf2927, splits=["test"], variants=3',
        "inputs: seeds=redteam",
        "code: judge:harm=0123456789ab, lingua-language-detector=1.0.0, synthesise=0123456789ab",
        "53156c4a26f2",
    ],
    "table": [
        "settings: alpha=0.05, baseline=base, bootstrap=#cd5e63ce, item=table1, judge=rules, "
        'languages=["en","fr"], learned=#38a6cba7, matched=#9b3927f1, matters=#c503c854, rows=#a63137e1, '
        "spec=#ff56462c",
        'inputs: curves=[], merges=[{"model":"slerp","seed":0}], scores=#c281eb91',
        "code: measure:direct=#d407ad90, measure:harm=#d407ad90, measure:harmful=#d407ad90, "
        "measure:win=#d407ad90, scipy=1.0.0#7c07c7fb",
        "68870814e4f0",
    ],
    "train": [
        "settings: batch_size=32, learning_rate=0.004, max_length=64, method=sft, seed=0",
        "inputs: mixture=pretraining, model=base, parent=init",
        "code: accelerate=1.0.0, peft=1.0.0, torch=1.0.0, train:sft=0123456789ab, transformers=1.0.0, trl=1.0.0",
        "c83f86489440",
    ],
    "translate": [
        'settings: languages=["fr"], name=french, order=["en","fr"], '
        'translator={"model":"facebook/nllb-200-3.3B","revision":"aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"}',
        "inputs: licence=CC-BY-NC-4.0, source=native, translator=nllb",
        "code: lingua-language-detector=1.0.0, tokenizers=1.0.0, torch=1.0.0, transformers=1.0.0, "
        "translate=#d407ad90, transla#5d0a5e93",
        "d205bb5f395e",
    ],
}
KEYS = {
    "adapt": "f5e4548308ba",
    "generate": "f59fae7cbf3a",
    "initialise": "9db6b3824ee3",
    "judge": "d11ce478c583",
    "load": "beb7d749eac5",
    "merge": "9d5da856a30a",
    "merge_temporary": "90bf697fa4d6",
    "train": "829979c5a396",
    "translate": "7d704054ff8c",
}


@pytest.fixture(autouse=True)
def found(tmp_path, monkeypatch):
    """An artifact of each stage, in an empty folder."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(code_lock, "version", lambda unit: "0123456789ab")
    monkeypatch.setattr(code_lock, "installed", lambda package: "1.0.0")
    monkeypatch.setattr(engine, "versions", lambda name: {"engine": "1.0"})
    raw = edited(EDITS)
    everything = [*artifacts(load(raw)).all, *artifacts(load({**copy.deepcopy(raw), "keep_merges": False})).all]
    return {artifact.stage.name: artifact for artifact in reversed(everything)}


def test_every_stage_is_here(found):
    assert found.keys() == STAGES.keys() == GOLDEN.keys()


@pytest.mark.parametrize("stage", sorted(STAGES))
def test_params_are_what_they_were(found, stage):
    whole = hashing.of_json(found[stage].recipe._asdict())[:12]  # of what the texts have only a hash
    assert [*found[stage].params.values(), whole] == GOLDEN[stage]


def test_keys_of_the_store_are_what_they_were(found):
    for name in ("base", "general", "safety", "init", "slerp"):
        folder = Path(f"results/checked/seed0/models/{name}")
        folder.mkdir(parents=True)
        described = {"schema": manifest.SCHEMA_VERSION, "model": hashing.of_text(name)}
        (folder / "manifest.json").write_text(json.dumps(described))
    row = {field.name: "a" for field in records.MIXTURE if not field.nullable}
    rows = pa.Table.from_pylist([{**row, "language": "en", "part": "pretraining"}], records.MIXTURE)
    records.write(Path("results/checked/data/mixtures/pretraining.parquet"), rows, records.MIXTURE, {})
    stages = ("adapt", "initialise", "load", "train", "merge", "merge_temporary")
    keys = {stage: kept.key_of(found[stage].job) for stage in stages}
    assert keys["merge"] != keys["train"] and None not in keys.values()
    described = {"model": hashing.of_text("base")}
    _, keys["generate"] = generate._place(found["generate"].job, described)
    judging = found["judge"].job.settings
    (request,) = questions.requests(judging, judging["prompt"], [(ANSWER, METRICS[judging["metric"]].questions[0])], "")
    keys["judge"] = request.key
    Path("nllb").mkdir()
    Path("nllb/model.safetensors").write_bytes(b"weights")
    local = edited({"translators/nllb": {"model": "nllb"}})
    (translate,) = (one for one in artifacts(load(local)).all if one.wildcards.get("source") == "french")
    keys["translate"] = translators.start(translate.job).place
    assert {stage: key[:12] for stage, key in keys.items()} == KEYS
