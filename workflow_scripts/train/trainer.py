"""Makes models: random ones from an architecture, and trained ones from a parent (TRL's SFT and DPO).

Three rules hold throughout.  Training changes weights and nothing else, so a trained model is its parent's directory
with other numbers in it: the same tensor names, data type, configuration and tokenizer.  The same recipe gives the same
bits, in a cold process, a forked one, or one that was killed and resumed.  Steps are counted in a hook on optimizer.
"""

import gc
import importlib.util
import json
import math
import os
import re
import shutil
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

import datasets
import huggingface_hub.constants
import pyarrow as pa
import torch
import transformers
from accelerate import PartialState
from accelerate.utils import DistributedType
from accelerate.utils.fsdp_utils import fsdp2_prepare_model
from huggingface_hub.errors import StrictDataclassError
from safetensors import safe_open
from safetensors.torch import load_file, save_file
from tokenizers import Tokenizer, models, pre_tokenizers
from torch.utils.data import DataLoader
from tqdm import tqdm  # type: ignore[import-untyped]
from transformers import (
    AutoModelForCausalLM,
    AutoTokenizer,
    CohereConfig,
    CohereForCausalLM,
    GenerationConfig,
    PreTrainedTokenizerFast,
    PrinterCallback,
    ProgressCallback,
    TrainerCallback,
)
from trl import DPOConfig, DPOTrainer, SFTConfig, SFTTrainer
from trl.trainer import dpo_trainer

from workflow_scripts.base import records, work_counter
from workflow_scripts.base.errors import UserError, is_out_of_memory
from workflow_scripts.models import directory, model_size

Recipe = dict[str, Any]

PAD, UNKNOWN, BOS = "<PAD>", "<UNK>", "<BOS_TOKEN>"
TURN, USER, CHATBOT, END = "<|START_OF_TURN_TOKEN|>", "<|USER_TOKEN|>", "<|CHATBOT_TOKEN|>", "<|END_OF_TURN_TOKEN|>"
SPECIAL = [PAD, UNKNOWN, BOS, TURN, USER, CHATBOT, END]

# Aya's form: https://huggingface.co/CohereLabs/aya-23-8B (tokenizer_config.json).  The prompt with generation prompt is
# a prefix of prompt and completion, so that generation sees exactly what training saw.
TEMPLATE = (
    "{{ bos_token }}{% for message in messages %}"
    "{% if message['role'] == 'user' %}{{ '" + TURN + USER + "' + message['content'] }}"
    "{% elif message['role'] == 'assistant' %}{{ '" + TURN + CHATBOT + "' + message['content'] }}"
    "{% else %}{{ raise_exception('only user and assistant turns') }}{% endif %}{{ '" + END + "' }}{% endfor %}"
    "{% if add_generation_prompt %}{{ '" + TURN + CHATBOT + "' }}{% endif %}"
)

REFERENCE = "reference.safetensors"  # log-probabilities of the answers by the model that training started from
SIDES = ("chosen", "rejected")
ADAPTER = re.compile(r"\.lora_A\.default\.weight$")  # of peft, beside one with B
MARKER = "whole.json"  # in a checkpoint: the size of each file, written last

SIZED = ("cohere",)  # architectures whose memory `estimate` knows

# What the trainer logs about time, or about this process rather than the whole run.
UNREPEATABLE = ("train_", "epoch", "step", "num_tokens", "num_input_tokens_seen", "total_flos")


class Example(NamedTuple):
    """One row in tokens."""

    prompt: list[int]
    answers: list[list[int]]  # SFT: the completion; DPO: the chosen and the rejected one


class Method(NamedTuple):
    """What sets one way of training apart from another."""

    answers: tuple[str, ...]  # columns of ROWS that are answers to the prompt
    features: Callable[[Example], dict[str, Any]]  # an example as the trainer's collator wants it
    trainer: Callable[..., Any]
    arguments: Callable[..., Any]
    settings: Callable[[Recipe], dict[str, Any]]  # the arguments that only this method has
    reference: bool  # is the loss measured against the starting weights?


