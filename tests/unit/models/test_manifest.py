"""A model's folder says what the model is and was made from, and is checked before anything builds on it."""

import json
from pathlib import Path

import pytest

from tests.jobs import job
from workflow_scripts.base import hashing
from workflow_scripts.base.errors import UserError
from workflow_scripts.base.job import RESULTS, STORE
from workflow_scripts.models import manifest
from workflow_scripts.store import checksums, finished_work


@pytest.fixture
def publish(tmp_path, monkeypatch):
    """Publish a model of some content, as the stages do."""
    monkeypatch.chdir(tmp_path)

    def make(name, files, parents=(), cost=None, key=None, temporary=False, stage="train", version="0" * 12, more=()):
        def work(_, output):
            for file, text in files.items():
                (output / file).write_text(text)
            return {"note": 1} | ({"cost": cost} if cost else {}) | dict(more)

        key = key or f"key-{name}"
        entry = finished_work.get_or_make(STORE, key, work)
        folder = Path("results/nano/seed0/models") / name
        code = {stage: version, "torch": "1.0"}
        made = job(stage, {"manifest": [folder / "manifest.json"]}, inputs={"model": name}, code=code)
        manifest.publish(made, key, entry, {parent.name: parent for parent in parents}, "data", temporary)
        return folder

    return make


def test_a_model_is_its_files_and_not_its_name_or_its_curve(publish):
    one = manifest.read(publish("one", {"config.json": "{}", "model.safetensors": "1"}))
    two = manifest.read(publish("two", {"config.json": "{}", "model.safetensors": "1", manifest.CURVE: "c"}))
    three = manifest.read(publish("three", {"config.json": "{}", "model.safetensors": "2"}))
    assert one["model"] == two["model"] != three["model"]
    assert set(two["files"]) == {"config.json", "model.safetensors"}


def test_a_manifest_leads_to_parents_data_store_and_recipe(publish):
    base = publish("base", {"config.json": "{}"}, cost={"steps": 5})
    child = publish("child", {"config.json": "{1}"}, [base], cost={"steps": 2})
    found = manifest.read(child)
    assert found["parents"] == {
        "base": {"model": manifest.read(base)["model"], "manifest": hashing.of_file(base / "manifest.json")}
    }
    assert found["data"] == "data" and found["store"] == "key-child"
    assert found["recipe"] == json.loads((child / "recipe.json").read_text())
    assert found["facts"] == {"note": 1}


def test_how_answers_mark_reasoning_is_handed_on_by_the_first_parent(publish):
    marks = {"rule": "think", "is_open": True}
    base = publish("base", {"a": "0"}, more={"reasoning": marks})
    child = publish("child", {"a": "1"}, [base, publish("other", {"a": "2"})])
    assert [manifest.read(folder).get("reasoning") for folder in (base, child)] == [marks, marks]
    assert "reasoning" not in manifest.read(base)["facts"]
    assert "reasoning" not in manifest.read(publish("plain", {"a": "3"}))


def test_trainings_of_all_ancestors_are_counted_once_each(publish):
    base = publish("base", {"a": "0"}, cost={"steps": 5})
    left, right = (publish(name, {"a": name}, [base], cost={"steps": 2}) for name in ("left", "right"))
    merged = publish("merged", {"a": "m"}, [left, right])
    assert manifest.read(merged)["trainings"] == {
        "key-base": {"steps": 5}, "key-left": {"steps": 2}, "key-right": {"steps": 2},
    }  # fmt: skip


def test_the_versions_that_made_a_model_and_all_its_ancestors_are_known(publish):
    base = publish("base", {"a": "0"}, version="a" * 12)
    child = publish("child", {"a": "1"}, [base], version="b" * 12)
    merged = publish("merged", {"a": "m"}, [base, child], stage="merge")
    assert manifest.read(merged)["made_by"] == {
        "merge": ["merge 000000000000, torch 1.0"],
        "train": ["train aaaaaaaaaaaa, torch 1.0", "train bbbbbbbbbbbb, torch 1.0"],
    }


