"""The recipe of every artifact: the one string that Snakemake compares, and what decides its content.

A recipe is the canonical JSON of
  stage  the command that makes the artifact
  work   exactly what its content depends on besides its inputs: settings, seeds, the work function's code, versions
  names  which inputs, in order: Snakemake must see them change, the store's keys must not
  code   the rest of the stage's code: an edit there runs the stage again, which finds its work in the store
"""

import importlib.metadata
import json
from collections.abc import Iterable, Mapping
from functools import cache
from typing import Any, NamedTuple

from workflow_scripts.base import hashing
from workflow_scripts.config.data import DatasetSource, LlmTranslator, ModelTranslator, SynthesisSource, TranslateSource
from workflow_scripts.config.experiment import Config
from workflow_scripts.config.judging import LLM
from workflow_scripts.config.models import Init, Load, Merge, Train
from workflow_scripts.config.training import Training
from workflow_scripts.data import allocation
from workflow_scripts.data.formats import FORMATS
from workflow_scripts.experiment import fingerprint, training_data
from workflow_scripts.experiment.model import Model
from workflow_scripts.experiment.table_of_models import Experiment
from workflow_scripts.generate.engines import ENGINES
from workflow_scripts.llm import prompts
from workflow_scripts.llm.request import RULES
from workflow_scripts.metrics import METRICS
from workflow_scripts.metrics.measures import MEASURES
from workflow_scripts.miniature.words import LEXICON
from workflow_scripts.paper import published
from workflow_scripts.paper.kinds import COMPARING, MEASURING
from workflow_scripts.process import job

# stage -> the function whose result is the work, and the packages whose versions that result depends on
WORK: dict[str, tuple[str, str, tuple[str, ...]]] = {
    "source": ("data.source", "rows", ()),
    "dataset": ("data.dataset", "rows", ()),
    "translate": (
        "data.translate",
        "derive",
        ("lingua-language-detector",),
    ),  # its translator adds its own
    "overlap": ("data.overlap", "find", ()),
    "synthesise": ("data.synthesise", "rows", ("lingua-language-detector",)),
    "mixture": ("data.mixture", "draw", ()),
    "suite": ("data.suite", "choose", ()),
    "initialise": ("train.random_model", "initialise", ("torch", "transformers", "tokenizers")),
    "load": ("train.load", "fetch", ()),
    "train": ("train.trainer", "train", ("torch", "transformers", "trl", "accelerate", "peft")),
    "merge": ("merge.with_mergekit", "merge", ("torch", "mergekit")),
    "generate": ("generate.engine", "start", ()),  # the engine adds its own versions to the store's key
    "submit": ("judge.questions", "requests", ()),
    "collect": ("llm.batches", "collect", ()),
    "judge": ("judge.scores", "judge", ()),
    "table": ("paper.table", "render", ()),
    "figure": ("paper.drawing", "draw", ("matplotlib",)),
}
ACCESS = {
    "api_base",
    "concurrency",
    "rpm",
    "tpm",
    "timeout",
    "retries",
    "batch",
    "poll",
}  # how an LLM is reached: not what it says
BATCHING = {"batch_size"}  # how a translator works: not what it says, but for the last bits of a float
RESUMING = {"save_steps"}  # how a training is kept safe: not what it learns
UNREAD = {"sft": {"beta", "loss_type", "precompute_reference"}, "dpo": {"packing"}}  # settings of the other method
ALONE = {"parallel": "ddp"}  # how several processes work together; a single one has nobody to work with
GREEDY = {"top_p": 1.0, "seed": 0}  # what sampling depends on; without it they stand so, whatever the config says


class Judged(NamedTuple):
    """What one job of judging is about."""

    judge: str
    model: str | None  # None: a labelled suite's own answers
    suite: str
    against: str | None = None  # a model that is not the baseline

    @property
    def path(self) -> str:
        """Where its scores lie, in the folder of the seed."""
        versus = f".vs.{self.against}" if self.against else ""
        return f"scores/{self.judge}/{self.model}/{self.suite}{versus}.parquet"