class _PairTrainer(DPOTrainer):  # type: ignore[misc]
    """DPOTrainer on rows that are tokenised already, which SFTTrainer can do by a setting."""

    ref_model: Any

    def _prepare_dataset(self, dataset: Any, *_: Any) -> Any:
        return dataset

    def _precompute_ref_logps(self, dataset: Any, name: str, batch_size: int) -> Any:
        """The reference's log-probabilities of all answers, computed once and kept for a training that is resumed.

        TRL's own keeps them in a temporary folder per process, where other processes do not find them.
        """
        kept = Path(self.args.output_dir) / REFERENCE
        if not kept.exists():
            loader = DataLoader(dataset, batch_size=batch_size, collate_fn=self.data_collator, shuffle=False)
            model = self.ref_model or self.model
            was_training = model.training
            model.eval()  # no dropout in what is measured against
            pairs = [
                [side.cpu() for side in self.accelerator.gather_for_metrics(self.compute_ref_log_probs(model, batch))]
                for batch in self.accelerator.prepare(loader)
            ]
            model.train(was_training)
            if self.accelerator.is_main_process:
                columns = {
                    f"ref_{side}_logps": torch.cat(parts)
                    for side, parts in zip(SIDES, zip(*pairs, strict=True), strict=True)
                }
                kept.parent.mkdir(parents=True, exist_ok=True)
                save_file(columns, kept.with_suffix(".partial"))
                kept.with_suffix(".partial").replace(kept)
            self.accelerator.wait_for_everyone()
        self.ref_model = None
        for column, values in load_file(kept).items():
            dataset = dataset.add_column(column, values.tolist())
        return dataset


METHODS = {
    "sft": Method(
        answers=("completion",),
        features=lambda example: {
            "input_ids": example.prompt + example.answers[0],
            "labels": [-100] * len(example.prompt) + example.answers[0],
        },
        trainer=SFTTrainer,
        arguments=SFTConfig,
        settings=lambda recipe: {
            "packing": recipe["packing"],
            "completion_only_loss": True,
            "shuffle_dataset": False,
            # Rows come with their labels; all that is left to prepare is the packing.
            "dataset_kwargs": {"skip_prepare_dataset": not recipe["packing"]},
            "max_length": recipe["max_length"] if recipe["packing"] else None,
        },
        reference=False,
    ),
    "dpo": Method(
        answers=("completion", "rejected"),
        features=lambda example: {
            "prompt_ids": example.prompt,
            "chosen_ids": example.answers[0],
            "rejected_ids": example.answers[1],
        },
        trainer=_PairTrainer,
        arguments=DPOConfig,
        settings=lambda recipe: {
            "beta": recipe["beta"],
            "loss_type": [recipe["loss_type"]],
            "precompute_ref_log_probs": recipe["precompute_reference"],
            "max_length": None,
        },
        reference=True,
    ),
}


def initialise(recipe: Recipe, rows: pa.Table, output: Path) -> None:
    """Write a random Cohere model and a tokenizer of the words in some rows.

    Args:
        recipe: `architecture`, the fields of transformers' CohereConfig, and `seed`.
        rows: of schema records.ROWS; the words of prompts and answers become the vocabulary.
        output: the model directory to write.

    Raises:
        UserError: the architecture is not one that CohereConfig accepts, or the rows hold no word.
    """
    quieten()
    words = {
        word
        for column in ("prompt", "completion", "rejected")
        for text in rows[column].unique().to_pylist()
        for word in (text or "").split()
    }
    if not words:
        raise UserError("tokenizer: its mixture holds no text; give it rows")
    vocabulary = {word: index for index, word in enumerate([*SPECIAL, *sorted(words - set(SPECIAL))])}
    words_alone = Tokenizer(models.WordLevel(vocabulary, unk_token=UNKNOWN))
    words_alone.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
    tokenizer = PreTrainedTokenizerFast(
        tokenizer_object=words_alone,
        pad_token=PAD,
        unk_token=UNKNOWN,
        bos_token=BOS,
        eos_token=END,
        additional_special_tokens=[TURN, USER, CHATBOT],
        clean_up_tokenization_spaces=False,
        padding_side="left",
        chat_template=TEMPLATE,
    )
    ids = {"bos_token_id": vocabulary[BOS], "eos_token_id": vocabulary[END], "pad_token_id": vocabulary[PAD]}
    if unknown := sorted(recipe["architecture"].keys() - CohereConfig.__dataclass_fields__.keys()):
        raise UserError(f"architecture: no field is called {unknown[0]}; see transformers' CohereConfig for its fields")
    torch.manual_seed(recipe["seed"])
    try:
        model = CohereForCausalLM(CohereConfig(**recipe["architecture"], vocab_size=len(vocabulary), **ids)).float()
    except (TypeError, ValueError, RuntimeError, StrictDataclassError) as error:
        raise UserError(f"architecture: {_line(error)}; see transformers' CohereConfig for its fields") from None
    model.generation_config = GenerationConfig(**ids)
    output.mkdir(parents=True, exist_ok=True)
    model.save_pretrained(output, max_shard_size="1TB")
    tokenizer.save_pretrained(output)


