# ruff: noqa: E501
"""Tables and figures name what there is, and what they print can be had."""

import pytest

from tests.unit.experiment.checked import REMOVED, check

# edits -> beginnings of the lines that must be said, and no others
MISTAKES = {
    "a direct comparison of no contrast": (
        {"tables/table1/metrics": ["direct"]},
        ["tables.table1.metrics: 'direct' compares the two sides of a contrast; make it a table of contrasts"],
    ),
    "a column without its suite": ({"tables/table1/metrics": ["overrefused"]}, ["tables.table1.metrics: "]),
    "a table of no such suite": ({"tables/table1/suites": ["general", "redteem"]}, ["tables.table1.suites: no suite 'redteem'; did you mean redteam?", "tables.table1.metrics: 'harm' needs"]),
    "a figure whose suites lack a metric": ({"figures/figure2/suites": ["redteam"]}, ["figures.figure2.metrics: 'win' needs a suite of metric preference; add one"]),
    "corrected rates of no model": ({"tables/table1": {"kind": "corrected", "caption": "Corrected"}}, ["tables.table1.rows: "]),
    "verdicts of no contrast": (
        {"contrasts": {}, "tables": {"verdicts": {"kind": "verdicts", "caption": "Verdicts"}}},
        ["contrasts: is empty, but tables.verdicts prints them"],
    ),
    "no such model in a table": ({"tables/table1/rows/Mix": "mx"}, ["tables.table1.rows.Mix: no model 'mx'"]),
    "a model in a table that does not answer": ({"tables/table1/rows/Init": "init"}, ["tables.table1.rows.Init: 'init' answers no suite"]),
    "a table without rows": ({"tables/table1/rows": {}, "tables/table1/reference": REMOVED}, ["tables.table1.rows: is empty"]),
    "a figure without rows": ({"figures/learning/rows": {}}, ["figures.learning.rows: dictionary should have at least 1 item"]),
    "no such reference": ({"tables/table1/reference": "Mx"}, ["tables.table1.reference: no row 'Mx'; did you mean Mix?"]),
    "no such metric": ({"tables/table1/metrics": ["harms"]}, ["tables.table1.metrics: no metric 'harms'; did you mean harm?"]),
    "a metric without a suite": ({"suites/general/metric": "harm"}, ["tables.table1.metrics: 'win' needs a suite of metric preference", "tables.contrasts.metrics: 'win'", "figures.figure2.metrics: 'win'"]),
    "no such judge": ({"figures/figure2/judge": "gpt"}, ["figures.figure2.judge: no judge 'gpt'"]),
    "no such language in an item": ({"tables/table1/languages": ["hi"]}, ["tables.table1.languages: no language 'hi'"]),
    "no such contrast": ({"tables/contrasts/contrasts": ["slurp"]}, ["tables.contrasts.contrasts: no contrast 'slurp'; did you mean slerp?"]),
    "no contrasts": ({"contrasts": {}}, ["contrasts: is empty, but tables.contrasts prints them"]),
    "a colour for nothing": ({"figures/figure2/colors": {"Mx": "red"}}, ["figures.figure2.colors: no row or group 'Mx'"]),
    "a sweep without positions": ({"figures/figure2/kind": "sweep"}, ["figures.figure2.x: no position for row 'SLERP'"]),
    "a curve of a merge": ({"figures/learning/rows/SLERP": "slerp"}, ["figures.learning.rows.SLERP: 'slerp' is not trained"]),
    "published values of nothing": ({"reproduces": "0000.00000"}, ["reproduces: "]),
}  # fmt: skip


@pytest.mark.parametrize("name", MISTAKES)
def test_each_mistake_is_said_in_one_line_and_nothing_else_is(name):
    check(*MISTAKES[name])
