"""Builds TRL's trainer of a recipe."""

from functools import partial
from pathlib import Path
from typing import Any

import datasets
import pyarrow.compute as pc
import torch
from accelerate import PartialState
from accelerate.utils import DistributedType
from transformers import AutoTokenizer, PrinterCallback, ProgressCallback

from workflow_scripts.base.errors import UserError
from workflow_scripts.models import directory, model_size, network
from workflow_scripts.models.vocabulary import Vocabulary
from workflow_scripts.train import adapters, packing
from workflow_scripts.train.devices import is_sharded
from workflow_scripts.train.methods._base import Method, Recipe
from workflow_scripts.train.watch import Watch


def build(recipe: Recipe, method: Method, parent: Path, examples: datasets.Dataset, work: Path) -> Any:
    """TRL's trainer, with every setting that matters stated."""
    micro_batch, rest = divmod(recipe["batch_size"], recipe["accumulation"] * recipe["processes"])
    if rest:
        raise UserError(
            f"batch_size {recipe['batch_size']} is not a multiple of accumulation {recipe['accumulation']}"
            f" times processes {recipe['processes']}; make it one"
        )
    tokenizer = _tokenizer(parent, examples)
    sharded = is_sharded(recipe)
    dtype = getattr(torch, model_size.weights_dtype(recipe))
    model = _prepared(network.load(parent, dtype, recipe["attn_implementation"]))
    extra: dict[str, Any] = {}
    if recipe["lora"]:
        extra["peft_config"] = adapters.settings(recipe["lora"], model)
    elif method.reference and (sharded or not recipe["precompute_reference"]):
        # Stated, or TRL reloads it from wherever the model says it came from.  With LoRA: the model without adapters.
        # Computed beforehand: the model itself, which before training is the reference, but for one that is sharded
        # when training starts.
        extra["ref_model"] = network.load(parent, dtype, recipe["attn_implementation"])
    settings = dict(
        output_dir=str(work),
        seed=recipe["seed"],
        data_seed=recipe["seed"],
        num_train_epochs=recipe.get("epochs") or 1,
        max_steps=recipe.get("max_steps") or -1,
        per_device_train_batch_size=micro_batch * method.passes,
        gradient_accumulation_steps=recipe["accumulation"],
        learning_rate=recipe["learning_rate"],
        lr_scheduler_type=recipe["scheduler"],
        lr_scheduler_kwargs=recipe["scheduler_options"],
        warmup_steps=recipe["warmup_steps"],
        max_grad_norm=recipe["max_grad_norm"],
        weight_decay=recipe["weight_decay"],
        optim=recipe["optimizer"],
        adam_beta1=recipe["betas"][0],
        adam_beta2=recipe["betas"][1],
        adam_epsilon=recipe["epsilon"],
        use_cpu=not torch.cuda.is_available(),
        bf16=recipe["precision"] == "bfloat16",
        gradient_checkpointing=recipe["gradient_checkpointing"],
        gradient_checkpointing_kwargs={"use_reentrant": False} if recipe["gradient_checkpointing"] else None,
        train_sampling_strategy="group_by_length" if recipe["length_grouping"] else "random",
        remove_unused_columns=False,
        pad_to_multiple_of=None,
        save_strategy="steps",
        save_steps=recipe["save_steps"],
        save_total_limit=None,  # Watch deletes checkpoints, once a later one is whole
        logging_strategy="steps",
        logging_steps=recipe["logging_steps"],
        logging_nan_inf_filter=False,
        include_num_input_tokens_seen="non_padding",
        ddp_find_unused_parameters=False,
        dataloader_num_workers=0,
        dataloader_pin_memory=torch.cuda.is_available(),
        trust_remote_code=directory.has_code(parent),
        neftune_noise_alpha=recipe["neftune_noise_alpha"],
        router_aux_loss_coef=recipe["router_aux_loss_coef"],
        report_to="none",
    )
    try:
        arguments = method.arguments(**settings | method.settings(recipe))
    except ValueError as error:
        said = " ".join(str(error).split())
        raise UserError(f"training: {said}; correct this setting") from None
    if sharded and arguments.use_cpu:  # accelerate shards on accelerators alone, though torch does with gloo as well
        PartialState._shared_state["distributed_type"] = DistributedType.MULTI_GPU
    trainer = method.trainer(
        model=model,
        args=arguments,
        train_dataset=examples,
        processing_class=tokenizer,
        callbacks=[Watch()],
        **extra,
    )
    if recipe["packing"]:
        packing.check(trainer, parent)
    trainer.remove_callback(PrinterCallback)
    trainer.remove_callback(ProgressCallback)
    trainer.create_model_card = lambda *_, **__: None  # a checkpoint needs none
    return trainer


def _tokenizer(parent: Path, examples: datasets.Dataset) -> Any:
    """The parent's tokenizer, which pads with a token that the model has.

    Raises:
        UserError: examples have tokens that the model has not.
    """
    tokenizer = AutoTokenizer.from_pretrained(
        parent, local_files_only=True, trust_remote_code=directory.has_code(parent)
    )
    vocabulary = Vocabulary(parent, tokenizer)
    for name in examples.column_names:
        if name.endswith("_ids"):
            vocabulary.check(pc.unique(pc.list_flatten(examples.data.column(name))).to_pylist())
    if tokenizer.pad_token_id != (padding := vocabulary.padding()):
        tokenizer.pad_token = tokenizer.convert_ids_to_tokens(padding)
    return tokenizer


def _prepared(model: Any) -> Any:
    """A network to train: only what makes text of text is trained, and a checkpoint of it can be read back."""
    parts = network.text_parts(model)
    for name, parameter in model.named_parameters():
        if parts != [""] and not any(name.startswith(f"{part}.") for part in parts):
            parameter.requires_grad_(False)
    # The trainer reads a checkpoint back by the names in memory, and goes on without those that it does not find.
    model.save_pretrained = partial(model.save_pretrained, save_original_format=False)
    return model
