"""Revisions that can move become commits, and nothing else of an experiment's file changes."""

from types import SimpleNamespace

import pytest
import yaml

from workflow_scripts.base.errors import UserError
from workflow_scripts.run import pin

OPEN = "lab/open"
TEXT = f"""\
# A comment that stays
sources:
  rows: {{dataset: {OPEN}, revision: main, format: dolly_200}} # so does this
  known: {{dataset: lab/other, revision: {"a" * 40}}}
models:
  base:
    load: lab/model
    revision: v1.0
  mine: {{load: ./folder}}
"""


def test_branches_and_tags_become_commits_and_the_rest_stays_to_the_letter():
    commits = {(OPEN, "dataset", "main"): "1" * 40, ("lab/model", "model", "v1.0"): "2" * 40}
    text, told = pin.pinned(TEXT, lambda *asked: commits[asked])
    assert text == TEXT.replace("main", f'"{"1" * 40}"').replace("v1.0", f'"{"2" * 40}"')
    assert told == [f"{OPEN}: main is {'1' * 40}", f"lab/model: v1.0 is {'2' * 40}"]
    assert pin.pinned(text, lambda *asked: pytest.fail("asked again")) == (text, [])
    assert yaml.safe_load(text)["models"]["base"]["revision"] == "2" * 40


def test_an_alias_is_pinned_once_where_it_stands():
    text, told = pin.pinned("a: &x {load: m/m, revision: main}\nb: *x\n", lambda *_: "3" * 40)
    assert text.count("3" * 40) == 1 and len(told) == 1


def test_a_hub_that_cannot_be_reached_leaves_the_file_alone(tmp_path, monkeypatch):
    path = tmp_path / "mine.yaml"
    path.write_text(TEXT)
    monkeypatch.setattr("huggingface_hub.HfApi.repo_info", _refuse)
    with pytest.raises(UserError, match="lab/open: no commit of main .*; run this where the hub can be reached"):
        pin.main(["--config", str(path)])
    assert path.read_text() == TEXT


def _refuse(*_, **__):
    raise OSError("no route to host")


def test_the_hub_is_asked_for_the_commit_of_the_revision(monkeypatch):
    def info(_, name, repo_type, revision):
        return SimpleNamespace(sha={(OPEN, "dataset", "main"): "4" * 40}[name, repo_type, revision])

    monkeypatch.setattr("huggingface_hub.HfApi.repo_info", info)
    assert pin._commit(OPEN, "dataset", "main") == "4" * 40
