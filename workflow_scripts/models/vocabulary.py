"""Whether a model has a row of its embedding for each token that its tokenizer makes."""

from collections.abc import Iterable
from pathlib import Path
from typing import Any

from workflow_scripts.base.errors import UserError
from workflow_scripts.models import directory

SHOWN = 5


class Vocabulary:
    """The tokens that a model directory knows: the rows of its embedding, by its config.json."""

    def __init__(self, model: Path, tokenizer: Any) -> None:
        """Of a model directory and transformers' tokenizer of it."""
        self.model, self.tokenizer = model, tokenizer
        config = directory.read_config(model)
        inner = config.get("text_config")
        sizes = [part.get("vocab_size") for part in (inner if isinstance(inner, dict) else {}, config)]
        self.size: int | None = next((size for size in sizes if isinstance(size, int)), None)

    def knows(self, token: int) -> bool:
        """Whether the embedding has a row for a token."""
        return self.size is None or token < self.size

    def check(self, tokens: Iterable[int]) -> None:
        """Refuse tokens beyond the embedding, as those are that were added to a tokenizer alone.

        Raises:
            UserError: there are some; with their ids and names.
        """
        beyond = sorted({token for token in tokens if not self.knows(token)})
        if beyond:
            named = ", ".join(f"{token} ({self.tokenizer.convert_ids_to_tokens(token)})" for token in beyond[:SHOWN])
            more = f" and {len(beyond) - SHOWN} more" if len(beyond) > SHOWN else ""
            raise UserError(
                f"{self.model}: its embedding has {self.size} rows (vocab_size), and the rows here have tokens beyond "
                f"it: {named}{more}; they were added to the tokenizer alone: resize the model's embedding for it "
                "(resize_token_embeddings) and save both"
            )

    def padding(self) -> int:
        """A token to pad with, which no model looks at: the tokenizer's own if the embedding has it, or another."""
        ids = (self.tokenizer.pad_token_id, self.tokenizer.eos_token_id)
        return next((int(token) for token in ids if token is not None and self.knows(token)), 0)