class Recipes:
    """The recipes of one experiment."""

    def __init__(self, experiment: Experiment) -> None:
        self.experiment, self.config = experiment, experiment.config

    def source(self, name: str) -> str:
        """Rows of a source."""
        chosen = self.config.sources[name]
        if isinstance(chosen, DatasetSource):
            work = {**chosen.model_dump(exclude={"licence"}), "name": name, "languages": self.experiment.spoken(name)}
            licence = chosen.licence or FORMATS[chosen.format].licence
            row = fingerprint.of(f"data.formats.{chosen.format}")
            return _recipe("dataset", work, {"licence": licence}, row)
        if isinstance(chosen, TranslateSource):
            return self._translation(name, chosen)
        if isinstance(chosen, SynthesisSource):
            return self._synthesis(name, chosen)
        source = chosen.model_dump()
        languages = source.pop("languages", None) or self.config.languages
        words = _lexicon() if "world" in source else {}
        return _recipe("source", {**source, "languages": languages, "name": name, "lexicon": words}, {})

    def mixture(self, name: str) -> str:
        """Rows of a training set."""
        mixture = self.config.mixtures[name].model_dump()
        parts = [[part, fraction] for part, fraction in mixture.pop("parts").items()]
        languages = mixture.pop("languages") or self.config.languages
        return _recipe(
            "mixture", {**mixture, "parts": parts, "languages": languages}, {"sources": [p for p, _ in parts]}
        )

    def suite(self, name: str) -> str:
        """Prompts of a suite."""
        suite = self.config.suites[name].model_dump(exclude={"metric", "answers_in"})
        languages = suite.pop("languages") or self.config.languages
        return _recipe("suite", {**suite, "languages": languages}, {"source": suite["source"]})

    def model(self, name: str, seed: int) -> str:
        """A model, however it is made."""
        model = self.experiment.models[name]
        match model.row:
            case Load():
                work = model.row.model_dump(exclude={"evaluate", "architecture", "licence"})
                return _recipe("load", work, {"model": name, "licence": model.row.licence})
            case Init():
                work = {
                    "architecture": self.config.architectures[model.row.init].model_dump(exclude_unset=True),
                    "seed": 1000 * seed + model.row.seed,
                }
                return _recipe("initialise", work, {"model": name, "mixture": model.row.tokenizer})
            case Train():
                return _recipe(
                    "train",
                    self._train(model, seed),
                    {"model": name, "parent": model.row.parent, "mixture": model.row.mixture},
                )
            case Merge():
                names = {"model": name, "parents": list(model.parents), "base": model.base}
                return _recipe("merge", model.merge_recipe(seed), names)

    def compared(self) -> tuple[list[str], list[str]]:
        """The mixtures that trainings learn from, and the suites: what must have nothing in common."""
        learned = {model.row.mixture for model in self.experiment.models.values() if isinstance(model.row, Train)}
        return [name for name in self.config.mixtures if name in learned], list(self.config.suites)

    def overlap(self) -> str:
        """What training and evaluation have in common."""
        mixtures, suites = self.compared()
        sources = [part for mixture in mixtures for part in self.config.mixtures[mixture].parts]
        sources += [self.config.suites[suite].source for suite in suites]
        work = {
            **self.config.overlap.model_dump(),
            "origins": {source: self.experiment.origin(source) for source in sources},
        }
        return _recipe("overlap", work, {"mixtures": mixtures, "suites": suites})

    def generation(self, model: str) -> str:
        """The answers of a model to all suites."""
        work = self.config.generation.model_dump()
        work |= {} if work["temperature"] else GREEDY
        chosen = [work["engine"]] if work["engine"] in ENGINES else ENGINES  # auto: which one, the machine decides
        names = {"model": model, "suites": self.answered_suites()}
        return _recipe("generate", work, names, _rows("generate.engines", chosen))

    def answered_suites(self) -> list[str]:
        """The suites that models answer: all but those that bring their answers along."""
        return [name for name, suite in self.config.suites.items() if not METRICS[suite.metric].labelled]

    def judgment(self, judge: str, model: str | None, suite: str, against: str | None = None) -> str:
        """The scores of a model's answers to a suite; `against` another model than the baseline, if given."""
        chosen = self.config.suites[suite]
        metric = METRICS[chosen.metric]
        settings = self.config.judges[judge].model_dump(exclude=ACCESS | {"harm", "preference", "models"})
        prompt = prompts.template(getattr(self.config.judges[judge], metric.prompt))
        names = {
            "model": model,
            "judge": judge,
            "suite": suite,
            "baseline": (against or self.config.baseline) if metric.compares else None,
        }
        if settings["model"].startswith(RULES):
            # As providers name their snapshots: other rules or other faults, other requests.
            settings["model"] += f"-{_rules()}"
            if settings["faults"]:
                settings["model"] += f"-{hashing.of_json(settings['faults'])[:8]}"
        looks = chosen.answers_in == "prompt" and not metric.labelled
        languages = sorted(self.config.languages) if looks else None
        work = {**settings, "metric": chosen.metric, "prompt": prompt, "languages": languages}
        return _recipe("judge", work, names, _rows("metrics", [chosen.metric]))

    def batch(self, judge: str, model: str | None) -> str:
        """What a judge is asked about a model, in one go; about the labelled sets where the model is None."""
        asked = [one for one in self.judged(judge) if one.model == model]
        labelled = [Judged(judge, None, suite) for of, suite in self.labelled() if of == judge and model is None]
        judgments = [json.loads(self.judgment(*one)) for one in (*asked, *labelled)]
        prompts = {one["work"]["metric"]: one["work"]["prompt"] for one in judgments}
        settings = self.config.judges[judge].model_dump(include=set(LLM.model_fields) - ACCESS)
        questions = [
            {"metric": one["work"]["metric"], **{name: one["names"][name] for name in ("suite", "baseline")}}
            for one in judgments
        ]
        work = {"settings": settings, "prompts": prompts, "questions": questions}
        return _recipe("submit", work, {"judge": judge, "model": model}, _rows("metrics", prompts))

    def collection(self, judge: str, model: str | None) -> str:
        """The answers of a judge to what it was asked about a model."""
        return _recipe("collect", {}, {"judge": judge, "model": model})

    def judged(self, judge: str) -> list[Judged]:
        """Everything that a judge is asked, but for labelled answers: each model and suite, and the contrasts."""
        config, chosen = self.config, self.config.judges[judge].models
        models = [m for m in self.experiment.evaluated if chosen is None or m in {*chosen, config.baseline}]
        compared = [name for name in self.answered_suites() if METRICS[config.suites[name].metric].compares]
        found = [
            Judged(judge, model, suite)
            for model in models
            for suite in self.answered_suites()
            if model != config.baseline or suite not in compared  # the baseline is not compared with itself
        ]
        sides = {(c.merge, c.mix): None for c in config.contrasts.values() if {c.merge, c.mix} <= set(models)}
        pairs = [pair for pair in sides if config.baseline not in pair]
        return found + [Judged(judge, merge, suite, mix) for merge, mix in pairs for suite in compared]

    def labelled(self) -> list[tuple[str, str]]:
        """Judge and suite of every labelled set that measures a judge."""
        suites = [name for name, suite in self.config.suites.items() if METRICS[suite.metric].labelled]
        return [(judge, suite) for judge in self.config.judges for suite in suites]

    def item_scores(self, section: str, name: str) -> list[Judged]:
        """The scores that a table or figure is made from."""
        item = _items(self.config, section)[name]
        if getattr(item, "kind", "") == "curves":
            return []
        chosen = item.suites or list(self.config.suites)
        if item.kind not in MEASURING:
            models = set(self.item_models(section, name))
            direct = "direct" in item.metrics
            scores = [s for s in self.judged(self.judge_of(section, name)) if s.suite in chosen and s.model in models]
            return [s for s in scores if s.against is None or (direct and s.against in models)]
        scores = [
            s for judge in self.config.judges for s in self.judged(judge) if s.against is None and s.suite in chosen
        ]
        common = set.intersection(*({s.model for s in self.judged(judge)} for judge in self.config.judges))
        wanted = common & {self.config.baseline, *_cells(item)} if item.rows else common
        return [s for s in scores if s.model in wanted]

    def item_labels(self, section: str, name: str) -> list[tuple[str, str]]:
        """Judge and suite of the labelled sets that a table is made from."""
        return self.labelled() if _items(self.config, section)[name].kind in MEASURING else []

    def table(self, name: str) -> str:
        """A table."""
        return _recipe("table", self._item("tables", name), {}, self._item_rows("tables", name))

    def figure(self, name: str) -> str:
        """A figure."""
        return _recipe("figure", self._item("figures", name), {}, self._item_rows("figures", name))

    def item_models(self, section: str, name: str) -> list[str]:
        """The models whose scores a table or figure is made from, the baseline first; or whose curves it shows."""
        item = _items(self.config, section)[name]
        cells = [m for pair in self._pairs(item) for m in pair] + _cells(item)
        baseline = [] if item.kind == "curves" else [self.config.baseline]
        return list(dict.fromkeys([*baseline, *cells]))

    def judge_of(self, section: str, name: str) -> str:
        """The judge of a table or figure."""
        return _items(self.config, section)[name].judge or next(iter(self.config.judges))

    def how(self) -> str:
        """What changes how work is done and never what it gives: handed over beside the recipe, never compared."""
        budget = {"budget": self.config.budget.usd}
        judges = {name: judge.model_dump(include=ACCESS) | budget for name, judge in self.config.judges.items()}
        llms = {name: llm.model_dump(include=ACCESS) | budget for name, llm in self.config.llms.items()}
        training = {
            name: model.settings.model_dump(include=RESUMING)
            for name, model in self.experiment.models.items()
            if isinstance(model.settings, Training)
        }
        translators = {
            name: llms[translator.llm]
            if isinstance(translator, LlmTranslator)
            else translator.model_dump(include=BATCHING)
            for name, translator in self.config.translators.items()
        }
        machine = self.config.machine.model_dump(include={"waiting_merges"})
        how = {"judges": judges, "llms": llms, "training": training, "translators": translators, "machine": machine}
        return hashing.canonical(how)

    def _translation(self, name: str, source: TranslateSource) -> str:
        """Rows with their translations; `translator` is all that decides what a piece becomes."""
        translator = self.config.translators[source.translator]
        asked: dict[str, Any] = translator.model_dump(exclude=BATCHING | {"licence"})
        licence = translator.licence
        if isinstance(translator, ModelTranslator):
            asked["code"] = fingerprint.of("data.nllb", "Engine")
            licence = licence or ("CC-BY-NC-4.0" if translator.model.startswith("facebook/nllb") else None)
        else:
            asked["llm"] = self.config.llms[translator.llm].model_dump(exclude=ACCESS)
            asked |= {"prompt": prompts.template(translator.prompt), "label": source.translator}
        work = {
            **source.model_dump(include={"languages", "minimum"}),
            "name": name,
            "order": self.config.languages,
            "translator": asked,
        }
        names = {"source": source.translate, "translator": source.translator, "licence": licence}
        return _recipe("translate", work, names)

    def _synthesis(self, name: str, source: SynthesisSource) -> str:
        """Rows made from seeds; of who is asked, what they are told, and nothing of how they are reached."""
        config = self.config
        completers = [{"key": key, **config.llms[key].model_dump(exclude=ACCESS)} for key in source.completers]
        judge = config.judges[source.judge]
        asked = {"key": source.judge, **judge.model_dump(include=set(LLM.model_fields) - ACCESS)}
        work = {
            **source.model_dump(include={"variants", "splits", "benign", "pairs"}),
            "name": name,
            "languages": source.languages or config.languages,
            "prompt": prompts.template(source.prompt),
            "rephraser": {"key": source.rephraser, **config.llms[source.rephraser].model_dump(exclude=ACCESS)},
            "completers": completers,
            "judge": {**asked, "harm": prompts.template(judge.harm)},
        }
        return _recipe("synthesise", work, {"seeds": source.synthesise}, _rows("metrics", ["harm"]))

    def _train(self, model: Model, seed: int) -> dict[str, Any]:
        assert isinstance(model.row, Train) and isinstance(model.settings, Training)
        select = model.row.model_dump(include={"languages", "parts", "per_language"})
        fractions = self.config.mixtures[model.row.mixture].parts
        counts = allocation.allocate(model.row.per_language, fractions) if model.row.per_language else None
        settings = model.settings.model_dump(exclude=RESUMING | UNREAD[model.settings.method])
        settings |= {} if settings["processes"] > 1 else ALONE
        return {**settings, "select": {**select, "per_language": counts}, "seed": 1000 * seed + model.row.reseed}

    def _item(self, section: str, name: str) -> dict[str, Any]:
        """What an item needs beside the scores: resampling, what each model learned, contrasts, published values.

        Rows and contrasts are lists of pairs, since their order is that of the item, and canonical JSON keeps no other.
        """
        config, item = self.config, _items(self.config, section)[name]
        learned = {model: self.experiment.learned(model) for model in self.item_models(section, name)}
        return {
            "item": name,
            "spec": item.model_dump(exclude={"rows", "contrasts"}),
            "rows": [[row, cell if isinstance(cell, str) else list(cell.items())] for row, cell in item.rows.items()],
            "judge": self.judge_of(section, name),
            "faults": {judge: j.faults.model_dump() for judge, j in config.judges.items() if j.faults}
            if item.kind in MEASURING
            else {},
            "bootstrap": config.bootstrap.model_dump(),
            "alpha": config.power.alpha,
            "matters": {"harm": config.power.harm.matters, "win": config.power.win.matters},
            "baseline": config.baseline,
            "languages": config.languages,
            "learned": {m: {"rows": v.rows, "examples": v.examples, "steps": v.steps} for m, v in learned.items()},
            "matched": [[a, b, training_data.matched_on(learned[a], learned[b])] for a, b in self._pairs(item)],
            "contrasts": [[name, config.contrasts[name].model_dump()] for name in self._contrasts(item)],
            "published": _published(config.reproduces, name),
        }

    def _item_rows(self, section: str, name: str) -> dict[str, str]:
        """The code of the item's kind and of the measures that it prints."""
        item = _items(self.config, section)[name]
        # Captions say how harmful the baseline is; lengths are controlled for by wins.
        measures = {*item.metrics, "harmful", "win"} & set(MEASURES)
        metrics = {metric for measure in measures if (metric := MEASURES[measure].metric)}
        kind = _rows(f"paper.{section}", [item.kind])
        return {**kind, **_rows("metrics.measures", measures), **_rows("metrics", metrics)}

    def _contrasts(self, item: Any) -> list[str]:
        """The contrasts that an item prints."""
        return (item.contrasts or list(self.config.contrasts)) if item.kind in COMPARING else []

    def _pairs(self, item: Any) -> list[tuple[str, str]]:
        """(model, reference) for every comparison that an item prints."""
        if item.kind in COMPARING:
            chosen = [self.config.contrasts[name] for name in self._contrasts(item)]
            return [(contrast.merge, contrast.mix) for contrast in chosen]
        if item.reference is None:
            return []
        reference = item.rows[item.reference]
        pairs = []
        for cell in item.rows.values():
            if isinstance(cell, str):
                pairs += [(cell, reference)] if isinstance(reference, str) else []
            elif isinstance(reference, dict):
                pairs += [(model, reference[group]) for group, model in cell.items() if group in reference]
            else:
                pairs += [(model, reference) for model in cell.values()]
        return pairs


