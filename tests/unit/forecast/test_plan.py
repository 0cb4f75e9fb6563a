"""A quote is arithmetic on the config; what lies there as its recipe says is not owed; a budget stops a run."""

import copy
import json
import math
import os
from pathlib import Path

import pyarrow as pa
import pytest
import yaml

from workflow_scripts.base import records
from workflow_scripts.base.errors import UserError
from workflow_scripts.experiment import provenance
from workflow_scripts.experiment.recipes import Recipes
from workflow_scripts.experiment.table_of_models import load
from workflow_scripts.forecast import plan, work_counts
from workflow_scripts.forecast.plan import Job, wall
from workflow_scripts.run import session

CHECKED = yaml.safe_load((Path(__file__).parents[2] / "configs/checked.yaml").read_text(encoding="utf-8"))
GPUS = {"gpus_per_node": 2, "training": 100, "generation": 50}
PRICED = {"gpt": {"model": "openai/gpt-4-turbo"}}


@pytest.fixture(autouse=True)
def _folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)


def recipes(**sections):
    return Recipes(load({**copy.deepcopy(CHECKED), **sections}))


def finish(made, rules):
    """Lay down artifacts as their stages would, as far as a quote looks at them."""
    for artifact in provenance.artifacts(made):
        if artifact.rule in rules:
            artifact.path.parent.mkdir(parents=True, exist_ok=True)
            if artifact.path.suffix == ".json":
                artifact.path.write_text(json.dumps({"recipe": artifact.recipe}))
            elif artifact.rule == "suite":
                records.write(artifact.path, prompts(20), records.ROWS, {"recipe": artifact.recipe})
            else:
                records.write(artifact.path, records.CURVE.empty_table(), records.CURVE, {"recipe": artifact.recipe})


def prompts(count):
    names = [field.name for field in records.ROWS if not field.nullable]
    return pa.Table.from_pylist([{name: str(n) for name in names} for n in range(count)], records.ROWS)


DATA = ("source", "mixture", "suite")


# What there is


def test_counts_are_those_of_the_config():
    found = plan.quote(recipes())
    assert found["trainings"].total == 4
    assert found["steps"].total == math.ceil(800 / 32) + 3 * math.ceil(128 / 32)
    assert found["merges"].total == 1
    assert found["completions"].total == 5 * (20 + 20)  # five models, two suites of ten prompts in two languages
    assert found["calls"].total == 5 * 20 + 4 * 20 * 2 + 20 * 2  # harm; both orders, not of the baseline; one contrast
    assert all(row.owed == row.total for row in found.rows.values())


def test_a_pair_of_dpo_counts_both_sides_and_the_reference():
    sft = work_counts.learning(load(CHECKED), "mix")
    raw = copy.deepcopy(CHECKED)
    raw["models"]["mix"]["train"] = "dpo"
    dpo = work_counts.learning(load(raw), "mix")
    assert dpo.examples == sft.examples
    assert dpo.tokens == pytest.approx(sft.tokens * 2 * 4 / 3)


def test_prompts_are_counted_where_they_lie(tmp_path):
    exp = recipes().experiment
    assert work_counts.prompts(exp, "general") == 20
    records.write(Path("results/checked/data/suites/general.parquet"), prompts(13), records.ROWS, {})
    assert work_counts.prompts(exp, "general") == 13


def test_prompts_of_a_users_file_are_counted_in_it():
    rows = [{"prompt": f"p {n}", "language": "en", "split": "test"} for n in range(7)]
    Path("mine.jsonl").write_text("\n".join(map(json.dumps, rows)))
    made = recipes(
        sources={**CHECKED["sources"], "redteam": {"file": "mine.jsonl"}},
        suites={**CHECKED["suites"], "redteam": {"source": "redteam", "metric": "harm", "languages": ["en"]}},
    )
    assert work_counts.prompts(made.experiment, "redteam") == 7


# What it costs


def test_hours_are_work_over_throughput():
    found = plan.quote(recipes(machine=GPUS))
    answers = found["completions"].total * 16  # generation.max_new_tokens are fewer than the assumed answer
    assert found["gpu_hours"].total == pytest.approx((found["tokens"].total / 100 + answers / 50) / 3600)
    assert plan.quote(recipes(machine={**GPUS, "training": 200}))["gpu_hours"].total < found["gpu_hours"].total


