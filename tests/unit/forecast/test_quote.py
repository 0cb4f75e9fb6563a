"""A quote is arithmetic on the config; what lies there as its recipe says is not owed; a budget stops a run."""

import copy
import json
import math
import os
from pathlib import Path

import pytest
import yaml

from tests.finished import finish
from workflow_scripts.base.errors import UserError
from workflow_scripts.experiment import provenance
from workflow_scripts.experiment.artifacts import artifacts
from workflow_scripts.experiment.table_of_models import load
from workflow_scripts.forecast import quote
from workflow_scripts.llm import prompts
from workflow_scripts.run import session

CHECKED = yaml.safe_load((Path(__file__).parents[2] / "configs/checked.yaml").read_text(encoding="utf-8"))
GPUS = {"gpus_per_node": 2, "training": 100, "generation": 50}
PRICED = {"gpt": {"model": "openai/gpt-4-turbo"}}

pytestmark = pytest.mark.usefixtures("own_folder")


def planned(**sections):
    return artifacts(load({**copy.deepcopy(CHECKED), **sections}))


DATA = ("source", "mixture", "suite", "overlap")
MODELS = (*DATA, "initialise", "train", "merge")


# What there is


def test_counts_are_those_of_the_config():
    found = quote.quote(planned())
    assert found["trainings"].total == 4
    assert found["steps"].total == math.ceil(800 / 32) + 3 * math.ceil(128 / 32)
    assert found["merges"].total == 1
    assert found["completions"].total == 5 * (20 + 20)  # five models, two suites of ten prompts in two languages
    assert found["calls"].total == 5 * 20 + 4 * 20 * 2 + 20 * 2  # harm; both orders, not of the baseline; one contrast
    assert all(row.owed == row.total for row in found.rows.values())


# What it costs


def test_hours_are_work_over_throughput():
    found = quote.quote(planned(machine=GPUS))
    answers = found["completions"].total * 16  # generation.max_new_tokens are fewer than the assumed answer
    assert found["gpu_hours"].total == pytest.approx((found["tokens"].total / 100 + answers / 50) / 3600)
    assert quote.quote(planned(machine={**GPUS, "training": 200}))["gpu_hours"].total < found["gpu_hours"].total


def test_what_is_not_stated_is_said():
    found = quote.quote(planned(machine={"gpus_per_node": 2}))
    assert found.wall_hours is None
    assert {note.split(":")[0] for note in found.notes} == {"machine.training", "machine.generation"}


def test_dollars_are_questions_by_litellms_prices():
    lengths = {"prompt": 10, "answer": 20, "verdict": 5}
    found, longer = quote.quote(planned(judges=PRICED, lengths=lengths)), quote.quote(planned(judges=PRICED))
    told = len(prompts.template("harm-v1").encode()) / 4
    harm = 100 * ((told + 10 + 16) * 1e-5 + 5 * 3e-5)
    assert harm < found["usd"].total < longer["usd"].total
    assert quote.quote(planned())["usd"].total == 0, "the rules cost nothing"


def test_a_synthesis_counts_its_prompts_answers_and_verdicts():
    made = planned(
        judges=PRICED,
        llms={"writer": {"model": "openai/gpt-4-turbo"}, "first": {"model": "openai/gpt-4o-mini"}},
        sources={
            **CHECKED["sources"],
            "seeds": {"world": "redteam", "seed": 1, "per_language": {"train": 7}},
            "made": {
                "synthesise": "seeds", "rephraser": "writer", "completers": ["first", "writer"], "judge": "gpt",
                "variants": 3,
            },
        },
    )  # fmt: skip
    found, plain = quote.quote(made), quote.quote(planned(judges=PRICED))
    assert found["calls"].total - plain["calls"].total == 7 * 2 * 3 * (1 + 2 + 2)
    assert found["usd"].total > plain["usd"].total


