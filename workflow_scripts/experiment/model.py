"""A model of the expanded table, and what it is made from."""

from dataclasses import dataclass
from typing import Any

from workflow_scripts.config.chat import Chat
from workflow_scripts.config.experiment import Config
from workflow_scripts.config.merging import Merging
from workflow_scripts.config.models import Init, Load, Merge, Train
from workflow_scripts.config.training import Training
from workflow_scripts.merge import settings as merge_settings


@dataclass(frozen=True)
class Model:
    """A row of the expanded table of models."""

    name: str
    row: Load | Init | Train | Merge
    settings: Training | Merging | None  # what `train` or `merge` names, with the row's overrides
    parents: tuple[str, ...]  # in the order that the method sees

    @property
    def base(self) -> str | None:
        """The model from which task vectors are measured, where the method needs one."""
        return getattr(self.settings, "base", None)

    @property
    def needs(self) -> tuple[str, ...]:
        """Every model that must exist first."""
        return self.parents + ((self.base,) if self.base else ())

    def merge_recipe(self, seed: int) -> dict[str, Any]:
        """A merge as its method sees it: every parameter stated, one value per parent."""
        assert isinstance(self.settings, Merging)
        recipe = merge_settings.complete(self.settings, len(self.parents), self.base is not None)
        del recipe["tokenizer_from"]
        if (chosen := self.settings.tokenizer_from) is not None:
            recipe["tokenizer_from"] = self.needs.index(chosen)
        return recipe | ({"seed": recipe["seed"] + 1000 * seed} if recipe.get("seed") is not None else {})


def stated_chat(row: Load, config: Config) -> Chat:
    """What a loaded model's row and the experiment say together of its conversations."""
    return row.chat.over(config.chat) if row.chat else config.chat


def ancestry(name: str, models: dict[str, Model]) -> list[str]:
    """A model and all it was made from, each once."""
    seen = {name: None}
    pending = list(seen)
    for current in pending:
        needs = models[current].needs if current in models else ()
        pending += [need for need in dict.fromkeys(needs) if need not in seen]
        seen |= dict.fromkeys(needs)
    return list(seen)