def train(recipe: Recipe, parent: Path, rows: pa.Table, work: Path, output: Path) -> dict[str, Any]:
    """Train a parent model on rows, from the last whole checkpoint in `work` if there is one.

    Args:
        recipe: every setting, see the keys read below; none has a default here.  With more `processes` than one, this
            is called in each of them (see `launch`), and `batch_size` is still that of an optimizer step.
        parent: the model directory to start from, and DPO's reference.
        rows: of schema records.ROWS, in the order that the seed shuffles.
        work: where checkpoints survive a kill; belongs to this recipe and these inputs alone.
        output: the model directory to write; only the process of rank 0 writes.

    Returns:
        `cost`: rows (unique ones), examples (rows seen, with repeats), tokens (of prompts and answers seen), steps (of
        the optimizer); `truncated`: answers that lost their end to max_length; `curve`: a table of records.CURVE.

    Raises:
        UserError: rows that cannot be trained on, a broken parent, too little memory, or a loss that is not finite.
    """
    method = METHODS[recipe["method"]]
    quieten()
    _check_devices(recipe, parent)
    gc.freeze()  # accelerate collects garbage before it trains: half a second among the objects that imports made
    torch.set_num_threads(recipe["threads"])
    tensors = directory.tensors(parent)
    examples, truncated = _examples(recipe, method, parent, rows)
    with _memory_in_words(recipe), _nothing_halfway(work):
        trainer = _trainer(recipe, method, parent, examples, work)
        whole = _last_whole(work)
        trainer.train(resume_from_checkpoint=str(whole) if whole else None)
        _write(trainer, recipe, parent, tensors, output)
    state = trainer.state
    return {
        "cost": {
            "rows": len({*zip(rows["source"].to_pylist(), rows["id"].to_pylist(), strict=True)}),
            "examples": _seen(state.global_step, len(trainer.train_dataset), trainer.args, len(rows)),
            "tokens": int(state.num_input_tokens_seen),
            "steps": state.global_step,
        },
        "truncated": truncated,
        "curve": _curve(state.log_history),
    }


def quieten() -> None:
    """Keep the libraries' notices, progress bars and telemetry off; errors still come as exceptions."""
    huggingface_hub.constants.HF_HUB_DISABLE_TELEMETRY = True
    transformers.utils.logging.set_verbosity_error()
    transformers.utils.logging.disable_progress_bar()
    datasets.disable_progress_bars()


def _examples(recipe: Recipe, method: Method, parent: Path, rows: pa.Table) -> tuple[datasets.Dataset, int]:
    """Tokenise rows; also count those whose answer was cut.  Truncation happens here and nowhere else."""
    if not len(rows):
        raise UserError("mixture: no rows to train on")
    tokenizer = AutoTokenizer.from_pretrained(
        parent, local_files_only=True, trust_remote_code=recipe["trust_remote_code"]
    )
    names, prompts = rows["id"].to_pylist(), rows["prompt"].to_pylist()

    def encode(answers: list[str] | None) -> list[list[int]]:
        turns = [[{"role": "user", "content": prompt}] for prompt in prompts]
        for turn, answer in zip(turns, answers or [], strict=False):
            turn.append({"role": "assistant", "content": answer})
        texts = tokenizer.apply_chat_template(turns, tokenize=False, add_generation_prompt=answers is None)
        return list(tokenizer(texts, add_special_tokens=False)["input_ids"])

    prompt_ids = encode(None)
    answer_ids: list[list[list[int]]] = [[] for _ in names]
    truncated = 0
    for column in method.answers:
        texts = rows[column].to_pylist()
        if None in texts:
            raise UserError(
                f"row {names[texts.index(None)]}: no {column}, which method {recipe['method']} needs; fix the source"
            )
        for name, head, ids, answers in zip(names, prompt_ids, encode(texts), answer_ids, strict=True):
            if ids[: len(head)] != head:
                raise UserError(
                    f"{parent}: by its chat template the prompt is no prefix of prompt and answer (row {name});"
                    " correct the template"
                )
            answers.append(ids[len(head) : recipe["max_length"]])
            if not answers[-1]:
                raise UserError(
                    f"row {name}: its prompt alone has {len(head)} tokens, so max_length {recipe['max_length']} leaves"
                    f" nothing of the {column} to learn; raise max_length or drop the row"
                )
            truncated += len(ids) > recipe["max_length"]
    features = [method.features(Example(*pair)) for pair in zip(prompt_ids, answer_ids, strict=True)]
    columns = {name: [row[name] for row in features] for name in features[0]}
    columns["length"] = [sum(map(len, [head, *answers])) for head, answers in zip(prompt_ids, answer_ids, strict=True)]
    return datasets.Dataset.from_dict(columns), truncated


