"""Models and adapters that exist are taken as they are, or refused when they are loaded."""

import json
import shutil
from pathlib import Path
from typing import Any

import pytest
import torch
from peft import LoraConfig, get_peft_model
from safetensors.torch import load_file, save_file

from tests import families
from tests.jobs import job
from workflow_scripts.base.errors import UserError
from workflow_scripts.base.job import Job
from workflow_scripts.models import manifest, network, template_files
from workflow_scripts.train import adapt, load

CHAT = {"template": None, **template_files.NEUTRAL}
ROW = {"load": "", "revision": None, "trust_remote_code": False, "chat": CHAT}


@pytest.fixture(autouse=True)
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("MIXMERGE_WARM", "0")
    return tmp_path


def loading(folder: str, name: str = "base", **row: Any) -> Job:
    out = Path(f"results/test/seed0/models/{name}")
    outputs = {"manifest": [out / "manifest.json"], "recipe": [out / "recipe.json"]}
    return job("load", outputs, settings={**ROW, "load": folder, **row}, inputs={"model": name, "licence": "MIT"})


def adapting(folder: str, base: str | None = None) -> Job:
    out = Path("results/test/seed0/models/lora")
    outputs = {"manifest": [out / "manifest.json"], "recipe": [out / "recipe.json"]}
    files = {"base": [Path(f"results/test/seed0/models/{base}/manifest.json")] if base else []}
    inputs = {"model": "lora", "licence": None, "base": base}
    return job("adapt", outputs, files, settings={**ROW, "load": folder}, inputs=inputs)


def folder_of(one: Job) -> Path:
    return one.output("manifest").parent


def adapter(base: Path, to: Path, **settings: Any) -> tuple[Path, torch.Tensor]:
    """An adapter with random numbers, as peft saves it, and what the network with it says."""
    torch.manual_seed(1)
    given = {"r": 3, "lora_alpha": 5, "target_modules": "all-linear", "init_lora_weights": False, **settings}
    model = get_peft_model(network.load(base, torch.float32), LoraConfig(task_type="CAUSAL_LM", **given)).eval()
    model.peft_config["default"].base_model_name_or_path = str(base)
    model.save_pretrained(to)
    with torch.no_grad():
        return to, model(input_ids=torch.arange(9, 25)[None]).logits


def said(folder: Path) -> torch.Tensor:
    with torch.no_grad():
        return torch.as_tensor(network.load(folder, torch.float32).eval()(input_ids=torch.arange(9, 25)[None]).logits)


def test_a_model_is_taken_with_all_that_belongs_to_it_and_nothing_else(place: Path) -> None:
    model = families.make("llama", place / "model")
    for name in ("pytorch_model.bin", "consolidated.safetensors", "modeling_mine.py", "README.md"):
        (model / name).write_text("")
    one = loading("model")
    load.make(one)
    files = set(manifest.check(folder_of(one))["files"])
    assert files == {"config.json", "model.safetensors", "tokenizer.json", "tokenizer_config.json"} | (
        {"chat_template.jinja", "generation_config.json"}
    )


def test_what_cannot_be_worked_with_is_refused_when_it_is_loaded(place: Path) -> None:
    model = families.make("llama", place / "model")
    tensors = load_file(model / "model.safetensors")
    save_file({**tensors, "v_head.weight": torch.zeros(3)}, model / "model.safetensors", metadata={"format": "pt"})
    one = loading("model")
    with pytest.raises(UserError, match=r"^model: tensor v_head\.weight is no part of the architecture"):
        load.make(one)
    assert not folder_of(one).exists()


MINE = """
from transformers import LlamaConfig, LlamaForCausalLM
class MineConfig(LlamaConfig):
    model_type = "mine"
class MineForCausalLM(LlamaForCausalLM):
    config_class = MineConfig
"""


def test_code_that_a_model_brings_is_run_with_consent_alone(place: Path) -> None:
    model = families.make("llama", place / "model")
    config = json.loads((model / "config.json").read_text())
    names = {"AutoConfig": "modeling_mine.MineConfig", "AutoModelForCausalLM": "modeling_mine.MineForCausalLM"}
    (model / "config.json").write_text(json.dumps({**config, "model_type": "mine", "auto_map": names}))
    (model / "modeling_mine.py").write_text(MINE)
    with pytest.raises(UserError, match="a model of type mine brings code of its own.*trust_remote_code: true"):
        load.make(loading("model"))
    one = loading("model", trust_remote_code=True)
    load.make(one)
    assert type(network.load(folder_of(one), torch.float32)).__name__ == "MineForCausalLM"


