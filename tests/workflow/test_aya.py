"""experiments/aya23-8b.yaml to its last table, each part that is not at hand replaced by a small one of the same shape.

The datasets are fixtures with the true configs and columns, Aya and NLLB random models of their architectures, with
their flags, tokens and templates; a local server that speaks OpenAI's protocol, batches included, is every other model.
"""

import csv
import hashlib
import json
import re
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from bench.stale.bench import Bench
from bench.stale.run import REPOSITORY, Run
from tests import standins, tiny_nllb
from tests.openai_server import OpenAIServer
from workflow_scripts.base import records
from workflow_scripts.experiment.table_of_models import load

pytestmark = pytest.mark.scale

EXPERIMENT = yaml.safe_load((REPOSITORY / "experiments/aya23-8b.yaml").read_text(encoding="utf-8"))
FIXTURES = {
    "HuggingFaceH4/ultrafeedback_binarized": "ultrafeedback_binarized",
    "CohereLabs/aya_evaluation_suite": "aya_evaluation_suite",
    "CohereLabs/aya_redteaming": "aya_redteaming",
    "ToxicityPrompts/PolyGuardPrompts": "polyguardprompts",
}
SMALL = {"batch_size": 8, "accumulation": 1, "processes": 1, "max_length": 512, "learning_rate": 1e-2}
TEXTS = {
    "en": "Please tell me in your own words how somebody could take care of the garden behind the old house this week",
    "hi": "कृपया मुझे अपने शब्दों में बताइए कि इस सप्ताह पुराने घर के पीछे के बगीचे की देखभाल कैसे की जा सकती है",
    "fr": "Dites-moi avec vos propres mots comment on pourrait s'occuper du jardin derrière la vieille maison",
    "es": "Dime con tus propias palabras cómo alguien podría cuidar el jardín que está detrás de la casa vieja",
    "ar": "من فضلك أخبرني بكلماتك الخاصة كيف يمكن لأحد أن يعتني بالحديقة خلف البيت القديم هذا الأسبوع",
    "ru": "Пожалуйста, расскажите своими словами, как можно ухаживать за садом за старым домом на этой неделе",
}


def drawn(body: dict[str, Any]) -> int:
    return int(hashlib.sha256(json.dumps(body, sort_keys=True).encode()).hexdigest()[:8], 16)


def answer(body: dict[str, Any]) -> str:
    """Rephrases and completes in the language it is asked in; judges by lot."""
    text = body["messages"][-1]["content"]
    if "<<<SEED" in text:
        language = re.search(r"code (\w\w)\.", text)[1]
        return json.dumps({"prompt": f"{TEXTS[language]} {drawn(body)}"}, ensure_ascii=False)
    if "RESPONSE_A" in text:
        return json.dumps({"winner": ("A", "B", "tie")[drawn(body) % 3]})
    if "<<<RESPONSE" in text:
        return json.dumps({"verdict": ("harmful", "refused", "neither")[drawn(body) % 3]})
    return f"{next(said for said in TEXTS.values() if text.startswith(said))} {drawn(body)}"


def replaced(config: dict[str, Any], url: str) -> dict[str, Any]:
    """The experiment with stand-ins for what is not at hand, and small numbers; models, merges and items stay."""
    for source in config["sources"].values():
        if name := source.pop("dataset", None):
            source |= {"dataset": f"fixtures/{FIXTURES[name]}"}
            source.pop("revision")
        source |= {"limit": 16} if "limit" in source else {}
        source |= {"variants": 6} if "variants" in source else {}
    config["translators"]["nllb"] |= {"model": "nllb", "max_tokens": 16, "precision": "float32", "beams": 1}
    config["translators"]["nllb"].pop("revision")
    for asked in (*config["llms"].values(), *config["judges"].values()):
        asked |= {"api_base": url}
        asked |= {"model": "openai/gpt-4o-mini"} if asked["model"].startswith("cohere") else {}
    config["judges"]["gpt4"]["poll"] = 0.2
    for name, mixture in config["mixtures"].items():
        mixture["per_language"] = 7 if name.startswith("pairs") else 14
    for suite in config["suites"].values():
        suite["per_language"] = 4
    for training in config["training"].values():
        training |= SMALL
    base = config["models"]["base"]
    config["models"]["base"] = {"load": "aya", "licence": base["licence"]}
    config["generation"] |= {"engine": "transformers", "max_new_tokens": 6}
    config.pop("machine")
    config["overlap"] = {"words": 9999, "characters": 9999}  # a random translator repeats itself
    config["bootstrap"] = {"resamples": 200}
    return config


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Run]:
    root = tmp_path_factory.mktemp("aya")
    run = Bench(root, "published").prepare(root / "run")
    shutil.copytree(REPOSITORY / "tests/fixtures", run.folder / "fixtures")
    tiny_nllb.make(run.folder / "nllb")
    standins.aya(run.folder / "aya", TEXTS.values())
    with OpenAIServer(answer=answer) as server:
        run.config = replaced(json.loads(json.dumps(EXPERIMENT)), server.url)
        run.environment["OPENAI_API_KEY"] = "sk-proj-0123456789abcdef"
        outcome = run.snakemake()
        assert outcome.status == 0, outcome.output[-5000:]
        run.outcome, run.server = outcome, server
        yield run


def rows(path: Path) -> list[dict[str, str]]:
    with path.open(newline="") as file:
        return list(csv.DictReader(file))


def test_every_model_of_the_paper_is_trained_merged_and_judged(finished: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(finished.folder)
    models = load(finished.config).models
    for name in models:
        assert (finished.results / f"seed0/models/{name}/manifest.json").is_file(), name
    table = rows(finished.results / "tables/table1.csv")
    assert len({row["row"] for row in table}) == 7 and {row["group"] for row in table} == {"SFT", "DPO"}
    for name in (*finished.config["tables"], *finished.config["figures"]):
        assert list(finished.results.glob(f"*/{name}.*")), name


def test_published_values_stand_beside_ours_with_what_they_are_worth(finished: Run) -> None:
    text = (finished.results / "tables/table1.md").read_text()
    assert "-56.6" in text and "not public" in text and "retired" in text


def test_both_red_team_suites_have_prompts_that_seed_no_training(finished: Run) -> None:
    def ids(kind: str, name: str) -> set[str]:
        return set(
            records.read(finished.results / f"data/{kind}/{name}.parquet", records.ROWS)["source_prompt_id"].to_pylist()
        )

    seeds = ids("sources", "safety")
    for suite in ("redteam", "redteam-native"):
        assert ids("suites", suite) and not seeds & ids("suites", suite)


def test_licences_of_data_models_and_writers_stand_under_the_tables(finished: Run) -> None:
    text = (finished.results / "tables/table1.md").read_text()
    for licence in ("MIT", "Apache-2.0", "CC-BY-NC-4.0"):
        assert licence in text


def test_judges_are_asked_in_batches_and_nothing_is_asked_twice(finished: Run) -> None:
    asked = [json.dumps(body, sort_keys=True) for body in (*finished.server.requests, *finished.server.batched)]
    assert len(asked) == len(set(asked))
    singly = [body for body in finished.server.requests if "RESPONSE_A" in body["messages"][-1]["content"]]
    assert len(singly) <= len(finished.server.batches) < len(finished.server.batched), "one of each batch goes first"


def test_a_finished_run_has_nothing_to_do(finished: Run) -> None:
    outcome = finished.snakemake("-n")
    assert "Nothing to be done" in outcome.output, outcome.output[-3000:]
