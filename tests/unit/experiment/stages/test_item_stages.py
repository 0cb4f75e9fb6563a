"""What tables and figures are made from."""

from tests.unit.experiment.everything import BEFORE, CHECKED, LABELLED, edited, named
from workflow_scripts.experiment.stages.items import models_of, scores_of
from workflow_scripts.experiment.table_of_models import load


def scores(section, item, **edits):
    return scores_of(load(edited({key.replace("__", "/"): value for key, value in edits.items()})), section, item)


def test_measurements_of_judges_read_labelled_answers_and_other_items_do_not():
    found = named(edited({"suites/known": LABELLED, "tables/judges": {"kind": "judges", "caption": "Judges"}}))
    read = [path.parts[-3:] for path in found["table judges"].files["scores"] if "labels" in path.parts]
    assert read == [("labels", "rules", "known.parquet"), ("labels", "other", "known.parquet")]
    assert not [path for path in found["table table1"].files["scores"] if "labels" in path.parts]


def test_an_item_reads_direct_comparisons_only_where_it_shows_them():
    shown = scores("tables", "contrasts", tables__contrasts__metrics=["harm", "direct"])
    assert [one.against for one in shown if one.against] == ["mix"]
    assert not [one for one in scores("tables", "table1") if one.against]
    assert scores("figures", "learning") == []


def test_an_item_of_some_suites_reads_no_others():
    chosen = {"tables__table1__suites": ["redteam"], "tables__table1__metrics": ["harm"]}
    assert {one.suite for one in scores("tables", "table1", **chosen)} == {"redteam"}
    assert {one.suite for one in scores("tables", "contrasts", **chosen)} == {"redteam", "native", "general"}


def test_an_item_draws_on_its_rows_their_references_and_the_baseline():
    experiment = load(CHECKED)
    assert models_of(experiment, "tables", "table1")[0] == "base"
    assert set(models_of(experiment, "tables", "table1")) == {"base", "mix", "slerp"}
    assert set(models_of(experiment, "tables", "contrasts")) == {"base", "mix", "slerp"}
    assert models_of(experiment, "figures", "learning") == ["mix", "general"]
    settings = BEFORE["table table1"].recipe.settings
    assert settings["learned"]["mix"] == {"rows": 128, "examples": 128, "steps": 4}
    assert ["slerp", "mix", []] in settings["matched"]


def test_every_file_of_an_item_is_named_in_its_recipe_in_the_same_order():
    for name in ("table table1", "figure learning"):
        artifact = BEFORE[name]
        for role, named_there in artifact.recipe.inputs.items():
            assert len(named_there) == len(artifact.files[role])
            for known, path in zip(named_there, artifact.files[role], strict=True):
                assert known["model"] in path.as_posix() and f"seed{known['seed']}" in path.parts


def test_an_item_is_made_from_the_manifests_of_the_merges_by_slerp_that_it_shows():
    after = named(edited({"seeds": [0, 1]}))
    manifests = [f"results/checked/seed{seed}/models/slerp/manifest.json" for seed in (0, 1)]
    for name in ("table table1", "table groups", "table contrasts", "figure figure2"):
        assert [str(path) for path in after[name].files["merges"]] == manifests


def test_an_item_without_a_merge_by_slerp_is_made_from_what_it_was():
    raw = edited({"tables/other": {"caption": "c", "rows": {"TIES": "ties", "Mix": "mix", "After": "after"}}})
    raw["tables"]["judges"] = {"kind": "judges", "caption": "c", "rows": {"SLERP": "slerp"}}
    found = named(raw)
    for name in ("table other", "table judges", "figure learning"):
        assert found[name].recipe.inputs.keys() == found[name].files.keys() == {"scores", "curves"}


def test_an_item_depends_on_its_kind_and_the_measures_that_it_shows():
    assert {"table:cells", "measure:harm", "measure:win"} <= set(BEFORE["table table1"].units)
    assert "table:contrasts" in BEFORE["table contrasts"].units
    assert "measure:length" not in BEFORE["table table1"].units
    controlled = named(edited({"tables/table1/metrics": ["win_lc"]}))["table table1"]
    assert {"measure:win_lc", "measure:win"} <= set(controlled.units), (
        "a controlled rate is worked out from the plain one"
    )
    assert not [unit for unit in BEFORE["figure learning"].units if unit.startswith("measure:")]
