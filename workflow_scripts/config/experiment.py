"""The types of an experiment file: every key, its meaning, its unit and its default; a module per section of the file.

`config.schema.json` is generated from them (`python -m workflow_scripts.config > config.schema.json`), and a
test fails when the two differ.  What a single section can check is checked here; what spans sections is checked in the
room `experiment`.
"""

from pydantic import Field

from workflow_scripts.config.data import Mixture, Overlap, Source, Suite, Translator
from workflow_scripts.config.generation import Generation
from workflow_scripts.config.judging import LLM, Judge
from workflow_scripts.config.machine import Budget, Lengths, Machine
from workflow_scripts.config.merging import Merging
from workflow_scripts.config.models import Architecture, Contrast, ModelRow
from workflow_scripts.config.paper import Bootstrap, FigureItem, Power, TableItem
from workflow_scripts.config.section import Distinct, Name, Names, Section, Seed
from workflow_scripts.config.training import Training


class Config(Section):
    """An experiment."""

    experiment: Name = Field(description="its folder in results/")
    seeds: Distinct[Seed] = Field(description="each is a whole chain: base, trainings, merges")
    languages: Names
    sources: dict[Name, Source]
    translators: dict[Name, Translator] = Field({}, description="what translates sources")
    mixtures: dict[Name, Mixture]
    suites: dict[Name, Suite]
    overlap: Overlap = Overlap()
    architectures: dict[Name, Architecture] = {}
    training: dict[Name, Training] = {}
    merging: dict[Name, Merging] = {}
    models: dict[str, ModelRow]
    baseline: Name = Field(description="the model that all are compared with")
    keep_merges: bool = Field(
        True, description="false: weights of merges that are nobody's parent go once they have answered"
    )
    contrasts: dict[str, Contrast] = Field({}, description="name -> a mix against a merge")
    generation: Generation
    llms: dict[Name, LLM] = Field({}, description="language models that write: rephrase, complete, translate")
    judges: dict[Name, Judge]
    machine: Machine = Machine()
    lengths: Lengths = Lengths()
    budget: Budget = Budget()
    bootstrap: Bootstrap = Bootstrap()
    power: Power = Power()
    tables: dict[Name, TableItem] = {}
    figures: dict[Name, FigureItem] = {}
    reproduces: str | None = Field(None, description="a file of published/ whose values stand beside ours")
