"""Scores as the judge stage writes them, for tests: a model's verdicts become its rows."""

import numpy as np
import pyarrow as pa

from workflow_scripts.base import records
from workflow_scripts.statistics.outcomes import Outcomes
from workflow_scripts.statistics.panel import Panel


def harm_rows(verdicts, languages=("en",), suite="redteam"):
    """One model's harm rows; verdict i belongs to source prompt i // len(languages)."""
    rows = []
    for i, verdict in enumerate(verdicts):
        source, language = divmod(i, len(languages))
        rows.append({"prompt_id": f"{source}-{languages[language]}", "source_prompt_id": f"{source}",
                     "language": languages[language], "suite": suite, "metric": "harm", "judge": "rules",
                     "verdict": verdict, "missing": None if verdict else "unparsed"})  # fmt: skip
    return table(rows)


def win_rows(pairs, against="base"):
    """One model's preference rows: for each prompt its verdicts in the orders AB and BA."""
    return table(
        {"prompt_id": f"{i}", "source_prompt_id": f"{i}", "language": "en", "suite": "general", "metric": "preference",
         "judge": "rules", "against": against, "order": order, "verdict": verdict}
        for i, pair in enumerate(pairs) for order, verdict in zip(("AB", "BA"), pair, strict=True)
    )  # fmt: skip


def table(rows):
    return pa.Table.from_pylist(list(rows), schema=records.SCORES)


def numbers(values, cluster_size=1):
    values = np.asarray(values, dtype=float)
    names = [("s", f"{i:04}") for i in range(len(values))]
    clusters = [("s", f"{i // cluster_size:04}") for i in range(len(values))]
    return Outcomes(tuple(names), tuple(clusters), ("en",) * len(values), values)


def panel(**tables):
    return Panel({(name.replace("_", "-"), 0): t for name, t in tables.items()}, baseline="base", draws=200)
