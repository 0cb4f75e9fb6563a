"""Command: write the commit of every hub revision that is a branch or a tag into the experiment's file.

A branch moves, so two runs of one file could learn from different data.  Nothing else in the file is touched.
"""

import argparse
import os
import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import yaml

from workflow_scripts.base.errors import UserError

COMMIT = re.compile(r"[0-9a-f]{40}")
NAMED = {"dataset": "dataset", "load": "model", "model": "model"}  # the key of a hub id -> the kind of repository


def pinned(text: str, commit: Callable[[str, str, str], str]) -> tuple[str, list[str]]:
    """An experiment's text with commits for revisions, and a line for each that changed.

    Args:
        text: of the YAML file.
        commit: from a hub id, its kind (model, dataset) and a revision to the commit.
    """
    spans: dict[tuple[int, int], str] = {}
    found_commits = dict[str, None]()
    for mapping in _mappings(yaml.compose(text)):
        found = {key.value: value for key, value in mapping.value}
        revision = found.get("revision")
        name = next((key for key in NAMED if key in found), None)
        if revision is None or name is None or COMMIT.fullmatch(revision.value):
            continue
        sha = commit(found[name].value, NAMED[name], revision.value)
        spans[revision.start_mark.index, revision.end_mark.index] = sha
        found_commits[f"{found[name].value}: {revision.value} is {sha}"] = None
    for (start, end), sha in sorted(spans.items(), reverse=True):
        text = f'{text[:start]}"{sha}"{text[end:]}'  # in quotes, since some commits look like numbers
    return text, list(found_commits)


def _mappings(node: Any) -> Iterator[yaml.MappingNode]:
    if isinstance(node, yaml.MappingNode):
        yield node
        for _, value in node.value:
            yield from _mappings(value)
    elif isinstance(node, yaml.SequenceNode):
        for value in node.value:
            yield from _mappings(value)


def _commit(name: str, kind: str, revision: str) -> str:
    from huggingface_hub import HfApi
    from huggingface_hub.errors import HfHubHTTPError

    try:
        info = HfApi(token=os.environ.get("HF_TOKEN") or False).repo_info(name, repo_type=kind, revision=revision)
    except (HfHubHTTPError, OSError) as error:
        reason = str(error).splitlines()[0]
        raise UserError(f"{name}: no commit of {revision} ({reason}); run this where the hub can be reached") from None
    return str(info.sha)


def main(arguments: list[str]) -> None:
    """Command line."""
    parser = argparse.ArgumentParser(prog="pin", description=__doc__)
    parser.add_argument("--config", type=Path, required=True)
    given = parser.parse_args(arguments)
    if not given.config.is_file():
        raise UserError(f"{given.config}: no such file; name the experiment's config")
    text, found_commits = pinned(given.config.read_text(encoding="utf-8"), _commit)
    given.config.write_text(text, encoding="utf-8")
    print(*(found_commits or ["every revision is a commit"]), sep="\n")
