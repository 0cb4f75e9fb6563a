import subprocess
import sys
from typing import Any

import pytest
import torch
from peft import LoraConfig, get_peft_model
from transformers import CohereConfig, CohereForCausalLM
from trl.trainer.utils import add_fused_lm_head

from workflow_scripts.config.training import Optimizer
from workflow_scripts.models import model_size, shape

AYA = {
    "hidden_size": 4096,
    "intermediate_size": 14336,
    "num_hidden_layers": 32,
    "num_attention_heads": 32,
    "num_key_value_heads": 8,
    "vocab_size": 256000,
    "use_qk_norm": False,
    "tie_word_embeddings": True,
}
SMALL = {**AYA, "hidden_size": 64, "intermediate_size": 224, "num_hidden_layers": 2, "num_attention_heads": 8}
SMALL |= {"num_key_value_heads": 2, "vocab_size": 50, "pad_token_id": 0, "bos_token_id": 1, "eos_token_id": 2}
FULL = {
    "method": "sft",
    "batch_size": 64,
    "accumulation": 64,
    "processes": 1,
    "parallel": "ddp",
    "optimizer": "adamw_torch",
    "max_length": 2048,
    "precision": "bfloat16",
    "weights": "float32",
    "gradient_checkpointing": True,
    "lora": None,
    "precompute_reference": False,
}
LORA = {"r": 2, "alpha": 4, "dropout": 0.0, "targets": "all-linear"}
CARD = 80e9


def total(**changes: Any) -> float:
    return model_size.training_memory(AYA, {**FULL, **changes}).total / 1e9


@pytest.mark.parametrize(
    "changes",
    [
        {},
        AYA,
        {"num_key_value_heads": None},
        {"use_qk_norm": True},
        {"tie_word_embeddings": False},
        {"attention_bias": True},
    ],
)
def test_parameters_are_those_that_transformers_makes(changes: dict) -> None:
    architecture = {**SMALL, **changes}
    with torch.device("meta"):
        model = CohereForCausalLM(CohereConfig(**architecture))
    assert model_size.parameters(architecture) == sum(p.numel() for p in model.parameters())


def test_aya_23_has_8_billion_parameters() -> None:
    assert model_size.parameters(AYA) == pytest.approx(8.03e9, rel=1e-3)
    assert model_size.model_bytes(AYA) == pytest.approx(16e9, rel=0.01)


@pytest.mark.parametrize("targets", ["all-linear", ["q_proj", "down_proj"]])
def test_adapters_are_as_large_as_peft_makes_them(targets: Any) -> None:
    lora = LoraConfig(r=2, target_modules=targets, task_type="CAUSAL_LM")
    model = get_peft_model(CohereForCausalLM(CohereConfig(**SMALL)), lora)
    made = sum(p.numel() for p in model.parameters() if p.requires_grad)
    assert model_size.lora_parameters(SMALL, {**LORA, "targets": targets}) == made


def saved(layers: int, settings: dict) -> float:
    """Bytes per token that autograd keeps of a forward pass, weights apart."""
    architecture = {**SMALL, "num_hidden_layers": layers}
    model = CohereForCausalLM(CohereConfig(**architecture)).train()
    add_fused_lm_head(model)
    if settings["gradient_checkpointing"]:
        model.gradient_checkpointing_enable(gradient_checkpointing_kwargs={"use_reentrant": False})
    if lora := settings["lora"]:
        adapters = LoraConfig(r=2, lora_dropout=lora["dropout"], target_modules="all-linear", task_type="CAUSAL_LM")
        model = get_peft_model(model.to(getattr(torch, settings["precision"])), adapters).train()
    ids = torch.randint(3, 50, (2, 96))
    kept: dict[int, torch.Tensor] = {}

    def keep(tensor: torch.Tensor) -> torch.Tensor:
        if tensor.ndim > 1 and tensor.numel() >= ids.numel() and not _is_weight(tensor):
            kept[tensor.untyped_storage().data_ptr()] = tensor
        return tensor

    is_half = settings["precision"] == "bfloat16"
    with (
        torch.autograd.graph.saved_tensors_hooks(keep, lambda tensor: tensor),
        torch.autocast("cpu", torch.bfloat16, enabled=is_half),
    ):
        model(input_ids=ids, attention_mask=torch.ones_like(ids), labels=ids, fused_lm_head=True)
    return sum(tensor.untyped_storage().nbytes() for tensor in kept.values()) / ids.numel()


def _is_weight(tensor: torch.Tensor) -> bool:
    base = tensor if tensor._base is None else tensor._base
    return base.shape[0] not in (2, 192) or base.ndim < 2 or base.shape[0] == 2 and base.ndim == 2


@pytest.mark.parametrize("checkpointing", [False, True])
@pytest.mark.parametrize(
    "changes",
    [
        {"precision": "float32"},
        {},
        {"lora": LORA, "precision": "float32"},
        {"lora": LORA},
        {"lora": {**LORA, "dropout": 0.1}},
    ],
)
def test_activations_of_a_layer_are_what_autograd_saves(changes: dict, checkpointing: bool) -> None:
    settings = {**FULL, "gradient_checkpointing": checkpointing, **changes}
    measured = saved(3, settings) - saved(2, settings)

    def estimated(layers: int) -> float:
        return model_size._activations(shape.of({**SMALL, "num_hidden_layers": layers}), settings)

    assert estimated(3) - estimated(2) == pytest.approx(measured, rel=0.1)


