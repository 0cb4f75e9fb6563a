"""Low-rank adapters: put onto a network that is trained, and merged by peft into the model they belong to."""

import re
import tempfile
from pathlib import Path
from typing import Any

import torch
from peft import LoraConfig, PeftModel, inject_adapter_in_model
from peft.utils.error import NoMatchingPeftModuleError, PeftError

from workflow_scripts.base.errors import UserError
from workflow_scripts.models import canonical, contents, directory, network, tokenizer, writing

# Keys of `lora` by the names that peft has for them, where those are others.
PEFT = {"alpha": "lora_alpha", "dropout": "lora_dropout", "targets": "target_modules"}


# Kinds whose kernels read the weights of these maps past an adapter, so that peft refuses to adapt them.
STATE_SPACES = frozenset({"falcon_h1", "falcon_mamba", "mamba", "mamba2", "nemotron_h"})
NOT_ADAPTED = ("conv1d", "out_proj")


def settings(lora: dict[str, Any], outline: Any) -> LoraConfig:
    """Peft's settings of an adapter on a network.

    Args:
        lora: of `training`, every key stated.
        outline: the network, or its skeleton; of a multimodal wrapper only the language model is adapted.
    """
    given = {PEFT.get(key, key): value for key, value in lora.items() if value is not None}
    parts = network.text_parts(outline)
    others = [] if parts == [""] else [rf"(?!({'|'.join(map(re.escape, parts))})(\.|$)).*"]
    if lora["targets"] == "all-linear" and outline.config.model_type in STATE_SPACES:
        others.append(rf"(.*\.)?({'|'.join(NOT_ADAPTED)})")
    if others:
        given["exclude_modules"] = "|".join(others)
    return LoraConfig(task_type="CAUSAL_LM", **given)


def check(lora: dict[str, Any], parent: Path) -> None:
    """Whether each target is there and can be trained, on a skeleton, before rows are tokenised.

    Raises:
        UserError: a target matches nothing, is the output head, or is not what peft adapts.
    """
    outline = network.skeleton(parent)
    heads = [m for m in (outline.get_output_embeddings(), outline.get_input_embeddings()) if m is not None]
    if len(heads) == 2 and heads[0].weight is not heads[1].weight:
        heads = heads[:1]  # an embedding of its own may be adapted
    heads_called = [name for name, module in outline.named_modules() if any(module is head for head in heads)]
    linear = {name.rpartition(".")[2] for name, m in outline.named_modules() if isinstance(m, torch.nn.Linear)}
    kinds = ", ".join(sorted(linear - {name.rpartition(".")[2] for name in heads_called}))
    parameters = [name for name, _ in outline.named_parameters()]
    asked = settings(lora, outline)
    where = f"lora.targets: {{}} of {outline.config.model_type} ({parent})"
    try:
        inject_adapter_in_model(asked, outline, low_cpu_mem_usage=True)
    except NoMatchingPeftModuleError:
        named = ", ".join(lora["targets"]) if isinstance(lora["targets"], list) else lora["targets"]
        raise UserError(f"{where.format(f'there is no {named} in the language model')}; it has {kinds}") from None
    except (PeftError, ValueError, TypeError, NotImplementedError) as error:
        said = " ".join(str(error).split()).rstrip(".")[:250]
        kind = outline.config.model_type
        raise UserError(f"lora: {kind} ({parent}) cannot be adapted so: {said}; name targets among {kinds}") from None
    adapted = {name.removesuffix(".base_layer") for name, m in outline.named_modules() if hasattr(m, "lora_A")}
    for key in ("rank_pattern", "alpha_pattern"):
        for end in lora.get(key) or {}:
            if not any(re.fullmatch(rf"(.*\.)?({end})", name) for name in adapted):  # peft's own rule
                raise UserError(f"lora.{key}: {end} is the end of no adapted module's name; correct it")
    for end in lora.get("target_parameters") or ():
        if not any(name.endswith(f".{end}") for name in parameters):
            raise UserError(f"lora.target_parameters: {end} is the end of no parameter's name; correct it")
    for target in lora["targets"] if isinstance(lora["targets"], list) else []:
        matched = {name for name in adapted if name == target or name.endswith(f".{target}")}
        if target in (asked.target_modules or ()) and not matched:
            raise UserError(f"{where.format(f'there is no {target} in the language model')}; it has {kinds}")
        if head := sorted(matched & set(heads_called)):
            raise UserError(
                f"{where.format(f'{head[0]} is the output head')}, whose loss is computed from its weight without an "
                f"adapter, which would not be trained; leave {target} out"
            )


def merged(parent: Path, trained: PeftModel, state: dict[str, torch.Tensor]) -> tuple[Any, dict[str, torch.Tensor]]:
    """The parent with a trained adapter in it, in float32, and its tensors.

    From the parent's own numbers, not from those that training rounded to its precision.

    Args:
        parent: the model directory that training started from.
        trained: the network with its adapter.
        state: its tensors, of all ranks together.
    """
    with tempfile.TemporaryDirectory() as folder:
        trained.save_pretrained(folder, state_dict=state, save_embedding_layers=False)
        whole = merge(network.load(parent, torch.float32), Path(folder))
    return whole, whole.state_dict()


def merge(base: Any, adapter: Path) -> Any:
    """A network with an adapter merged into it by peft: any kind that peft can merge (LoRA, DoRA, rsLoRA, of experts).

    Args:
        base: the network, in float32.
        adapter: folder of adapter_config.json and adapter_model.safetensors.
    """
    with network.explained(adapter, file=contents.ADAPTER):
        model = PeftModel.from_pretrained(base, adapter, autocast_adapter_dtype=False)
        report = model.load_adapter(str(adapter), "default", autocast_adapter_dtype=False)  # from_pretrained drops it
        if lost := sorted({*report.missing_keys, *report.unexpected_keys}):
            raise UserError(
                f"{adapter}: {lost[0]} is not both in {contents.ADAPTER_WEIGHTS} and in the model that it is for; "
                f"correct `base`, or {contents.ADAPTER}"
            )
        return model.merge_and_unload()


def adapt(adapter: Path, base: Path, output: Path) -> None:
    """Write the whole model that an adapter makes of its base, with the adapter's own tokenizer where it has one.

    Args:
        adapter: folder of the adapter.
        base: the model directory that it was trained on.
        output: the model directory to write.

    Raises:
        UserError: the adapter is not for this model, or is of a kind that cannot be merged.
    """
    contents.of_adapter(adapter)
    with network.quiet():
        layout = canonical.layout(base)
        whole = merge(network.load(base, torch.float32), adapter)
        writing.write(whole, whole.state_dict(), base, layout, output, "look at the adapter's training")
        directory.copy_companions(adapter, output)
        tokenizer.complete(output)