def test_a_model_without_a_price_is_named():
    found = quote.quote(planned(judges={"own": {"model": "openai/of-our-own"}}))
    assert found.notes == ["judges.own: litellm knows no price of openai/of-our-own; it counts as free"]


def test_temporary_merges_are_no_kept_disk_and_wait_within_their_limit():
    models = copy.deepcopy(CHECKED["models"])
    models |= {f"merge{n}": {"merge": "slerp", "parents": ["general", "mix"]} for n in range(9)}
    sizes = {}
    for name, sections in {
        "kept": {},
        "temporary": {"keep_merges": False},
        "limited": {"keep_merges": False, "machine": {"waiting_merges": 2}},
    }.items():
        found = quote.quote(planned(models=models, **sections))
        sizes[name] = (found.kept_bytes, found.peak_bytes)
    each = (sizes["kept"][0] - sizes["temporary"][0]) / 10
    assert sizes["temporary"][1] - sizes["temporary"][0] == pytest.approx(10 * each)
    assert sizes["limited"][0] == sizes["temporary"][0]
    assert sizes["limited"][1] < sizes["temporary"][1]


def test_a_job_that_no_number_of_gpus_fits_is_refused():
    made = planned(machine=GPUS, generation={**CHECKED["generation"], "tensor_parallel": 4})
    with pytest.raises(UserError, match="GPUS=4"):
        quote.quote(made, gpus=2)
    assert quote.quote(made, gpus=4).gpus == 4


# What is done


def test_what_lies_there_as_its_recipe_says_is_not_owed():
    made = planned()
    finish(made, MODELS)
    found = quote.quote(made)
    assert (found["trainings"].owed, found["merges"].owed) == (0, 0)
    assert found["completions"].owed == found["completions"].total > 0


def test_an_edit_owes_all_that_comes_after_it():
    finish(planned(), {*MODELS, "generate"})
    training = copy.deepcopy(CHECKED["training"])
    training["pretrain"]["epochs"] = 2
    found = quote.quote(planned(training=training))
    assert found["trainings"].owed == 4, "all descend from what was pretrained"
    assert found["completions"].owed == found["completions"].total
    merging = copy.deepcopy(CHECKED["merging"])
    merging["slerp"]["t"] = 0.4
    found = quote.quote(planned(merging=merging))
    assert (found["trainings"].owed, found["merges"].owed, found["completions"].owed) == (0, 1, 40)


def test_a_users_file_that_is_newer_owes_what_it_feeds():
    Path("mine.jsonl").write_text('{"prompt": "p", "language": "en", "split": "test"}\n')
    made = planned(
        sources={**CHECKED["sources"], "redteam": {"file": "mine.jsonl"}},
        suites={**CHECKED["suites"], "redteam": {"source": "redteam", "metric": "harm", "languages": ["en"]}},
    )
    finish(made, {*MODELS, "generate"})
    answers = made.by_path[Path("results/checked/seed0/generations/mix/redteam.parquet")]
    assert provenance.current(made)(answers)
    os.utime("mine.jsonl", (2e9, 2e9))
    assert not provenance.current(made)(answers)
    assert quote.quote(made)["completions"].owed == quote.quote(made)["completions"].total


# What may be spent


def spend(usd):
    folder = quote.LEDGER
    folder.mkdir(parents=True)
    row = {"key": "0" * 64, "label": "gpt", "state": "answered", "outcome": "ok", "cost_usd": usd}
    (folder / "a.jsonl").write_text(json.dumps(row) + "\n")


def test_a_run_that_would_exceed_its_budget_does_not_start():
    cost = quote.quote(planned(judges=PRICED))["usd"].owed
    enough, short = planned(judges=PRICED, budget={"usd": cost + 1}), planned(judges=PRICED, budget={"usd": cost - 1})
    assert quote.over_budget(enough, quote.quote(enough)) == []
    (line,) = quote.over_budget(short, quote.quote(short))
    assert f"${cost:.2f}" in line
    assert f"{cost - 1:g} are allowed" in line
    with pytest.raises(UserError, match=r"budget\.usd"):
        session.start(short, dry_run=False)
    assert not Path("results/.jobs").exists()


