"""Edits of the experiment's config."""

from typing import Any

from bench.stale.edit import Patch
from bench.stale.run import Run


def put(key: str, value: Any) -> Patch:
    """Set a key, given by its path."""

    def patch(run: Run) -> None:
        section, last = _place(run, key)
        section[last] = value

    return patch


def drop(key: str) -> Patch:
    """Remove a key."""

    def patch(run: Run) -> None:
        section, last = _place(run, key)
        del section[last]

    return patch


def reorder(key: str) -> Patch:
    """Write the entries of a section, or of a list, in the opposite order."""

    def patch(run: Run) -> None:
        section, last = _place(run, key)
        value = section[last]
        section[last] = value[::-1] if isinstance(value, list) else dict(reversed(value.items()))

    return patch


def reorder_all_keys(run: Run) -> None:
    """Write every section of the file in the opposite order, but rows of tables and figures, whose order is theirs."""

    def backwards(value: Any, name: str = "") -> Any:
        if not isinstance(value, dict):
            return value
        entries = value.items() if name == "rows" else reversed(value.items())
        return {key: backwards(entry, key) for key, entry in entries}

    run.config = backwards(run.config)


def rename(old: str, new: str) -> Patch:
    """Rename a model wherever the config names it."""

    def renamed(value: Any) -> Any:
        if isinstance(value, dict):
            return {key: renamed(item) for key, item in value.items()}
        if isinstance(value, list):
            return [renamed(item) for item in value]
        return new if value == old else value

    def patch(run: Run) -> None:
        models = {new if name == old else name: row for name, row in run.config["models"].items()}
        kept = {key: run.config[key] for key in ("mixtures", "suites", "sources")}
        methods = {name: row["method"] for name, row in run.config["merging"].items()}
        run.config = {**renamed({**run.config, "models": models}), **kept}
        for name, method in methods.items():  # mixtures and mergings of the same name keep their own
            run.config["merging"][name]["method"] = method
        for row in run.config["models"].values():
            for key in {"mixture", "merge"} & row.keys():
                row[key] = old if row[key] == new else row[key]

    return patch


def _place(run: Run, key: str) -> tuple[Any, str]:
    """The section that a key stands in, and its own name."""
    *path, last = key.split(".")
    section = run.config
    for name in path:
        section = section.setdefault(name, {})
    return section, last
