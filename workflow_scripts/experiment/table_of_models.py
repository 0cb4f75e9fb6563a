"""From the file as written to the experiment: grids expanded, everything that spans sections checked, all at once."""

from dataclasses import dataclass
from functools import cached_property
from typing import Any

from workflow_scripts.config.data import DatasetSource, FileSource
from workflow_scripts.config.experiment import Config
from workflow_scripts.config.models import Load, Merge, Train
from workflow_scripts.config.training import Training
from workflow_scripts.experiment import (
    check_chat,
    check_data,
    check_items,
    check_judges,
    check_models,
    grid,
    sources,
    training_data,
)
from workflow_scripts.experiment.config_errors import ConfigError, Errors, parse
from workflow_scripts.experiment.model import Model, ancestry


@dataclass(frozen=True, eq=False)  # by identity, so that what is found out about one can be cached
class Experiment:
    """A valid experiment; made by `load`."""

    config: Config
    models: dict[str, Model]

    @cached_property
    def evaluated(self) -> list[str]:
        """Names of the models that answer the suites."""
        return [name for name, model in self.models.items() if model.row.evaluate]

    def temporary(self, name: str) -> bool:
        """Whether the weights go once the model has answered: a merge that is nobody's parent, if the config says."""
        is_needed = any(name in other.needs for other in self.models.values())
        return isinstance(self.models[name].row, Merge) and not self.config.keep_merges and not is_needed

    def origin(self, source: str) -> str:
        """What the rows of a source go back to: sources of one origin have the same `source_prompt_id` for a prompt."""
        root = self.config.sources[sources.lineage(source, self.config)[-1]]
        if isinstance(root, DatasetSource):
            return f"dataset {root.dataset}"
        return f"file {root.file}" if isinstance(root, FileSource) else "world"

    def spoken(self, source: str) -> list[str] | None:
        """The languages of a source; None where only its file says them."""
        return sources.spoken(source, self.config)

    def ancestry(self, name: str) -> list[str]:
        """The model and all it was made from, each once."""
        return ancestry(name, self.models)

    def learned(self, name: str) -> training_data.Learned:
        """What a model learned from after the baseline."""
        before = set(self.ancestry(self.config.baseline))
        after = [self.models[m] for m in self.ancestry(name) if m not in before]
        trained = [self.training(model) for model in after if isinstance(model.row, Train)]
        loaded = [training_data.stated(model.name, model.row) for model in after if isinstance(model.row, Load)]
        return training_data.together(trained + loaded)

    def training(self, model: Model) -> training_data.Learned:
        """What the training of a model learns from."""
        assert isinstance(model.row, Train) and isinstance(model.settings, Training)
        mixture = self.config.mixtures[model.row.mixture]
        languages = list(mixture.languages or self.config.languages)
        return training_data.training(training_data.draws(mixture, model.row, languages), model.settings)


def load(raw: dict[str, Any]) -> Experiment:
    """Check and expand an experiment.

    Raises:
        ConfigError: with a line for every mistake: the key, what is wrong, what to do.
    """
    errors = Errors()
    config = parse(raw, errors)
    models = grid.expand(config, errors)
    experiment = Experiment(config, models)
    for section in ("suites", "judges", "models"):
        if not getattr(config, section) and errors.complete(section):
            errors.add(section, "is empty; add one")
    check_data.check(config, errors)
    check_models.check(config, models, errors)
    check_chat.check(config, models, errors)
    check_judges.check(config, models, errors)
    check_items.check(config, models, errors)
    if not errors.lines:
        _check_contrasts(experiment, errors)
    if errors.lines:
        raise ConfigError(errors.lines)
    return experiment


def _check_contrasts(experiment: Experiment, errors: Errors) -> None:
    for name, contrast in experiment.config.contrasts.items():
        mix, merge = experiment.learned(contrast.mix), experiment.learned(contrast.merge)
        if contrast.matched != "none" and contrast.matched not in training_data.matched_on(mix, merge):
            sides = f"{contrast.mix} has {mix.rows} rows and {mix.examples} examples"
            others = f"{contrast.merge} has {merge.rows} and {merge.examples}"
            what = f"not matched on {contrast.matched} ({sides}, {others})"
            if not (mix.is_known and merge.is_known):
                what = "what a loaded model learned from is not known; state `learned` in its row"
            errors.add(f"contrasts.{name}.matched", f"{what}; fix a side, or say none")