def test_adamw_in_float32_does_not_fit_an_8b_model_on_one_card_and_what_does_is_said() -> None:
    assert total() > 16 * 8.03  # ZeRO: 4 bytes of weights, 4 of gradients, 8 of Adam's states
    said = model_size.shortage(AYA, FULL, CARD)
    assert said and "\n" not in said
    for way in ("fsdp with processes: 4", "lora with precision: bfloat16", "optimizer: adamw_8bit"):
        assert way in said
    assert "processes" not in str(model_size.shortage(AYA, FULL, CARD, devices=1))


@pytest.mark.parametrize(
    "changes",
    [
        {"processes": 4, "parallel": "fsdp", "accumulation": 1},
        {"lora": LORA},
        {"weights": "bfloat16", "optimizer": "adamw_8bit"},
        {"method": "dpo", "lora": LORA},
    ],
)
def test_what_advice_names_fits(changes: dict) -> None:
    assert model_size.shortage(AYA, {**FULL, **changes}, CARD) is None


def test_memory_grows_with_what_costs_it() -> None:
    fused = {"optimizer": "adamw_torch_fused"}  # others have a step that needs more than the activations
    least = total(**fused)
    assert least < total()
    assert total(**fused, gradient_checkpointing=False) == pytest.approx(least + 2048 * 31 * 217e3 / 1e9, rel=0.02)
    assert total(**fused, accumulation=32) > least + 2048 * 33 * 4 * 4096 / 1e9
    assert total(**fused, method="dpo") > least + 4 * 8.03
    assert total(**fused, method="dpo", precompute_reference=True) < least + 2
    assert total(**fused, processes=8, parallel="ddp", accumulation=8) > least
    assert total(**fused, processes=8, parallel="fsdp", accumulation=8) < least / 4


def test_a_smaller_batch_is_offered_before_other_settings() -> None:
    greedy = {**FULL, "lora": LORA, "accumulation": 1, "gradient_checkpointing": False}
    assert "accumulation: 64 with gradient_checkpointing" in str(model_size.shortage(AYA, greedy, CARD))


def test_a_device_too_small_for_anything_is_said_to_be() -> None:
    assert "no smaller setting" in str(model_size.shortage(AYA, {**FULL, "lora": LORA}, 4e9))


def test_every_optimizer_of_the_config_has_its_size() -> None:
    assert set(model_size.OPTIMIZERS) == set(Optimizer.__args__)


@pytest.mark.parametrize("optimizer", ["adamw_torch", "adagrad", "rmsprop", "sgd"])
def test_torch_optimizers_keep_as_many_states_as_stated(optimizer: str) -> None:
    from transformers import Trainer, TrainingArguments

    layer = torch.nn.Linear(64, 64, bias=False)
    arguments = TrainingArguments(output_dir="unused", optim=optimizer, use_cpu=True, report_to="none")
    kind, options = Trainer.get_optimizer_cls_and_kwargs(arguments)
    made = kind(layer.parameters(), **options)
    layer(torch.ones(1, 64)).sum().backward()
    made.step()
    states = next(iter(made.state.values()), {})
    sizes = sum(value.numel() for value in states.values() if torch.is_tensor(value) and value.numel() > 1)
    assert sizes == model_size.OPTIMIZERS[optimizer].states * layer.weight.numel()


def test_generation_holds_weights_and_the_cache_of_a_batch() -> None:
    settings = {"precision": "bfloat16", "batch_size": 64, "max_model_len": 2048}
    memory = model_size.generation_memory(AYA, settings)
    assert memory.cache == 2 * 32 * 8 * 128 * 2 * 64 * 2048  # layers, heads, their width, bytes, answers, tokens
    assert model_size.generation_memory(AYA, settings, devices=2).weights == memory.weights / 2


def test_checkpoints_hold_weights_and_states() -> None:
    disk = model_size.training_disk(AYA, FULL)
    assert disk.kept == model_size.model_bytes(AYA)
    assert disk.peak == disk.kept + 2 * 12 * model_size.parameters(AYA)
    assert model_size.training_disk(AYA, {**FULL, "lora": LORA}).peak < 1.1 * disk.kept


def test_operations_are_six_a_parameter_and_token_and_those_of_attention() -> None:
    flops = model_size.training_flops(AYA, tokens=1e6, length=2048)
    assert flops == pytest.approx(1e6 * (6 * 8.03e9 + 12 * 32 * 4096 * 2048), rel=1e-3)
    assert model_size.training_flops(AYA, 1e6, 2048, full=False) == pytest.approx(flops * 4 / 6)
    assert model_size.generation_flops(AYA, 1e6, 2048) == pytest.approx(flops / 3)


def test_estimating_imports_nothing_heavy() -> None:
    heavy = "{'torch', 'numpy', 'transformers'}"
    code = f"import sys, workflow_scripts.models.model_size; assert not {heavy} & {{*sys.modules}}"
    subprocess.run([sys.executable, "-c", code], check=True)
