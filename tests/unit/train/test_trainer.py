import json
import math
import shutil
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
import torch
from safetensors.torch import load_file, save_file
from transformers import AutoTokenizer

from tests import families
from tests.unit.train.tiny import LORA, ROWS, WAYS, bits, log_probabilities, losses, train
from tests.unit.train.tiny import parent as parent  # the fixture
from workflow_scripts.base import records, work_counter
from workflow_scripts.base.errors import UserError
from workflow_scripts.train.methods import dpo, sft


@pytest.mark.parametrize("packing", [False, True])
def test_sft_loss_is_that_of_the_completions_alone(parent: Path, tmp_path: Path, packing: bool) -> None:
    result, _ = train(tmp_path, parent, max_steps=1, batch_size=32, logging_steps=1, packing=packing, max_length=64)
    sums, counts = log_probabilities(parent, ROWS, "completion")
    if packing:  # an epoch is a few packs, which all fit in the batch: no document may see its neighbours
        assert result["cost"]["examples"] == 32
    assert losses(result)[1] == pytest.approx(float(-sums.sum() / counts.sum()), abs=1e-5)


@pytest.mark.parametrize("family", ["falcon", "opt", "gpt_oss", "lfm2", "mamba2"])
def test_packing_is_refused_where_rows_of_a_pack_would_see_one_another(family: str, tmp_path: Path) -> None:
    model = families.make(family, tmp_path / "model")
    with pytest.raises(UserError, match=f"packing: rows in one pack see one another in a model of type {family}"):
        train(tmp_path, model, packing=True, max_length=200)


@pytest.mark.parametrize("lora", [None, {**LORA, "dropout": 0.0}])
def test_dpo_measures_against_its_parent_at_every_step(parent: Path, tmp_path: Path, lora: dict | None) -> None:
    changes = {"method": "dpo", "batch_size": 32, "logging_steps": 1, "lora": lora}
    _, first = train(tmp_path, parent, "first", max_steps=1, **changes)
    result, _ = train(tmp_path, parent, "second", max_steps=2, **changes)
    gap = sum(
        sign * (log_probabilities(model, ROWS, column)[0])
        for model, side in ((first, 1), (parent, -1))
        for column, sign in (("completion", side), ("rejected", -side))
    )
    assert losses(result)[1] == pytest.approx(math.log(2), abs=1e-6)
    assert losses(result)[2] == pytest.approx(float(-torch.nn.functional.logsigmoid(0.5 * gap).mean()), abs=1e-5)
    assert losses(result)[2] < math.log(2) - 0.01


@pytest.mark.parametrize("lora", [None, {**LORA, "dropout": 0.0}])
def test_a_reference_computed_beforehand_teaches_the_same_and_is_not_computed_again(
    parent: Path, tmp_path: Path, lora: dict | None
) -> None:
    changes = {"method": "dpo", "lora": lora, "logging_steps": 1}
    at_each_step, _ = train(tmp_path, parent, "steps", **changes)
    before, output = train(tmp_path, parent, "before", precompute_reference=True, **changes)
    assert losses(before) == pytest.approx(losses(at_each_step), abs=1e-5)
    kept = tmp_path / "before.work" / dpo.REFERENCE
    sums, _ = log_probabilities(parent, ROWS, "completion")
    torch.testing.assert_close(load_file(kept)["ref_chosen_logps"], sums, atol=1e-4, rtol=0)
    written = kept.stat().st_mtime_ns
    (tmp_path / "again.work").mkdir()
    kept.rename(tmp_path / "again.work" / kept.name)
    _, again = train(tmp_path, parent, "again", precompute_reference=True, **changes)
    assert (tmp_path / "again.work" / kept.name).stat().st_mtime_ns == written and bits(again) == bits(output)