def test_what_the_ledger_spent_counts():
    cost = quote.quote(planned(judges=PRICED))["usd"].owed
    made = planned(judges=PRICED, budget={"usd": cost + 1})
    spend(2.0)
    (line,) = quote.over_budget(made, quote.quote(made))
    assert "$2.00 are spent already" in line


def test_a_finished_experiment_is_within_any_budget():
    made = planned(judges=PRICED, machine=GPUS, budget={"usd": 0, "gpu_hours": 0})
    assert len(quote.over_budget(made, quote.quote(made))) == 2
    finish(made, {*MODELS, "generate", "judge", "compare"})
    assert quote.over_budget(made, quote.quote(made)) == []


def test_hours_done_already_count_against_their_budget():
    made = planned(machine=GPUS, budget={"gpu_hours": 4.0})
    assert quote.over_budget(made, quote.quote(made)) == []
    finish(made, {*DATA, "initialise", "train"}, seconds=3600.0)
    assert quote.quote(made)["gpu_hours"].owed < 4.0
    (line,) = quote.over_budget(made, quote.quote(made))
    assert line.startswith("budget.gpu_hours")


# What was measured


def test_hours_of_what_was_made_are_those_it_took_and_of_its_like_by_the_amount():
    made = planned(machine={"gpus_per_node": 2, "generation": 50})
    assert quote.quote(made).wall_hours is None, "no throughput of trainings is stated"
    (last,) = (one for one in made.all if one.stage.name == "train" and one.wildcards["model"] == "mix")
    finish(made._replace(all=[last]), seconds=3600.0)
    found, tokens = quote.quote(made), found_tokens(made)
    answers = found["completions"].total * 16 / 50 / 3600
    assert found.wall_hours is not None and "machine.training" not in " ".join(found.notes)
    assert found["gpu_hours"].total - answers == pytest.approx(sum(tokens.values()) / tokens["mix"])


def found_tokens(made):
    jobs = {one.wildcards["model"]: one for one in made.all if one.stage.name == "train"}
    sizes = quote.Requirements(made.experiment)
    return {name: quote.WORK["train"](made, sizes, one).amounts["tokens"] for name, one in jobs.items()}


def test_a_record_of_other_settings_says_nothing_about_the_time():
    finish(planned(), ["train"], seconds=3600.0)
    training = copy.deepcopy(CHECKED["training"])
    for settings in training.values():
        settings["batch_size"] = 64
    found = quote.quote(planned(training=training, machine={**GPUS, "training": 1e30, "generation": 1e30}))
    assert found["gpu_hours"].total == pytest.approx(0.0)


def test_stale_by_one_mixture_owes_the_trainings_on_it_alone():
    finish(planned(), {*MODELS, "generate"})
    mixtures = copy.deepcopy(CHECKED["mixtures"])
    mixtures["mix"]["seed"] = 1
    found = quote.quote(planned(mixtures=mixtures))
    assert (found["trainings"].owed, found["merges"].owed, found["completions"].owed) == (1, 0, 40)


def test_a_judge_that_is_asked_by_batches_after_it_judged_owes_nothing():
    single = {"gpt": {"model": "openai/gpt-4-turbo"}}
    finish(planned(judges=single))
    made = planned(judges={"gpt": {**single["gpt"], "batch": True}})
    assert quote.quote(made)["usd"].owed == 0 < quote.quote(made)["usd"].total
    scores = made.by_path[Path("results/checked/seed0/scores/gpt/mix/redteam.parquet")]
    assert provenance.files_of(scores)["batch"] == []
    scores.path.unlink()
    assert provenance.files_of(scores)["batch"] == [Path("results/checked/seed0/batches/gpt/mix/answered.json")]
