"""Whether rows that are packed into one sequence stay apart in a network, which not every kind of network can do."""

from pathlib import Path
from typing import Any

import torch

from workflow_scripts.base.errors import UserError

SHORT = 8  # tokens of a row that are tried
SEEN = 0.01  # of the spread of a network's logits: rounding is far less, and what another row says far more


def check(trainer: Any, parent: Path) -> None:
    """Try it, with the trainer's own collator, on the first tokens of two rows, of which the first is then exchanged.

    Attention is kept within a row by masks that follow the positions, or by kernels that are told where rows begin.
    Networks without either (alibi, learned positions, state spaces, short convolutions) let rows see one another.

    Raises:
        UserError: what the network says of the second row depends on the first.
    """
    first, second, other = ((trainer.train_dataset[0]["input_ids"] * 3)[at : at + SHORT] for at in (0, 1, 2))
    model = trainer.accelerator.unwrap_model(trainer.model)
    was_training = model.training
    model.eval()
    with torch.no_grad():
        said = [_logits(trainer, model, before, second) for before in (first, other[::-1])]
    model.train(was_training)
    if (said[0] - said[1]).abs().max() > SEEN * said[0].std():
        kind, attention = model.config.model_type, model.config._attn_implementation
        raise UserError(
            f"packing: rows in one pack see one another in a model of type {kind} ({parent}) with attn_implementation "
            f"{attention}; set packing: false"
        )


def _logits(trainer: Any, model: Any, first: list[int], second: list[int]) -> torch.Tensor:
    """What a network says of a row that stands behind another in a pack."""
    lengths = [len(first), len(second)]
    pack = {"input_ids": first + second, "labels": first + second, "seq_lengths": lengths}
    batch = trainer.data_collator([pack])
    batch.pop("labels")
    device = next(model.parameters()).device
    given = {name: value.to(device) if isinstance(value, torch.Tensor) else value for name, value in batch.items()}
    return torch.as_tensor(model(**given, use_cache=False).logits[0, len(first) :].float())