@pytest.mark.parametrize("method", ["sft", "dpo"])
def test_weights_held_in_bfloat16_are_trained_in_it(parent: Path, tmp_path: Path, method: str) -> None:
    half = {"precision": "bfloat16", "weights": "bfloat16", "method": method}
    _, output = train(tmp_path, parent, **half)
    moved = load_file(output / "model.safetensors")
    assert all(torch.equal(tensor, tensor.bfloat16().float()) for tensor in moved.values())
    started = load_file(parent / "model.safetensors")
    assert not torch.equal(moved["model.norm.weight"], started["model.norm.weight"])


def test_options_of_scheduler_and_optimizer_reach_them(parent: Path, tmp_path: Path) -> None:
    ways = [
        {"scheduler": "polynomial"},
        {"scheduler": "polynomial", "scheduler_options": {"power": 3.0}},
        {"scheduler": "polynomial", "betas": [0.5, 0.9]},
        {"scheduler": "polynomial", "epsilon": 1e-2},
    ]
    found = {bits(train(tmp_path, parent, str(i), **way)[1])["model.safetensors"] for i, way in enumerate(ways)}
    assert len(found) == len(ways)


def test_a_share_of_the_steps_can_be_warmed_up(parent: Path, tmp_path: Path) -> None:
    _, share = train(tmp_path, parent, "share", scheduler="linear", warmup_steps=0.5)
    _, steps = train(tmp_path, parent, "steps", scheduler="linear", warmup_steps=4)  # of 8
    _, none = train(tmp_path, parent, "none", scheduler="linear")
    assert bits(share) == bits(steps) != bits(none)


@pytest.mark.parametrize("loss_type", ["robust", "exo_pair", "aot"])
def test_label_smoothing_reaches_the_losses_that_read_it(parent: Path, tmp_path: Path, loss_type: str) -> None:
    way = {"method": "dpo", "loss_type": loss_type, "max_steps": 2, "logging_steps": 1}
    plain, _ = train(tmp_path, parent, "plain", **way)
    smoothed, _ = train(tmp_path, parent, "smoothed", **way, label_smoothing=0.2)
    assert losses(plain) != losses(smoothed)


def test_noise_on_embeddings_changes_what_is_learned_and_follows_the_seed(parent: Path, tmp_path: Path) -> None:
    _, plain = train(tmp_path, parent, "plain", max_steps=2)
    _, noisy = train(tmp_path, parent, "noisy", max_steps=2, neftune_noise_alpha=5.0)
    _, again = train(tmp_path, parent, "again", max_steps=2, neftune_noise_alpha=5.0)
    assert bits(noisy) == bits(again) != bits(plain)


def test_the_loss_that_balances_experts_has_the_weight_that_is_given(tmp_path: Path) -> None:
    model = families.make("mixtral", tmp_path / "model")
    way = {"max_steps": 1, "logging_steps": 1, "max_length": 200}
    first = {
        weight: losses(train(tmp_path, model, str(weight), **way, router_aux_loss_coef=weight)[0])[1]
        for weight in (0.0, 0.02, 1.0, None)
    }
    assert first[0.0] < first[0.02] == first[None] < first[1.0]


@pytest.mark.parametrize("attention", ["eager", "sdpa"])
def test_the_attention_that_is_asked_for_is_used(
    parent: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, attention: str
) -> None:
    seen = []
    step = sft.SFTTrainer.training_step
    monkeypatch.setattr(
        sft.SFTTrainer,
        "training_step",
        lambda self, *given: seen.append(self.model.config._attn_implementation) or step(self, *given),
    )
    train(tmp_path, parent, max_steps=1, attn_implementation=attention)
    assert seen == [attention]


def test_tokens_beyond_the_embedding_are_refused_before_training(parent: Path, tmp_path: Path) -> None:
    grown = tmp_path / "grown"
    shutil.copytree(parent, grown)
    tokenizer = AutoTokenizer.from_pretrained(grown)
    tokenizer.add_special_tokens({"additional_special_tokens": ["w1", "w2"]})
    known = tokenizer.vocab_size
    config = json.loads((grown / "config.json").read_text())
    tensors = {name: tensor for name, tensor in load_file(grown / "model.safetensors").items()}
    tensors["model.embed_tokens.weight"] = tensors["model.embed_tokens.weight"][: known - 3].clone()
    save_file(tensors, grown / "model.safetensors", metadata={"format": "pt"})
    (grown / "config.json").write_text(json.dumps({**config, "vocab_size": known - 3}))
    with pytest.raises(UserError, match=rf"{known - 3} rows.*: {known - 3} \(w.*resize"):
        train(tmp_path, grown)
    assert not (tmp_path / "run.work").exists()


