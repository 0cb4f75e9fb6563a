"""Adapters of every kind that can be trained, on what they can be put, and merged by peft."""

from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file

from tests import families
from tests.unit.train.tiny import LORA, ROWS, bits, train
from tests.unit.train.tiny import parent as parent  # the fixture
from workflow_scripts.base.errors import UserError
from workflow_scripts.models import network
from workflow_scripts.train import adapters

PLAIN = {**LORA, "dropout": 0.0}
KINDS: dict[str, dict[str, Any]] = {
    "dora": {"use_dora": True},
    "rslora": {"use_rslora": True},
    "ranks": {"rank_pattern": {"q_proj": 3}, "alpha_pattern": {"q_proj": 9.0}},
    "targets": {"targets": ["q_proj", "mlp.down_proj"]},
    "experts": {"targets": ["q_proj"], "target_parameters": ["mlp.experts.down_proj"]},
}


def watched(monkeypatch: pytest.MonkeyPatch) -> list[tuple[torch.Tensor, Any]]:
    """What networks with trained adapters say, before they are merged."""
    said: list[tuple[torch.Tensor, Any]] = []
    merged = adapters.merged

    def watch(parent: Path, trained: Any, state: dict[str, torch.Tensor]) -> Any:
        ids = torch.arange(9, 25)[None]
        with torch.no_grad():
            said.append((trained.eval()(input_ids=ids).logits, dict(trained.peft_config["default"].to_dict())))
        return merged(parent, trained, state)

    monkeypatch.setattr(adapters, "merged", watch)
    return said


@pytest.mark.parametrize("kind", KINDS)
def test_a_merged_adapter_says_what_the_network_with_it_said(
    kind: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    said = watched(monkeypatch)
    model = families.make("olmoe" if kind == "experts" else "llama", tmp_path / "model")
    lora = {**PLAIN, **KINDS[kind]}
    _, output = train(tmp_path, model, max_steps=3, learning_rate=0.1, max_length=200, lora=lora)
    ids = torch.arange(9, 25)[None]
    with torch.no_grad():
        before, after = (network.load(path, torch.float32).eval()(input_ids=ids).logits for path in (model, output))
    torch.testing.assert_close(after, said[0][0], atol=1e-3 * float(after.abs().max()), rtol=1e-3)
    assert (after - before).abs().max() > 0.01 * before.abs().max()
    old, new = (load_file(path / "model.safetensors") for path in (model, output))
    changed = {name for name in old if not torch.equal(old[name], new[name])}
    if kind in ("targets", "experts"):
        assert {name.split(".")[-2] for name in changed} == {"q_proj", "down_proj"}
    if kind == "rslora":
        assert said[0][1]["use_rslora"]


@pytest.mark.parametrize(
    ("targets", "message"),
    [
        (["query_key_value"], r"there is no query_key_value in the language model of llama.*it has .*q_proj"),
        (["q_proj", "query_key_value"], r"there is no query_key_value in the language model.*it has .*q_proj"),
        (["q_proj", "lm_head"], r"lm_head is the output head.*leave lm_head out"),
        (["lm_head"], r"lm_head is the output head"),
    ],
)
def test_a_target_that_would_not_be_trained_is_refused_before_training(
    targets: list[str], message: str, tmp_path: Path
) -> None:
    model = families.make("llama", tmp_path / "model")
    with pytest.raises(UserError, match=message) as caught:
        train(tmp_path, model, lora={**PLAIN, "targets": targets})
    assert "\n" not in str(caught.value) and not (tmp_path / "run.work").exists()


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"rank_pattern": {"q_prj": 3}}, "lora.rank_pattern: q_prj is the end of no adapted module's name"),
        ({"alpha_pattern": {"lm_head": 3.0}}, "lora.alpha_pattern: lm_head is the end of no adapted module's name"),
        ({"target_parameters": ["experts.up"]}, "lora.target_parameters: experts.up is the end of no parameter's name"),
    ],
)
def test_a_pattern_or_a_parameter_that_matches_nothing_is_refused(settings: dict, message: str, tmp_path: Path) -> None:
    with pytest.raises(UserError, match=message):
        train(tmp_path, families.make("olmoe", tmp_path / "model"), lora={**PLAIN, **settings})


def test_an_embedding_that_is_the_output_head_as_well_is_refused(parent: Path, tmp_path: Path) -> None:
    with pytest.raises(UserError, match="embed_tokens is the output head"):
        train(tmp_path, parent, lora={**PLAIN, "targets": ["embed_tokens"]})


def test_an_embedding_of_its_own_can_be_adapted(tmp_path: Path) -> None:
    model = families.make("llama", tmp_path / "model")
    _, output = train(tmp_path, model, max_steps=2, max_length=200, lora={**PLAIN, "targets": ["embed_tokens"]})
    old, new = (load_file(path / "model.safetensors") for path in (model, output))
    assert {name for name in old if not torch.equal(old[name], new[name])} == {"model.embed_tokens.weight"}


def test_of_a_wrapper_only_the_language_model_is_adapted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    said = watched(monkeypatch)
    model = families.make("gemma3", tmp_path / "model")
    train(tmp_path, model, rows=ROWS.slice(0, 8), max_steps=1, max_length=200, lora=PLAIN)
    adapted = [name for name in said[0][1]["target_modules"] if "vision" in name]
    assert not adapted or said[0][1]["exclude_modules"]


def test_dora_learns_what_lora_does_not(parent: Path, tmp_path: Path) -> None:
    ways = [PLAIN, {**PLAIN, "use_dora": True}, {**PLAIN, "use_rslora": True}]
    found = {
        bits(train(tmp_path, parent, str(i), max_steps=2, lora=way)[1])["model.safetensors"]
        for i, way in enumerate(ways)
    }
    assert len(found) == 3
