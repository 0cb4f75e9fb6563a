"""The types of an experiment file: every key, its meaning, its unit and its default; a module per section of the file.

`config.schema.json` is generated from them (`python -m workflow_scripts.config > config.schema.json`), and a
test fails when the two differ.  What a single section can check is checked here; what spans sections is checked in the
room `experiment`.
"""

from typing import Annotated

from workflow_scripts.config.chat import Chat
from workflow_scripts.config.data import Mixture, Overlap, Source, Suite, Translator
from workflow_scripts.config.fields import structure
from workflow_scripts.config.generation import Generation
from workflow_scripts.config.judging import LLM, Judge
from workflow_scripts.config.machine import Budget, Lengths, Machine
from workflow_scripts.config.merging import MergingRow
from workflow_scripts.config.models import Architecture, Contrast, ModelRow
from workflow_scripts.config.paper import Bootstrap, FigureItem, Power, TableItem
from workflow_scripts.config.section import Distinct, Name, Names, Section, Seed
from workflow_scripts.config.training import Training


class Config(Section):
    """An experiment."""

    experiment: Annotated[Name, structure(description="its folder in results/")]
    seeds: Annotated[Distinct[Seed], structure(description="each is a whole chain: base, trainings, merges")]
    languages: Annotated[Names, structure()]
    sources: Annotated[dict[Name, Source], structure()]
    translators: dict[Name, Translator] = structure({}, description="what translates sources")
    mixtures: dict[Name, Mixture] = structure({}, description="what models are trained on")
    suites: Annotated[dict[Name, Suite], structure()]
    overlap: Overlap = structure(Overlap())
    chat: Chat = structure(Chat(), description="how conversations are written for loaded models")
    architectures: dict[Name, Architecture] = structure({})
    training: dict[Name, Training] = structure({})
    merging: dict[Name, MergingRow] = structure({})
    models: Annotated[dict[str, ModelRow], structure()]
    baseline: Annotated[Name, structure(description="the model that all are compared with")]
    keep_merges: bool = structure(
        True, description="false: weights of merges that are nobody's parent go once they have answered"
    )
    contrasts: dict[str, Contrast] = structure({}, description="name -> a mix against a merge")
    generation: Annotated[Generation, structure()]
    llms: dict[Name, LLM] = structure({}, description="language models that write: rephrase, complete, translate")
    judges: Annotated[dict[Name, Judge], structure()]
    machine: Machine = structure(Machine())
    lengths: Lengths = structure(Lengths())
    budget: Budget = structure(Budget())
    bootstrap: Bootstrap = structure(Bootstrap())
    power: Power = structure(Power())
    tables: dict[Name, TableItem] = structure({})
    figures: dict[Name, FigureItem] = structure({})
    reproduces: str | None = structure(None, description="a file of published/ whose values stand beside ours")
