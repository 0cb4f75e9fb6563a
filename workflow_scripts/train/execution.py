"""Which settings of execution decide what a training learns.

A setting of execution says how a step's rows are spread over processes and forward passes, how often something is
logged, and the like.  It does not count as long as every step learns from the same rows, weighted alike: sums in
another order, or a dropout drawn elsewhere, give other bits of the same experiment.  It counts where it decides which
rows a step or a loss sees together.  Read in transformers 5.19, trl 1.16 and accelerate 1.15, and held by the tests:

  padding   accelerate fills the last batches of an epoch with rows from its beginning, so that each process has as many
            (BatchSamplerShard, even_batches), where the rows are no multiple of the batch.
  packing   The dataset is packs, whose number is not known before they are made: taken as no multiple.
  grouping  Rows are sorted by length within groups, whose size follows from the batch of one process
            (get_length_grouped_indices).

and what a method adds, in METHODS.  Nothing heavy is imported: recipes ask when the Snakefile is parsed.
"""

from collections.abc import Callable, Mapping
from typing import Any

Settings = Mapping[str, Any]  # of the config's `training`, every key stated

SETTINGS = frozenset(
    {
        "processes",
        "parallel",
        "accumulation",
        "threads",
        "gradient_checkpointing",
        "save_steps",
        "logging_steps",
        "precompute_reference",
    }
)
SPREAD = frozenset({"processes", "accumulation"})  # together with batch_size: the rows of one forward pass


def counting(settings: Settings, rows: int | None) -> set[str]:
    """The settings of execution that decide what a training learns.

    Two trainings with the same counting settings, and the same of all settings that are not of execution, see the same
    rows at each step; a training in which none counts sees those of one process that does not accumulate.

    Args:
        settings: of the training.
        rows: how many it learns from; None: unknown.
    """
    leftover = None if rows is None or settings["packing"] else rows % int(settings["batch_size"])
    method = METHODS.get(settings["method"])
    counts = set(method(settings, leftover) if method else SETTINGS)
    if settings["processes"] > 1 and leftover != 0:
        counts |= SPREAD
    if settings.get("router_aux_loss_coef"):  # of each forward pass by itself
        counts |= SPREAD
    if settings["length_grouping"]:
        counts.add("processes")
    return counts


def _dpo(settings: Settings, leftover: int | None) -> frozenset[str]:
    """The loss is the mean of the means of forward passes, so rows of a smaller one weigh more than others."""
    if settings["loss_type"] == "aot":  # sorts the pairs of a forward pass; the other losses are sums over pairs
        return SPREAD
    passed = int(settings["batch_size"]) // int(settings["accumulation"])
    is_even = leftover is not None and (leftover < passed or leftover % passed == 0)
    return frozenset() if settings["accumulation"] == 1 or is_even else frozenset({"accumulation"})


# What counts for a method, by its settings and the rows that its last step of an epoch has too few (0: none, None:
# unknown).  Of a method that is not here, every setting counts.
METHODS: dict[str, Callable[[Settings, int | None], frozenset[str]]] = {
    "sft": lambda *_: frozenset(),  # the loss is a mean over all tokens of a step
    "dpo": _dpo,
    "kto": lambda *_: SPREAD,  # answers of a forward pass are set against one another
}
