"""The different questions that judges are asked about the answers that lie in a folder.

Requests are the one number that a hand cannot write exactly, since the same question about the same answer of two
models is one request, and only the answers tell.  So a row of the benchmark says by hand how many questions may be new
at most, and the new ones among them are computed here from the answers before and after, by code that shares nothing
with the judge's stage or its ledger but the hash of a text.
"""

import pyarrow.parquet as pq

from bench.stale.run import Config, Run
from workflow_scripts.base import hashing

# Of a judge, what does not decide what a question is.
ACCESS = {"concurrency", "api_base", "rpm", "tpm", "timeout", "retries", "harm", "preference"}


def asked(run: Run) -> set[str]:
    """Every different question that judges are asked, as a hash each."""
    found = set()
    for seed in run.config["seeds"]:
        for name in (name for name, model in run.config["models"].items() if "init" not in model):
            for suite, row in run.config["suites"].items():
                for judge in run.config["judges"].values():
                    found |= _questions(run, judge, seed, name, suite, row["metric"])
    return found


def _questions(run: Run, judge: Config, seed: int, model: str, suite: str, metric: str) -> set[str]:
    prompt = run.code / f"workflow_scripts/llm/prompt_files/{judge.get(metric, f'{metric}-v1')}.txt"
    said = [{name: value for name, value in judge.items() if name not in ACCESS}, prompt.read_text()]
    ours = _answers(run, seed, model, suite)
    if metric == "harm":
        return {hashing.of_json([said, *pair]) for pair in ours.items()}
    found = set()
    for other in _compared_with(run.config, model):
        theirs = _answers(run, seed, other, suite)
        pairs = [(text, mine, theirs[text]) for text, mine in ours.items() if mine != theirs[text]]
        found |= {hashing.of_json([said, p, *sides]) for p, a, b in pairs for sides in ((a, b), (b, a))}
    return found


def _compared_with(config: Config, model: str) -> set[str]:
    """The baseline, and the mix of each contrast whose merge the model is."""
    contrasts = config.get("contrasts", {}).values()
    others = {config["baseline"], *(row["mix"] for row in contrasts if row["merge"] == model)}
    return others if model != config["baseline"] else set()


def _answers(run: Run, seed: int, model: str, suite: str) -> dict[str, str]:
    table = pq.read_table(run.results / f"seed{seed}/generations/{model}/{suite}.parquet")
    return dict(zip(table["prompt"].to_pylist(), table["completion"].to_pylist(), strict=True))
