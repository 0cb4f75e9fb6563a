"""What comes from the hub comes once, and what cannot come is reported in one line that says what to do."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pyarrow as pa
import pytest

from tests.hub_server import COMMIT, GATED, OPEN, HubServer
from workflow_scripts.base import hub
from workflow_scripts.base.errors import UserError

ROOT = Path(__file__).parents[3]
FIXTURE = ROOT / "tests/fixtures/aya_evaluation_suite"
FILES = {path.relative_to(FIXTURE).as_posix(): path.read_bytes() for path in FIXTURE.rglob("*") if path.is_file()}
CONFIG = "dolly_human_edited"
SCRIPT = """
import json, sys
from workflow_scripts.base import hub
from workflow_scripts.base.errors import UserError
for name, revision in json.loads(sys.argv[1]):
    try:
        rows = hub.rows(name, revision, "dolly_human_edited", "test")
        print("rows", len(rows), hub.is_cached(name, revision, ["README.md"], "dataset"))
    except UserError as error:
        print(error)
"""


def ask(home, *asked, **environment):
    """What a process of its own prints, since the hub's address is read on import."""
    known = {name: value for name, value in os.environ.items() if not name.startswith("HF_")}
    environment = {**known, "HF_HOME": str(home), **environment}
    command = [sys.executable, "-c", SCRIPT, json.dumps(asked)]
    done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout.splitlines()


def test_a_dataset_is_fetched_once_and_only_the_files_of_its_split(tmp_path):
    with HubServer(FILES) as server:
        assert ask(tmp_path, (OPEN, COMMIT), (OPEN, COMMIT), HF_ENDPOINT=server.url) == ["rows 120 True"] * 2
        fetched = [path for path in server.paths if path.startswith("GET") and "resolve" in path]
        assert sorted(path.split(COMMIT + "/")[-1] for path in fetched) == [
            "README.md",
            f"{CONFIG}/test-00000-of-00001.parquet",
        ]
    assert ask(tmp_path, (OPEN, COMMIT), HF_HUB_OFFLINE="1") == ["rows 120 True"]
    assert ask(tmp_path, (OPEN, COMMIT), HF_ENDPOINT="http://127.0.0.1:9") == ["rows 120 True"], "nor is a hub needed"


def test_each_refusal_of_the_hub_is_one_line_that_says_what_to_do(tmp_path):
    asked = [(GATED, COMMIT), (OPEN, "0" * 40), ("lab/none", COMMIT), ("not an id", COMMIT), ("lab/none", None)]
    with HubServer(FILES) as server:
        printed = ask(tmp_path, *asked, HF_ENDPOINT=server.url)
    assert printed == [
        f"{GATED}: is gated; accept its terms on the hub and set HF_TOKEN",
        f"{OPEN}: has no revision {'0' * 40}; pin one that exists",
        "lab/none: no such folder, and no dataset of that id on the hub, or a private one; fix the id, or set HF_TOKEN",
        "not an id: no such folder, and no id of the hub; fix the path",
        "lab/none: no such folder, and no `revision` to fetch it from the hub; pin one",
    ]


def test_the_token_comes_from_the_environment_and_never_from_a_file(tmp_path):
    (tmp_path / "token").write_text("hf_secret")
    with HubServer(FILES) as server:
        (printed,) = ask(tmp_path, (GATED, COMMIT), HF_ENDPOINT=server.url)
        assert "is gated" in printed and server.tokens == {None}
        assert ask(tmp_path, (GATED, COMMIT), HF_ENDPOINT=server.url, HF_TOKEN="hf_secret") == ["rows 120 True"]
        (printed,) = ask(tmp_path / "new", (GATED, COMMIT), HF_ENDPOINT=server.url, HF_TOKEN="hf_other")
    assert printed == f"{GATED}: is gated; accept its terms on the hub with the account of HF_TOKEN"
    assert "hf_other" not in printed


@pytest.mark.parametrize("environment", [{"HF_HUB_OFFLINE": "1"}, {"HF_ENDPOINT": "http://127.0.0.1:9"}])
def test_without_a_network_and_without_the_cache_the_command_that_fetches_is_named(tmp_path, environment):
    (printed,) = ask(tmp_path, (OPEN, COMMIT), **environment)
    assert printed.endswith(
        f"fetch it where there is a network: hf download {OPEN} --repo-type dataset --revision {COMMIT}"
    )


def test_a_config_or_split_that_a_dataset_lacks_is_named_with_those_that_it_has():
    with pytest.raises(UserError, match="has no config 'dolly' .it has aya_human_annotated, dolly_human_edited"):
        hub.rows(str(FIXTURE), None, "dolly", "test")
    with pytest.raises(UserError, match="config 'dolly_human_edited' has no split 'train' .it has test."):
        hub.rows(str(FIXTURE), None, "dolly_human_edited", "train")
    redteam = ROOT / "tests/fixtures/aya_redteaming"
    with pytest.raises(UserError, match="the dataset has no split 'serbian' .it has "):
        hub.rows(str(redteam), None, None, "serbian")


def test_a_folder_without_a_card_is_read_by_the_names_of_its_files(tmp_path):
    (tmp_path / "test.jsonl").write_text('{"a": 1}\n')
    assert hub.rows(str(tmp_path), None, None, "test").equals(pa.table({"a": [1]}))
    with pytest.raises(UserError, match="Unknown split"):
        hub.rows(str(tmp_path), None, None, "train")


def test_files_that_cannot_be_read_are_named_by_split(tmp_path):
    (tmp_path / "README.md").write_text(
        "---\nconfigs:\n- config_name: x\n  data_files:\n  - {split: test, path: a.parquet}\n---\n"
    )
    with pytest.raises(UserError, match=r"a\.parquet"):
        hub.rows(str(tmp_path), None, None, "test")
    (tmp_path / "a.parquet").write_bytes(b"PAR1 cut")
    with pytest.raises(UserError, match="split 'test': Parquet magic bytes not found"):
        hub.rows(str(tmp_path), None, None, "test")
    (tmp_path / "README.md").write_text("---\nconfigs: 3\n---\n")
    with pytest.raises(UserError, match="its `configs` cannot be read"):
        hub.rows(str(tmp_path), None, None, "test")
