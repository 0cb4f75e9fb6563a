"""What a reader must know of rows beside their numbers: what their merges reported, and which of them are equal."""

from collections.abc import Hashable, Iterable, Mapping, Sequence
from typing import NamedTuple

from workflow_scripts.paper.scores import Scores


class Remark(NamedTuple):
    """What a share of a merge's parameters means, where the merge reports one that is above 0.

    Attributes:
        fact: its name among the facts of the manifest; from 0 to 1.
        method: what the method does to these parameters, and when.
        whole: what a merge is where these are all parameters.
        rest: a sentence on the other parameters, where there are some.
    """

    fact: str
    method: str
    whole: str
    rest: str


REMARKS = {  # method of merging -> what a reader must know of its merges
    "slerp": Remark(  # mergekit 0.1.5, merge_methods/slerp.py; 13 degrees: w / sin w is 1.0086, the most for any t
        "slerp_linear_share",
        "SLERP interpolates linearly between tensors less than 1.8 degrees apart (cosine above 0.9995)",
        "a linear merge with the weights 1 - t and t",
        "Up to 13 degrees apart, parents get weights within 1% of a linear merge's.",
    )
}

Shown = tuple[str, str, str]  # row, column group, model


def reported(shown: Iterable[Shown], scores: Scores) -> list[str]:
    """Notes on what the merges in some cells reported; a merge that reports nothing, or a share of 0, has none."""
    shown = [cell for cell in dict.fromkeys(shown) if cell[2] in scores.facts]
    notes = []
    for remark in REMARKS.values():
        rows: dict[tuple[str, bool], list[tuple[str, str]]] = {}
        for row, group, model in shown:
            shares = _shares(model, remark, scores)
            if any(shares):
                rows.setdefault((_span(shares), min(shares) == 1), []).append((row, group))
        parts = [
            f"{span} of the parameters of {_named(cells)}{f', which is {remark.whole}' if is_whole else ''}"
            for (span, is_whole), cells in rows.items()
        ]
        if parts:
            rest = "" if all(is_whole for _, is_whole in rows) else f" {remark.rest}"
            notes.append(f"{remark.method}: here {'; '.join(parts)}.{rest}")
    if unknown := [(row, group) for row, group, model in shown if None in scores.facts[model]]:
        notes.append(f"Not known, since manifests are missing: what the merges of {_named(unknown)} reported.")
    return notes


def equal(numbers: Mapping[tuple[str, str], tuple[Hashable, Hashable]]) -> list[str]:
    """A note on rows whose numbers in a column group are all the same, though they show different models.

    Args:
        numbers: by row and column group, its model and all numbers of it, before rounding.
    """
    alike: dict[tuple[str, Hashable], dict[str, Hashable]] = {}
    for (row, group), (model, found) in numbers.items():
        alike.setdefault((group, found), {})[row] = model
    groups: dict[tuple[str, ...], list[str]] = {}
    for (group, _), models in alike.items():
        if len(set(models.values())) > 1:
            groups.setdefault(tuple(models), []).append(group)
    same = [_named((row, group) for row in rows for group in found) for rows, found in groups.items()]
    return [f"Equal in all measured numbers: {'; '.join(same)}."] if same else []


def columns(model: str, scores: Scores) -> dict[str, str]:
    """What a model's merges reported, seed by seed, for programs: the same keys for all models of an item."""
    found = [remark for remark in REMARKS.values() if any(_shares(one, remark, scores) for one in scores.facts)]
    return {remark.fact: " ".join(f"{share:.6g}" for share in _shares(model, remark, scores)) for remark in found}


def _shares(model: str, remark: Remark, scores: Scores) -> list[float]:
    """What a model's merges reported, by seed."""
    return [float(facts[remark.fact]) for facts in scores.facts.get(model, ()) if facts and remark.fact in facts]


def _span(shares: Sequence[float]) -> str:
    """The range over seeds.

    >>> _span([1.0]), _span([0.0002, 0.25]), _span([0.9999])
    ('100%', 'by seed less than 0.1% to 25%', 'more than 99.9%')
    """
    low, high = (_percent(share) for share in (min(shares), max(shares)))
    return low if low == high else f"by seed {low} to {high}"


def _percent(share: float) -> str:
    """A share to a tenth of a percent, but never rounded to none or to all."""
    if 0 < share < 0.001:
        return "less than 0.1%"
    return "more than 99.9%" if 0.999 < share < 1 else f"{100 * share:.1f}".removesuffix(".0") + "%"


def _named(cells: Iterable[tuple[str, str]]) -> str:
    """Rows in words, each with those of its column groups that are meant.

    >>> _named([("SLERP", "SFT"), ("SLERP", "DPO"), ("TIES", ""), ("Parts", "")])
    'SLERP (SFT, DPO), TIES and Parts'
    """
    groups: dict[str, list[str]] = {}
    for row, group in cells:
        groups.setdefault(row, []).extend([group] if group else [])
    *others, last = (f"{row} ({', '.join(found)})" if found else row for row, found in groups.items())
    return f"{', '.join(others)} and {last}" if others else last
