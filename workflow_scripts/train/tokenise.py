"""Turns rows into the tokens that a training method learns from."""

from pathlib import Path

import datasets
import pyarrow as pa
from transformers import AutoTokenizer

from workflow_scripts.base.errors import UserError
from workflow_scripts.train.methods._base import Example, Method, Recipe


def tokenise(recipe: Recipe, method: Method, parent: Path, rows: pa.Table) -> tuple[datasets.Dataset, int]:
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
