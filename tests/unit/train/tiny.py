"""Tiny models and rows that the tests of training share."""

import hashlib
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
import torch
from transformers import AutoModelForCausalLM, AutoTokenizer

from workflow_scripts.base import records
from workflow_scripts.train import random_model, trainer

ARCHITECTURE = {
    "hidden_size": 16,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "intermediate_size": 32,
    "logit_scale": 0.5,
    "use_qk_norm": False,
    "tie_word_embeddings": True,
    "initializer_range": 0.2,
    "max_position_embeddings": 64,
}


RECIPE = {
    "method": "sft",
    "seed": 3,
    "threads": 1,
    "epochs": 1,
    "batch_size": 4,
    "accumulation": 1,
    "processes": 1,
    "parallel": "ddp",
    "learning_rate": 1e-2,
    "scheduler": "constant",
    "scheduler_options": {},
    "warmup_steps": 0,
    "max_grad_norm": 1.0,
    "weight_decay": 0.0,
    "max_length": 40,
    "precision": "float32",
    "weights": "float32",
    "gradient_checkpointing": False,
    "packing": False,
    "length_grouping": False,
    "save_steps": 3,
    "logging_steps": 2,
    "optimizer": "adamw_torch",
    "betas": [0.9, 0.999],
    "epsilon": 1e-8,
    "precompute_reference": False,
    "beta": 0.5,
    "loss_type": "sigmoid",
    "label_smoothing": None,
    "desirable_weight": 1.0,
    "undesirable_weight": 1.0,
    "neftune_noise_alpha": None,
    "router_aux_loss_coef": None,
    "attn_implementation": None,
    "lora": None,
    "trust_remote_code": False,
}


LORA = {"r": 2, "alpha": 4, "dropout": 0.1, "targets": "all-linear"}


WAYS = {"sft": {}, "dpo": {"method": "dpo"}, "lora": {"lora": LORA}, "dpo-lora": {"method": "dpo", "lora": LORA}}


def table(prompts: list[str], completions: list[str | None], rejected: list[str | None]) -> pa.Table:
    return pa.Table.from_pylist(
        [
            {
                **dict.fromkeys(records.ROWS.names, None),
                **{"id": f"r{i}", "source_prompt_id": f"p{i}", "language": "en", "source": "s", "split": "train"},
                **{"prompt": prompt, "completion": completion, "rejected": other},
            }
            for i, (prompt, completion, other) in enumerate(zip(prompts, completions, rejected, strict=True))
        ],
        schema=records.ROWS,
    )


def words(start: int, count: int) -> str:
    return " ".join(f"w{(start * 7 + step * 3) % 29}" for step in range(count))


ROWS = table(
    [words(i, 2 + i % 5) for i in range(32)],
    [words(i + 1, 1 + i % 4) for i in range(32)],
    [words(i + 2, 1 + i % 3) for i in range(32)],
)


@pytest.fixture(scope="module")
def parent(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("models") / "init"
    random_model.initialise({"architecture": ARCHITECTURE, "seed": 0}, ROWS, path)
    return path


def bits(directory: Path) -> dict[str, str]:
    return {file.name: hashlib.sha256(file.read_bytes()).hexdigest() for file in sorted(directory.iterdir())}


def train(tmp: Path, parent: Path, name: str = "run", rows: pa.Table = ROWS, **changes: Any) -> tuple[dict, Path]:
    result = trainer.train({**RECIPE, **changes}, parent, rows, tmp / f"{name}.work", tmp / name)
    return result, tmp / name


def losses(result: dict) -> dict[int, float]:
    return {row["step"]: row["value"] for row in result["curve"].to_pylist() if row["metric"] == "loss"}


def log_probabilities(model: Path, rows: pa.Table, column: str) -> tuple[torch.Tensor, torch.Tensor]:
    """Sum of log p of each answer's tokens, and their number: by plain transformers, one row at a time."""
    network, tokenizer = AutoModelForCausalLM.from_pretrained(model), AutoTokenizer.from_pretrained(model)
    sums, counts = [], []
    for row in rows.to_pylist():
        start = f"<BOS_TOKEN><|START_OF_TURN_TOKEN|><|USER_TOKEN|>{row['prompt']}<|END_OF_TURN_TOKEN|>"
        prompt = tokenizer(f"{start}<|START_OF_TURN_TOKEN|><|CHATBOT_TOKEN|>")["input_ids"]
        answer = tokenizer(f"{row[column]}<|END_OF_TURN_TOKEN|>")["input_ids"]
        with torch.no_grad():
            scores = network(torch.tensor([prompt + answer])).logits[0, len(prompt) - 1 : -1].log_softmax(-1)
        sums.append(scores[range(len(answer)), answer].sum())
        counts.append(len(answer))
    return torch.stack(sums), torch.tensor(counts)