def test_code_beside_a_model_that_transformers_knows_is_left_where_it_is(place: Path) -> None:
    model = families.make("llama", place / "model")
    config = json.loads((model / "config.json").read_text())
    names = {"AutoConfig": "evil.Config", "AutoModelForCausalLM": "evil.Model"}
    (model / "config.json").write_text(json.dumps({**config, "auto_map": names}))
    (model / "evil.py").write_text("raise SystemExit('it ran')")
    one = loading("model")
    load.make(one)
    assert type(network.load(folder_of(one), torch.float32)).__name__ == "LlamaForCausalLM"


KINDS: dict[str, tuple[str, dict[str, Any]]] = {
    "all linear": ("llama", {}),
    "dora": ("llama", {"use_dora": True}),
    "rslora, ranks": ("llama", {"use_rslora": True, "rank_pattern": {"q_proj": 5}}),
    "embedding, head": ("llama", {"target_modules": ["q_proj", "embed_tokens"], "modules_to_save": ["lm_head"]}),
    "experts": ("mixtral", {}),
    "parameters": ("olmoe", {"target_modules": ["q_proj"], "target_parameters": ["mlp.experts.down_proj"]}),
    "wrapper": ("gemma3", {"target_modules": r".*language_model.*\.(q|v)_proj"}),
    "convolution": ("gpt2", {"target_modules": ["c_attn"], "fan_in_fan_out": True}),
}


@pytest.mark.parametrize("kind", KINDS)
def test_an_adapter_is_the_whole_model_that_it_makes_of_its_base(place: Path, kind: str) -> None:
    family, settings = KINDS[kind]
    model = families.make(family, place / "model")
    _, expected = adapter(model, place / "lora", **settings)
    load.make(loading("model"))
    one = adapting("lora", "base")
    adapt.make(one)
    torch.testing.assert_close(said(folder_of(one)), expected, atol=1e-3 * float(expected.abs().max()), rtol=1e-3)
    assert (expected - said(model)).abs().max() > 0.01 * expected.abs().max()
    described = manifest.check(folder_of(one))
    assert list(described["parents"]) == ["base"] and described["licences"] == {"base": "MIT"}
    old, new = (load_file(path / "model.safetensors") for path in (model, folder_of(one)))
    assert old.keys() == new.keys() and any(torch.equal(old[name], new[name]) for name in old)


def test_an_adapter_of_a_local_folder_needs_no_row_for_it(place: Path) -> None:
    model = families.make("llama", place / "model")
    _, expected = adapter(model, place / "lora")
    one = adapting("lora")
    adapt.make(one)
    torch.testing.assert_close(said(folder_of(one)), expected, atol=1e-3, rtol=1e-3)
    assert manifest.check(folder_of(one))["parents"] == {}


def test_the_tokenizer_that_an_adapter_was_trained_with_goes_along(place: Path) -> None:
    folder, _ = adapter(families.make("llama", place / "model"), place / "lora")
    (folder / "chat_template.jinja").write_text("{{ messages[0]['content'] }}")
    one = adapting("lora")
    adapt.make(one)
    assert (folder_of(one) / "chat_template.jinja").read_text() == "{{ messages[0]['content'] }}"


def test_another_base_or_other_numbers_make_another_key(place: Path) -> None:
    model = families.make("llama", place / "model")
    adapter(model, place / "lora")
    keys = {adapt.key(adapting("lora"))}
    config = json.loads((model / "config.json").read_text())
    (model / "config.json").write_text(json.dumps({**config, "rope_theta": 1.0}))
    keys.add(adapt.key(adapting("lora")))
    adapter(model, place / "lora", r=2)
    assert len(keys | {adapt.key(adapting("lora"))}) == 3


def test_an_adapter_of_another_model_is_refused(place: Path) -> None:
    adapter(families.make("llama", place / "model"), place / "lora")
    shutil.rmtree(place / "model")
    families.make("llama", place / "model", num_hidden_layers=1)
    with pytest.raises(UserError, match=r"^lora: .*layers\.1\..* is not both in adapter_model\.safetensors and in"):
        adapt.make(adapting("lora"))


def test_an_adapter_that_cannot_be_merged_is_refused_by_what_it_is(place: Path) -> None:
    folder, _ = adapter(families.make("llama", place / "model"), place / "lora")
    settings = json.loads((folder / "adapter_config.json").read_text())
    for changes in ({"peft_type": "NONESUCH"}, {"target_modules": ["nonesuch"]}, {"r": "many"}):
        (folder / "adapter_config.json").write_text(json.dumps({**settings, **changes}))
        with pytest.raises(UserError, match=r"^lora/adapter_config\.json: ") as caught:
            adapt.make(adapting("lora"))
        assert "\n" not in str(caught.value)
