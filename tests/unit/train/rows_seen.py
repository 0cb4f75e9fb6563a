"""Records which rows each optimizer step sees, in the forward passes of every process."""

import json
import os
from collections import Counter
from pathlib import Path

import pytest
from transformers import AutoTokenizer, Trainer

from tests.unit.train.tiny import table, words

ROWS = table(
    [f"row{i} {words(i, 1 + i % 7)}" for i in range(32)],
    [words(i + 1, 1 + i % 4) for i in range(32)],
    [words(i + 2, 1 + i % 3) for i in range(32)],
)


def record(folder: Path, patch: pytest.MonkeyPatch) -> None:
    """Have every step write the tokens of its forward passes to a file per process."""
    take = Trainer.get_batch_samples
    folder.mkdir(parents=True, exist_ok=True)

    def take_and_write(trainer, *arguments, **named):
        taken = take(trainer, *arguments, **named)
        with (folder / f"rank{os.environ.get('RANK', 0)}").open("a") as file:
            file.write(json.dumps([batch["input_ids"].flatten().tolist() for batch in taken[0]]) + "\n")
        return taken

    patch.setattr(Trainer, "get_batch_samples", take_and_write)


def by_step(folder: Path, model: Path) -> list[Counter]:
    """How often each step saw each row (twice, where it has two answers)."""
    tokenizer = AutoTokenizer.from_pretrained(model)
    row = {tokenizer.convert_tokens_to_ids(f"row{i}"): i for i in range(len(ROWS))}
    ranks = [[json.loads(line) for line in file.read_text().splitlines()] for file in sorted(folder.iterdir())]
    return [
        Counter(row[token] for step in steps for batch in step for token in batch if token in row)
        for steps in zip(*ranks, strict=True)
    ]