def test_accumulation_splits_a_batch_without_changing_the_step(parent: Path, tmp_path: Path) -> None:
    _, whole = train(tmp_path, parent, "whole", batch_size=8)
    result, split = train(tmp_path, parent, "split", batch_size=8, accumulation=4)
    assert result["cost"]["steps"] == 4
    for name, tensor in load_file(whole / "model.safetensors").items():
        torch.testing.assert_close(load_file(split / "model.safetensors")[name], tensor, atol=2e-4, rtol=1e-3)


def test_gradient_checkpointing_saves_memory_and_changes_no_result(parent: Path, tmp_path: Path) -> None:
    _, plain = train(tmp_path, parent, "plain", max_steps=2)
    _, lean = train(tmp_path, parent, "lean", max_steps=2, gradient_checkpointing=True)
    assert bits(lean) == bits(plain)


@pytest.mark.parametrize("way", ["sft", "dpo"])
def test_length_grouping_reorders_rows_and_loses_none(parent: Path, tmp_path: Path, way: str) -> None:
    plain, _ = train(tmp_path, parent, "plain", **WAYS[way])
    grouped, _ = train(tmp_path, parent, "grouped", length_grouping=True, **WAYS[way])
    assert grouped["cost"] == plain["cost"] and losses(grouped) != losses(plain)


def test_cost_counts_what_was_seen(parent: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MIXMERGE_METER", str(tmp_path / "meter"))
    rows = pa.concat_tables([ROWS.slice(0, 9), ROWS.slice(0, 1)])  # one row twice
    result, _ = train(tmp_path, parent, rows=rows, epochs=3, accumulation=2)
    tokens = sum(6 + len(row["prompt"].split()) + len(row["completion"].split()) + 1 for row in rows.to_pylist())
    assert result["cost"] == {"rows": 9, "examples": 30, "tokens": 3 * tokens, "steps": 9}
    assert work_counter.totals(tmp_path / "meter") == {"optimizer_steps": 9}
    assert result["curve"].schema == records.CURVE
    assert set(losses(result)) == {2, 3, 4, 6, 8, 9}  # by logging_steps, before each checkpoint, and the last one


def test_examples_of_a_part_of_an_epoch_count_whole_batches(parent: Path, tmp_path: Path) -> None:
    result, _ = train(tmp_path, parent, rows=ROWS.slice(0, 10), max_steps=5)
    assert result["cost"]["examples"] == 10 + 2 * 4


@pytest.mark.parametrize("damage", ["missing", "short"])
def test_a_broken_parent_is_named_by_file(parent: Path, tmp_path: Path, damage: str) -> None:
    broken = tmp_path / "broken"
    broken.mkdir()
    for file in parent.iterdir():
        (broken / file.name).write_bytes(file.read_bytes())
    weights = broken / "model.safetensors"
    weights.unlink() if damage == "missing" else weights.write_bytes(weights.read_bytes()[:-10])
    with pytest.raises(UserError, match=r"broken/model\.safetensors"):
        train(tmp_path, broken)


@pytest.mark.parametrize("error", [torch.OutOfMemoryError("CUDA out of memory"), MemoryError()])
def test_too_little_memory_says_what_to_change(
    parent: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, error: Exception
) -> None:
    def fail(*_: Any, **__: Any) -> None:
        raise error

    monkeypatch.setattr(sft.SFTTrainer, "training_step", fail)
    with pytest.raises(UserError, match=r"out of memory.*batch_size.*gradient_checkpointing.*lora"):
        train(tmp_path, parent)