def test_what_is_not_stated_is_said():
    found = plan.quote(recipes(machine={"gpus_per_node": 2}))
    assert found.wall_hours is None
    assert [note.split(":")[0] for note in found.notes] == ["machine.training", "machine.generation"]


def test_dollars_are_questions_by_litellms_prices():
    lengths = {"prompt": 10, "answer": 20, "verdict": 5}
    found, longer = plan.quote(recipes(judges=PRICED, lengths=lengths)), plan.quote(recipes(judges=PRICED))
    template = recipes(judges=PRICED).judgment("gpt", "mix", "redteam")
    told = len(json.loads(template)["work"]["prompt"].encode()) / 4
    harm = 100 * ((told + 10 + 16) * 1e-5 + 5 * 3e-5)
    assert harm < found["usd"].total < longer["usd"].total
    assert plan.quote(recipes())["usd"].total == 0, "the rules cost nothing"


def test_a_synthesis_counts_its_prompts_answers_and_verdicts():
    made = recipes(
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
    found, plain = plan.quote(made), plan.quote(recipes(judges=PRICED))
    assert found["calls"].total - plain["calls"].total == 7 * 2 * 3 * (1 + 2 + 2)
    assert found["usd"].total > plain["usd"].total


def test_the_batch_interface_is_half_the_price():
    assert plan.price("openai/gpt-4-turbo", batch=True) == (0.5e-5, 1.5e-5)
    assert plan.price("openai/gpt-4o-mini", batch=True) == (7.5e-8, 3e-7)


def test_a_model_without_a_price_is_named():
    found = plan.quote(recipes(judges={"own": {"model": "openai/of-our-own"}}))
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
        found = plan.quote(recipes(models=models, **sections))
        sizes[name] = (found.kept_bytes, found.peak_bytes)
    each = (sizes["kept"][0] - sizes["temporary"][0]) / 10
    assert sizes["temporary"][1] - sizes["temporary"][0] == pytest.approx(10 * each)
    assert sizes["limited"][0] == sizes["temporary"][0]
    assert sizes["limited"][1] < sizes["temporary"][1]


def test_a_job_that_no_number_of_gpus_fits_is_refused():
    made = recipes(machine=GPUS, generation={**CHECKED["generation"], "tensor_parallel": 4})
    with pytest.raises(UserError, match="GPUS=4"):
        plan.quote(made, gpus=2)
    assert plan.quote(made, gpus=4).gpus == 4


# How long it takes


def test_more_gpus_take_less_time_until_the_longest_way_is_left():
    jobs = {str(n): Job(1, 1.0) for n in range(6)} | {"last": Job(1, 1.0, tuple(map(str, range(6))))}
    assert [wall(jobs, gpus) for gpus in (1, 2, 3, 6, 60)] == [7, 4, 3, 2, 2]


def test_a_job_of_many_gpus_waits_until_all_are_free():
    assert wall({"wide": Job(2, 1.0), "narrow": Job(1, 3.0)}, 2) == 4
    assert wall({"wide": Job(2, 1.0), "narrow": Job(1, 3.0)}, 3) == 3


def test_judges_take_their_turns_beside_the_gpus():
    assert wall({"a": Job(0, 2.0, judges=True), "b": Job(0, 2.0, judges=True), "c": Job(1, 4.0)}, 1) == 4


# What is done


def test_what_lies_there_as_its_recipe_says_is_not_owed():
    made = recipes()
    finish(made, {*DATA, "initialise", "train", "merge"})
    found = plan.quote(made)
    assert (found["trainings"].owed, found["merges"].owed) == (0, 0)
    assert found["completions"].owed == found["completions"].total > 0


def test_an_edit_owes_all_that_comes_after_it():
    finish(recipes(), {*DATA, "initialise", "train", "merge", "generate"})
    training = copy.deepcopy(CHECKED["training"])
    training["pretrain"]["epochs"] = 2
    found = plan.quote(recipes(training=training))
    assert found["trainings"].owed == 4, "all descend from what was pretrained"
    assert found["completions"].owed == found["completions"].total
    merging = copy.deepcopy(CHECKED["merging"])
    merging["slerp"]["t"] = 0.4
    found = plan.quote(recipes(merging=merging))
    assert (found["trainings"].owed, found["merges"].owed, found["completions"].owed) == (0, 1, 40)


def test_a_users_file_that_is_newer_owes_what_it_feeds():
    Path("mine.jsonl").write_text('{"prompt": "p", "language": "en", "split": "test"}\n')
    made = recipes(
        sources={**CHECKED["sources"], "redteam": {"file": "mine.jsonl"}},
        suites={**CHECKED["suites"], "redteam": {"source": "redteam", "metric": "harm", "languages": ["en"]}},
    )
    finish(made, {*DATA, "initialise", "train", "merge", "generate"})
    paths = {str(a.path): a.path for a in provenance.artifacts(made)}
    answers = paths["results/checked/seed0/generations/mix/redteam.parquet"]
    assert plan.finished(made, provenance.artifacts(made))(answers)
    os.utime("mine.jsonl", (2e9, 2e9))
    assert not plan.finished(made, provenance.artifacts(made))(answers)


# What may be spent


def spend(usd):
    folder = plan.LEDGER
    folder.mkdir(parents=True)
    row = {"key": "0" * 64, "label": "gpt", "state": "answered", "outcome": "ok", "cost_usd": usd}
    (folder / "a.jsonl").write_text(json.dumps(row) + "\n")


def test_a_run_that_would_exceed_its_budget_does_not_start():
    cost = plan.quote(recipes(judges=PRICED))["usd"].owed
    enough, short = recipes(judges=PRICED, budget={"usd": cost + 1}), recipes(judges=PRICED, budget={"usd": cost - 1})
    assert plan.over_budget(enough, plan.quote(enough)) == []
    (line,) = plan.over_budget(short, plan.quote(short))
    assert f"${cost:.2f}" in line
    assert f"{cost - 1:g} are allowed" in line
    with pytest.raises(session.Refusal, match=r"budget\.usd"):
        session.start(short, submits=False)
    assert not Path("results/.lock").exists()


def test_what_the_ledger_spent_counts():
    cost = plan.quote(recipes(judges=PRICED))["usd"].owed
    made = recipes(judges=PRICED, budget={"usd": cost + 1})
    spend(2.0)
    (line,) = plan.over_budget(made, plan.quote(made))
    assert "$2.00 are spent already" in line


def test_a_finished_experiment_is_within_any_budget():
    made = recipes(judges=PRICED, machine=GPUS, budget={"usd": 0, "gpu_hours": 0})
    assert len(plan.over_budget(made, plan.quote(made))) == 2
    finish(made, {*DATA, "initialise", "train", "merge", "generate", "judge", "compare"})
    assert plan.over_budget(made, plan.quote(made)) == []


def test_hours_done_already_count_against_their_budget():
    total = plan.quote(recipes(machine=GPUS))["gpu_hours"].total
    made = recipes(machine=GPUS, budget={"gpu_hours": total * 0.99})
    finish(made, {*DATA, "initialise", "train"})
    (line,) = plan.over_budget(made, plan.quote(made))
    assert line.startswith("budget.gpu_hours")


def test_the_command_prints_a_table_or_json(capsys):
    Path("config.yaml").write_text(yaml.safe_dump(CHECKED))
    plan.main(["--config", "config.yaml"])
    assert "questions to language models" in capsys.readouterr().out
    plan.main(["--config", "config.yaml", "--json", "--gpus", "3"])
    told = json.loads(capsys.readouterr().out)
    assert told["rows"]["trainings"] == {"what": "trainings", "total": 4, "owed": 4}
    assert told["gpus"] == 3


def test_a_dataset_of_the_hub_is_counted_before_it_is_at_hand():
    raw = yaml.safe_load((Path(__file__).parents[3] / "experiments/aya23-8b.yaml").read_text(encoding="utf-8"))
    config = load(raw).config
    languages = config.languages
    expected = work_counts.expected
    assert expected(config, "dolly", languages, "test") == 6 * 200
    assert expected(config, "redteam-english", ["en"], "test") == round(0.4 * 987)
    assert expected(config, "redteam-translated", languages, "test") == 6 * round(0.4 * 987)
    assert expected(config, "redteam", languages, "test") == round(0.4 * 5404)
    assert expected(config, "general", languages, "train") == 6 * 10_000
    assert expected(config, "safety", languages, "train") is None  # what a synthesis yields, nobody knows
