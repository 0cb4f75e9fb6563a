"""Turns rows into the tokens that a training method learns from."""

from pathlib import Path

import datasets
import pyarrow as pa

from workflow_scripts.base.errors import UserError
from workflow_scripts.models.chat import Chat
from workflow_scripts.models.chat_template import user
from workflow_scripts.train.methods._base import Example, Method, Recipe


def tokenise(recipe: Recipe, method: Method, parent: Path, rows: pa.Table) -> tuple[datasets.Dataset, int]:
    """Tokenise rows; also count those whose answer was cut.  Truncation happens here and nowhere else."""
    if not len(rows):
        raise UserError("mixture: no rows to train on")
    chat = Chat.open(parent)
    names, asked = rows["id"].to_pylist(), [user(prompt) for prompt in rows["prompt"].to_pylist()]
    prompts = chat.prompts(asked, names)
    answers: list[list[list[int]]] = [[] for _ in names]
    truncated = 0
    for column in method.answers:
        texts = rows[column].to_pylist()
        if None in texts:
            raise UserError(
                f"row {names[texts.index(None)]}: no {column}, which method {recipe['method']} needs; fix the source"
            )
        for name, prompt, answer, found in zip(
            names, prompts, chat.answers(asked, prompts, texts, names), answers, strict=True
        ):
            room = recipe["max_length"] - len(prompt)
            if room <= 0:
                raise UserError(
                    f"row {name}: its prompt alone has {len(prompt)} tokens, so max_length {recipe['max_length']}"
                    f" leaves nothing of the {column} to learn; raise max_length or drop the row"
                )
            if not answer:
                raise UserError(f"row {name}: its {column} is empty, so there is nothing to learn; drop the row")
            found.append(answer[:room])
            truncated += len(answer) > room
    features = [method.features(Example(*pair)) for pair in zip(prompts, answers, strict=True)]
    columns = {name: [row[name] for row in features] for name in features[0]}
    columns["length"] = [sum(map(len, [prompt, *said])) for prompt, said in zip(prompts, answers, strict=True)]
    return datasets.Dataset.from_dict(columns), truncated