def _trainer(recipe: Recipe, method: Method, parent: Path, examples: datasets.Dataset, work: Path) -> Any:
    """TRL's trainer, with every setting that matters stated."""
    micro_batch, rest = divmod(recipe["batch_size"], recipe["accumulation"] * recipe["processes"])
    if rest:
        raise UserError(
            f"batch_size {recipe['batch_size']} is not a multiple of accumulation {recipe['accumulation']}"
            f" times processes {recipe['processes']}; make it one"
        )
    bfloat16, is_sharded = recipe["precision"] == "bfloat16", _is_sharded(recipe)
    dtype = getattr(torch, model_size.weights_dtype(recipe))
    extra: dict[str, Any] = {}
    if recipe["lora"]:
        from peft import LoraConfig

        lora = recipe["lora"]
        extra["peft_config"] = LoraConfig(
            r=lora["r"],
            lora_alpha=lora["alpha"],
            lora_dropout=lora["dropout"],
            target_modules=lora["targets"],
            task_type="CAUSAL_LM",
        )
    elif method.reference and (is_sharded or not recipe["precompute_reference"]):
        # Stated, or TRL reloads it from wherever the model says it came from.  With LoRA: the model without adapters.
        # Computed beforehand: the model itself, which before training is the reference, but for one that is sharded
        # when training starts.
        extra["ref_model"] = _load(recipe, parent, dtype)
    settings = dict(
        output_dir=str(work),
        seed=recipe["seed"],
        data_seed=recipe["seed"],
        num_train_epochs=recipe.get("epochs") or 1,
        max_steps=recipe.get("max_steps") or -1,
        per_device_train_batch_size=micro_batch,
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
        bf16=bfloat16,
        gradient_checkpointing=recipe["gradient_checkpointing"],
        gradient_checkpointing_kwargs={"use_reentrant": False} if recipe["gradient_checkpointing"] else None,
        train_sampling_strategy="group_by_length" if recipe["length_grouping"] else "random",
        remove_unused_columns=False,
        pad_to_multiple_of=None,
        save_strategy="steps",
        save_steps=recipe["save_steps"],
        save_total_limit=None,  # _Watch deletes checkpoints, once a later one is whole
        logging_strategy="steps",
        logging_steps=recipe["logging_steps"],
        logging_nan_inf_filter=False,
        include_num_input_tokens_seen="non_padding",
        ddp_find_unused_parameters=False,
        dataloader_num_workers=0,
        dataloader_pin_memory=torch.cuda.is_available(),
        trust_remote_code=recipe["trust_remote_code"],
        report_to="none",
        **method.settings(recipe),
    )
    try:
        arguments = method.arguments(**settings)
    except ValueError as error:
        raise UserError(f"training: {_line(error)}; correct this setting") from None
    if is_sharded:
        _prepare_sharding(arguments)
    tokenizer = AutoTokenizer.from_pretrained(
        parent, local_files_only=True, trust_remote_code=recipe["trust_remote_code"]
    )
    trainer = method.trainer(
        model=_load(recipe, parent, dtype),
        args=arguments,
        train_dataset=examples,
        processing_class=tokenizer,
        callbacks=[_Watch()],
        **extra,
    )
    trainer.remove_callback(PrinterCallback)
    trainer.remove_callback(ProgressCallback)
    trainer.create_model_card = lambda *_, **__: None  # a checkpoint needs none
    return trainer


def _is_sharded(recipe: Recipe) -> bool:
    return bool(recipe["processes"] > 1 and recipe["parallel"] == "fsdp")