def test_the_record_of_how_a_model_was_made_stays_when_it_is_published_again(publish):
    folder = publish("one", {"config.json": "{}"})
    record = folder / "manifest.execution.json"
    record.write_text("{}")
    publish("one", {"config.json": "{}"})
    assert record.exists()


def test_a_model_that_is_whole_passes(publish):
    folder = publish("one", {"config.json": "{}", "model.safetensors": "1"})
    assert manifest.check(folder) == manifest.read(folder)
    assert checksums.changed(RESULTS) == []


def test_files_of_an_earlier_model_do_not_stay_beside_the_new_one(publish):
    folder = publish("one", {"config.json": "{}", "model.safetensors": "1"}, key="k1")
    publish("one", {"config.json": "{}", "model-00001-of-00002.safetensors": "1"}, key="k2")
    assert {path.name for path in folder.iterdir()} == {
        "config.json", "model-00001-of-00002.safetensors", "manifest.json", "recipe.json",
    }  # fmt: skip


def test_a_temporary_model_is_described_and_its_weights_are_not_there(publish):
    files = {"config.json": "{}", "model.safetensors": "1"}
    kept, temporary = publish("kept", files), publish("temporary", files, temporary=True)
    assert manifest.read(kept)["model"] == manifest.read(temporary)["model"]
    assert {path.name for path in temporary.iterdir()} == {"manifest.json", "recipe.json"}


@pytest.mark.parametrize("damage", ["edited", "truncated", "deleted"])
def test_a_model_that_is_not_what_it_was_is_named(publish, damage):
    folder = publish("one", {"config.json": "{}", "model.safetensors": "123"})
    weights = folder / "model.safetensors"
    weights.unlink()  # a link into the store: replaced, not written into
    if damage != "deleted":
        weights.write_text({"edited": "124", "truncated": "1"}[damage])
    with pytest.raises(UserError) as error:
        manifest.check(folder)
    told = {"deleted": "no such file; run snakemake"}.get(damage, "is not what its manifest says")
    assert str(error.value).startswith(f"{weights}: {told}")


def test_a_manifest_that_is_missing_broken_or_of_another_schema_is_named(publish):
    folder = publish("one", {"config.json": "{}"})
    path = folder / "manifest.json"
    text = json.loads(path.read_text())
    for content, told in (
        (None, "no such file; run snakemake"),
        ("{", "is not JSON"),
        ("[1]", "is not JSON"),
        ("[]", "schema None"),
        (json.dumps({**text, "schema": 0}), "schema 0, but this mixmerge reads 2"),
    ):
        path.unlink(missing_ok=True)
        if content is not None:
            path.write_text(content)
        with pytest.raises(UserError) as error:
            manifest.read(folder)
        assert str(error.value).startswith(f"{path}: {told}")


# Temporary merges


def test_a_temporary_merge_waits_until_its_weights_are_let_go(publish):
    publish("trained", {"config.json": "{}"})
    publish("kept", {"config.json": "{}"}, stage="merge")
    publish("one", {"model.safetensors": "1"}, stage="merge", temporary=True)
    publish("two", {"model.safetensors": "2"}, stage="merge", temporary=True)
    assert manifest.waiting() == {"key-one", "key-two"}
    manifest.release("key-one")
    assert manifest.waiting() == {"key-two"}
    assert not (STORE / "models/key-one/model.safetensors").exists()
    assert finished_work.known(STORE, "key-one")["released"]


def test_weights_that_a_kept_model_shares_are_not_let_go(publish):
    files = {"model.safetensors": "1"}
    publish("temporary", files, key="same", stage="merge", temporary=True)
    publish("kept", files, key="same", stage="merge")
    manifest.release("same")
    assert (STORE / "models/same/model.safetensors").exists()
