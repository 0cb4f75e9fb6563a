"""Whatever somebody's files say: a model is taken, or one line names the file and says what is wrong."""

import json
import os
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests import families
from workflow_scripts.base.errors import UserError
from workflow_scripts.models import check, contents, shape

EXAMPLES = int(os.environ.get("MIXMERGE_FUZZ", 15))  # of each test; more of them find more
FUZZED = settings(max_examples=EXAMPLES, deadline=None, suppress_health_check=list(HealthCheck))
VALUES = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(-(2**40), 2**40),
    st.floats(allow_nan=True),
    st.text(max_size=8),
    st.lists(st.integers(-3, 9), max_size=3),
    st.dictionaries(st.text(max_size=4), st.integers(0, 9), max_size=2),
)
FILES = ("config.json", "tokenizer.json", "tokenizer_config.json", "generation_config.json")


@pytest.fixture(scope="module")
def models(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    place = tmp_path_factory.mktemp("models")
    return {name: families.make(name, place / name) for name in ("llama", "gemma3", "mixtral")}


def take(model: Path, place: Path) -> None:
    """What loading a model does with its files."""
    shutil.rmtree(place, ignore_errors=True)
    place.mkdir()
    for path in contents.of_model(model, consent=False):
        shutil.copyfile(path, place / path.name)
    check.check(place)


def is_said(folder: Path, file: str, place: Path) -> bool:
    """Whether a model is refused in one line that names its folder, and, if anything, files in it; else it is taken."""
    try:
        take(folder, place)
    except UserError as error:
        said = str(error)
        assert "\n" not in said and len(said) < 1500, said
        assert str(folder) in said or str(place) in said, said
        return True
    return False


@pytest.fixture
def copy(tmp_path: Path) -> Iterator[Any]:
    """A fresh copy of a model each time it is asked for."""

    def fresh(model: Path) -> Path:
        place = tmp_path / "model"
        shutil.rmtree(place, ignore_errors=True)
        shutil.copytree(model, place)
        return place

    yield fresh


def leaves(value: Any, way: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    """The ways to the values of a JSON object, and to its sections; of long lists the first few."""
    if isinstance(value, dict):
        inner = [found for key, item in list(value.items())[:60] for found in leaves(item, (*way, key))]
    elif isinstance(value, list):
        inner = [found for number, item in enumerate(value[:3]) for found in leaves(item, (*way, number))]
    else:
        inner = []
    return [way, *inner] if way else inner


def put(value: Any, way: tuple[Any, ...], new: Any) -> None:
    for key in way[:-1]:
        value = value[key]
    value[way[-1]] = new


@pytest.mark.parametrize("file", FILES)
@pytest.mark.parametrize("name", ["llama", "gemma3", "mixtral"])
def test_any_value_at_any_key_is_taken_or_told(
    models: dict[str, Path], copy: Any, tmp_path: Path, name: str, file: str
) -> None:
    whole = json.loads((models[name] / file).read_text())

    @FUZZED
    @given(st.sampled_from(leaves(whole)), VALUES)
    def tried(way: tuple[Any, ...], value: Any) -> None:
        folder, changed = copy(models[name]), json.loads(json.dumps(whole))
        put(changed, way, value)
        (folder / file).write_text(json.dumps(changed))
        is_said(folder, file, tmp_path / "taken")
        if file == "config.json":
            shape.is_known(changed)

    tried()


@pytest.mark.parametrize("file", [*FILES, "model.safetensors"])
def test_any_bytes_in_a_file_are_told(models: dict[str, Path], copy: Any, tmp_path: Path, file: str) -> None:
    @FUZZED
    @given(st.binary(max_size=40))
    def tried(content: bytes) -> None:
        folder = copy(models["llama"])
        (folder / file).write_bytes(content)
        is_said(folder, file, tmp_path / "taken")

    tried()


@pytest.mark.parametrize("file", [*FILES, "model.safetensors"])
def test_a_file_that_is_cut_off_is_told(models: dict[str, Path], copy: Any, tmp_path: Path, file: str) -> None:
    size = (models["llama"] / file).stat().st_size

    @FUZZED
    @given(st.integers(0, size - 2))
    def tried(kept: int) -> None:
        folder = copy(models["llama"])
        with (folder / file).open("r+b") as handle:
            handle.truncate(kept)
        assert is_said(folder, file, tmp_path / "taken"), kept

    tried()


@FUZZED
@given(data=st.data())
def test_a_header_of_weights_that_lies_is_told(
    models: dict[str, Path], tmp_path_factory: pytest.TempPathFactory, data: st.DataObject
) -> None:
    place = tmp_path_factory.mktemp("header")
    folder = place / "model"
    shutil.copytree(models["llama"], folder)
    weights = (folder / "model.safetensors").read_bytes()
    length = int.from_bytes(weights[:8], "little")
    header = json.loads(weights[8 : 8 + length])
    name = data.draw(st.sampled_from(sorted(set(header) - {"__metadata__"})))
    change = data.draw(
        st.sampled_from(
            [
                {"dtype": "I8"},
                {"dtype": "NONESUCH"},
                {"dtype": "F64"},
                {"shape": [3]},
                {"shape": [-1, 4]},
                {"shape": "wide"},
                {"data_offsets": [0, 2**62]},
                {"data_offsets": [9, 3]},
                {"data_offsets": None},
            ]
        )
    )
    header[name] |= change
    text = json.dumps(header).encode()
    (folder / "model.safetensors").write_bytes(len(text).to_bytes(8, "little") + text + weights[8 + length :])
    assert is_said(folder, "model.safetensors", place / "taken")


@FUZZED
@given(st.dictionaries(st.text(max_size=5), VALUES, max_size=4) | VALUES)
def test_any_index_of_shards_is_told(
    models: dict[str, Path], tmp_path_factory: pytest.TempPathFactory, weight_map: Any
) -> None:
    place = tmp_path_factory.mktemp("index")
    folder = place / "model"
    shutil.copytree(models["llama"], folder)
    (folder / "model.safetensors.index.json").write_text(json.dumps({"weight_map": weight_map}))
    assert is_said(folder, "model.safetensors.index.json", place / "taken")