def _prepare_sharding(arguments: Any) -> None:
    """Have DPO's reference split layer by layer, as the model is, and let CPUs rehearse what GPUs do."""
    # TRL would gather the whole reference for each of its forward passes.
    dpo_trainer.prepare_fsdp = lambda model, accelerator: fsdp2_prepare_model(accelerator, model).eval()
    if arguments.use_cpu:  # accelerate shards on accelerators alone, though torch does with gloo as well
        PartialState._shared_state["distributed_type"] = DistributedType.MULTI_GPU


def _load(recipe: Recipe, parent: Path, dtype: torch.dtype) -> Any:
    return AutoModelForCausalLM.from_pretrained(
        parent, dtype=dtype, local_files_only=True, trust_remote_code=recipe["trust_remote_code"]
    )


class _Watch(TrainerCallback):  # type: ignore[misc]
    """Counts real steps, marks whole checkpoints, shows progress, and stops a training that has diverged."""

    def on_train_begin(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        if state.is_world_process_zero:
            optimizer = getattr(kwargs["optimizer"], "optimizer", kwargs["optimizer"])
            self.hook = optimizer.register_step_post_hook(lambda *_: work_counter.count("optimizer_steps"))
        self.bar = tqdm(
            total=state.max_steps,
            initial=state.global_step,
            unit="step",
            mininterval=1 if sys.stderr.isatty() else 30,
            disable=not state.is_local_process_zero,
        )

    def on_step_end(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        self.bar.update()
        if control.should_save or control.should_training_stop:
            control.should_log = True  # a checkpoint does not hold the sums of what was not logged yet
        if control.should_training_stop:
            control.should_save = False  # the model itself is written next

    def on_log(self, args: Any, state: Any, control: Any, logs: dict[str, float], **kwargs: Any) -> None:
        if "loss" in logs:
            self.bar.set_postfix(loss=f"{logs['loss']:.3f}", refresh=False)
            if not (math.isfinite(logs["loss"]) and math.isfinite(logs.get("grad_norm", 0.0))):
                raise UserError(
                    f"training diverged at step {state.global_step} (loss {logs['loss']}); lower learning_rate"
                )

    def on_save(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        if torch.distributed.is_initialized():
            torch.distributed.barrier()  # every rank has written its part
        if not state.is_world_process_zero:
            return
        checkpoint = Path(args.output_dir) / f"checkpoint-{state.global_step}"
        sizes = {
            str(file.relative_to(checkpoint)): file.stat().st_size for file in checkpoint.rglob("*") if file.is_file()
        }
        (checkpoint / MARKER).write_text(json.dumps(sizes, sort_keys=True))
        for older in Path(args.output_dir).glob("checkpoint-*"):
            if older != checkpoint:
                shutil.rmtree(older)

    def on_train_end(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        self.bar.close()


def _last_whole(work: Path) -> Path | None:
    """The last checkpoint whose files are all as long as its marker says; others, cut off by a kill, are deleted."""
    whole = []
    for checkpoint in work.glob("checkpoint-*"):
        try:
            sizes = json.loads((checkpoint / MARKER).read_text())
            if any((checkpoint / name).stat().st_size != size for name, size in sizes.items()):
                raise OSError("truncated")
        except (OSError, ValueError):
            shutil.rmtree(checkpoint)
        else:
            whole.append(checkpoint)
    return max(whole, key=lambda path: int(path.name.rpartition("-")[2]), default=None)


DTYPES = {"F32": torch.float32, "F16": torch.float16, "BF16": torch.bfloat16, "F64": torch.float64}


def _write(trainer: Any, recipe: Recipe, parent: Path, tensors: dict[str, directory.Tensor], output: Path) -> None:
    """Write the parent's directory with the trained weights in it."""
    state = trainer.accelerator.get_state_dict(trainer.model_wrapped)  # of all ranks together
    if not trainer.is_world_process_zero():
        return
    if recipe["lora"]:
        state = _adapted(parent, recipe["lora"], state)
    if missing := sorted(tensors.keys() - state.keys()):
        raise UserError(
            f"{parent}: tensor {missing[0]} is not part of the architecture in its config.json; correct the model"
        )
    trained = {name: state[name].to("cpu", DTYPES[tensors[name].dtype]).contiguous() for name in sorted(tensors)}
    for name, tensor in trained.items():
        if not tensor.isfinite().all():
            raise UserError(f"training diverged: {name} is not finite; lower learning_rate")
    output.mkdir(parents=True, exist_ok=True)
    save_file(trained, output / "model.safetensors", metadata={"format": "pt"})
    config = directory.read_config(parent)
    config.pop("_name_or_path", None)
    (output / "config.json").write_text(json.dumps(config, indent=2, sort_keys=True) + "\n")
    directory.copy_companions(parent, output)


def _adapted(parent: Path, lora: dict[str, Any], state: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    """The parent's weights plus what the adapters learned, alpha / r times B A, in float32.

    From the parent's own numbers, not from those that training rounded to its precision.
    """
    weights = {}
    for path in directory.weight_files(parent):
        with safe_open(path, framework="pt") as file:
            weights.update({name: file.get_tensor(name).float() for name in file.keys()})  # noqa: SIM118 (not a dict)
    for name, tensor in state.items():
        if ADAPTER.search(name) is None:
            continue
        adapted, other = (
            ADAPTER.sub(".weight", name).removeprefix("base_model.model."),
            name.replace("lora_A", "lora_B"),
        )
        delta = state[other].to("cpu", torch.float32) @ tensor.to("cpu", torch.float32)
        weights[adapted] += delta * (lora["alpha"] / lora["r"])
    return weights


def _seen(steps: int, items: int, arguments: Any, rows: int) -> int:
    """Rows seen in `steps` of the optimizer over a dataset of `items`, which are rows, or packs of them."""
    each = arguments.per_device_train_batch_size * arguments.gradient_accumulation_steps * arguments.world_size
    epochs, part = divmod(steps, math.ceil(items / each))
    return int(round((epochs * items + part * each) * rows / items))


def _curve(history: list[dict[str, float]]) -> pa.Table:
    """The trainer's log as rows of schema records.CURVE."""
    points = [
        {"step": int(entry["step"]), "metric": metric, "value": float(value)}
        for entry in history
        for metric, value in sorted(entry.items())
        if not metric.startswith(UNREPEATABLE) and isinstance(value, int | float)
    ]
    return pa.Table.from_pylist(points, schema=records.CURVE)


def _check_devices(recipe: Recipe, parent: Path) -> None:
    """Whether each process has a device of its own, and the device the memory.

    Raises:
        UserError: it does not; says what would do.
    """
    if recipe["optimizer"].endswith("bit") and not importlib.util.find_spec("bitsandbytes"):
        raise UserError(f"optimizer: {recipe['optimizer']} needs bitsandbytes; install it, or choose another")
    started = int(os.environ.get("WORLD_SIZE", 1)) if torch.distributed.is_torchelastic_launched() else 1
    if started != recipe["processes"]:
        raise UserError(f"processes: {recipe['processes']}, but {started} started; start as many (see `launch`)")
    devices = torch.cuda.device_count()
    if not devices:
        return
    if devices < recipe["processes"]:
        raise UserError(f"processes: {recipe['processes']}, but {devices} GPUs are visible; use as many at the most")
    if devices > 1 and started == 1:
        raise UserError("CUDA_VISIBLE_DEVICES: one process sees several GPUs; name one, or set `processes`")
    architecture = directory.read_config(parent)
    if architecture.get("model_type") not in SIZED:
        return
    free, _ = torch.cuda.mem_get_info(int(os.environ.get("LOCAL_RANK", 0)))
    if why := model_size.fits(architecture, recipe, free, devices):
        raise UserError(f"training: {why}")


@contextmanager
def _nothing_halfway(work: Path) -> Iterator[None]:
    """After an error, leave whole checkpoints alone, and no others: a full disk has no room for halves."""
    try:
        yield
    except Exception:
        if os.environ.get("RANK", "0") == "0":
            _last_whole(work)
        raise


@contextmanager
def _memory_in_words(recipe: Recipe) -> Iterator[None]:
    """Say what to change where memory does not suffice."""
    try:
        yield
    except (RuntimeError, MemoryError) as error:
        if not is_out_of_memory(error):
            raise
        ways = ["a smaller batch_size or a larger accumulation"]
        ways += [] if recipe["gradient_checkpointing"] else ["gradient_checkpointing: true"]
        ways += [] if recipe["lora"] else ["lora"]
        ways += [] if _is_sharded(recipe) else ["more processes with parallel: fsdp"]
        raise UserError(f"out of memory while training ({_line(error)[:120]}); try {', '.join(ways)}") from None


def _line(error: BaseException) -> str:
    return " ".join(str(error).split())
