"""Whether a model directory can be worked with, on a CPU and without reading its weights."""

import json
from pathlib import Path

from transformers import GenerationConfig

from workflow_scripts.base.errors import UserError
from workflow_scripts.models import canonical, directory, network, tokenizer

GENERATION = "generation_config.json"
# Fields that say how to sample, which do not pass transformers' own check in a file that does not say to sample.
SAMPLING = frozenset({"temperature", "top_p", "top_k", "top_h", "min_p", "typical_p", "epsilon_cutoff", "eta_cutoff"})


def check(model: Path) -> None:
    """Compare tensors with config.json, and see to the tokenizer and to what `generate` reads.

    A model without tokenizer.json gets it, and a generation_config.json loses what keeps transformers from saving it.

    Raises:
        UserError: something is missing, broken or contradicts something else; it is said what.
    """
    with network.quiet():
        canonical.layout(model)
        tokenizer.complete(model)
        _mend(model)


def _mend(model: Path) -> None:
    """Leave sampling fields out of a generation_config.json that does not sample; Llama 2 and Vicuna have such."""
    path = model / GENERATION
    if not path.exists():
        return
    given = directory.read_object(path)
    for kept in (given, {key: value for key, value in given.items() if key not in SAMPLING}):
        try:
            GenerationConfig.from_dict(kept).validate(strict=True)
        except (ValueError, TypeError, AttributeError, KeyError) as error:
            said = " ".join(str(error).split())[:300]
        else:
            if kept != given:
                path.write_text(json.dumps(kept, indent=2, sort_keys=True, ensure_ascii=False) + "\n", encoding="utf-8")
            return
    raise UserError(f"{path}: is not what transformers takes ({said}); correct it, or remove it")
