"""Libraries of statistics take one to three seconds to import: who computes nothing does not wait for them."""

import subprocess
import sys

import pytest


@pytest.mark.parametrize(
    "modules",
    [
        "run.session, forecast.quote, forecast.preflight",
        "forecast.power",
        "paper.table, paper.figure, paper.tables.contrasts, paper.tables.judges, paper.tables.corrected",
    ],
    ids=["a Snakefile and a plan", "a forecast of power", "a table and a figure"],
)
def test_importing_commands_imports_neither_scipy_stats_nor_statsmodels(modules):
    code = "; ".join(f"import workflow_scripts.{module}" for module in modules.split(", "))
    code += "; import sys; print({'scipy.stats', 'statsmodels', 'pandas'} & {*sys.modules})"
    assert subprocess.check_output([sys.executable, "-c", code], text=True) == "set()\n"