def _cells(item: Any) -> list[str]:
    return [m for cell in item.rows.values() for m in ([cell] if isinstance(cell, str) else cell.values())]


def _items(config: Config, section: str) -> dict[str, Any]:
    return dict(getattr(config, section))


def module_of(stage: str) -> str:
    """The module of a stage's command: the file of its name in its room."""
    return job.module_of(stage).partition(".")[2]


def _rows(place: str, names: Iterable[str]) -> dict[str, str]:
    """The code of some rows of a registry."""
    return {part: sha for name in names for part, sha in fingerprint.of(f"{place}.{name}").items()}


def _recipe(stage: str, work: dict[str, Any], names: dict[str, Any], row: Mapping[str, str] = {}) -> str:
    """A stage's recipe; `row` is the code of the row that it takes from a registry."""
    module, function, packages = WORK[stage]
    done_by = {**fingerprint.of(module, function), **row}
    around = {part: sha for part, sha in fingerprint.of(module_of(stage)).items() if part not in done_by}
    work = {**work, "code": done_by, "versions": {package: _version(package) for package in packages}}
    return hashing.canonical({"stage": stage, "work": work, "names": names, "code": around})


@cache
def _lexicon() -> dict[str, str]:
    """The world's words are code in all but name: 8 hex digits per file."""
    return {path.stem: hashing.of_file(path)[:8] for path in sorted(LEXICON.glob("*.yaml"))}


@cache
def _rules() -> str:
    """The rules of the miniature's judge, as 8 hex digits: what is asked of it does not tell them."""
    return hashing.of_json([fingerprint.of("miniature.rule_judge", "RuleJudge"), _lexicon()])[:8]


@cache
def _version(package: str) -> str:
    return importlib.metadata.version(package).split("+")[0]


def _published(name: str | None, item: str) -> dict[str, Any] | None:
    """What a paper printed in one item; another item's values are no part of its recipe."""
    if name is None:
        return None
    known = published.read(published.PUBLISHED / f"{name}.yaml")
    values = [value for value in known.values if value.item == item]
    return known.model_copy(update={"values": tuple(values), "facts": ()}).model_dump(mode="json")
