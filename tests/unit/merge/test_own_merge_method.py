"""A method of a user's own: a file beside the config is found, described once, checked when parsed, and merges.

The files of `beside/merge_methods` are written as the methods that others have published for mergekit are.
"""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from mergekit.merge_methods import registry

from tests.unit.merge.forked import Described
from tests.unit.merge.tiny import PARENTS, ROOT, assert_same_bits, completed, float64, merge, weights
from workflow_scripts.base import beside
from workflow_scripts.base.errors import UserError
from workflow_scripts.merge import methods, settings, with_mergekit

BESIDE = Path(__file__).with_name("beside")


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, described: Described) -> Path:
    """The folder beside a config that is in use."""
    monkeypatch.chdir(tmp_path)
    beside.use([tmp_path / "config.yaml"])
    shutil.copytree(BESIDE / "merge_methods", tmp_path / "merge_methods")
    return tmp_path / "merge_methods"


def run(models: dict[str, Path], recipe: dict, output: Path, base: bool = True, parents: int = 2) -> dict:
    return merge(recipe, [models[name] for name in PARENTS[:parents]], models["base"] if base else None, output)


def test_methods_beside_the_config_are_found_like_mergekits(folder: Path) -> None:
    assert {"iso_c", "linear"} <= set(methods.METHODS) and "iso_c" in methods.METHODS
    assert len(methods.METHODS) == 20 + len(list(folder.glob("*.py")))
    method = methods.METHODS["iso_c"]
    assert (method.title, method.needs_base, method.parents(base=True)) == ("Iso-C", True, (2, 3))
    assert methods.METHODS["weighted_average"].source == "https://example.com/average"
    assert "iso_c" not in registry._METHODS, "it was described in a process of its own"
    with pytest.raises(KeyError):
        methods.METHODS["sum_only"]  # a second method of a file is only there under a file's name of its own


def test_a_file_is_described_once_for_each_content(folder: Path, described: Described) -> None:
    for _ in range(2):
        methods._known.clear()  # as another process
        assert methods.METHODS["iso_c"] is methods.METHODS["iso_c"]
    (said,) = Path("results/.code").glob("merge_method-*.json")
    assert described.count == 1
    file = folder / "iso_c.py"
    file.write_text(file.read_text().replace("default=1.0", "default=0.5"))
    assert methods.METHODS["iso_c"].parameters["lambda"].default == 0.5
    assert described.count == 2 and said.exists()


def test_a_config_is_checked_without_torch_and_the_file_runs_in_a_process_of_its_own(tmp_path: Path) -> None:
    check = (
        "import sys; from workflow_scripts.merge import settings; "
        "settings.check({'method': 'weighted_average', 'weights': [0.5, 1]}, 2, False); "
        "sys.exit('torch' in sys.modules)"
    )
    environment = {**os.environ, "PYTHONPATH": str(ROOT), beside.FOLDERS: json.dumps([str(BESIDE)])}
    done = subprocess.run([sys.executable, "-c", check], cwd=tmp_path, env=environment, capture_output=True, text=True)
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
    assert len(list(tmp_path.glob("results/.code/merge_method-*.json"))) == 1


@pytest.mark.parametrize(
    ("recipe", "parents", "base", "said"),
    [
        ({"method": "iso_c"}, 1, True, "`parents`: iso_c takes 2 to 3 models, not 1"),
        ({"method": "iso_c"}, 4, True, "`parents`: iso_c takes 2 to 3 models, not 4"),
        ({"method": "iso_c"}, 2, False, "`base`: iso_c needs a base"),
        ({"method": "iso_c", "vectors": "median"}, 2, True, "`vectors`: Input should be 'mean' or 'sum'"),
        ({"method": "iso_c", "only": "some"}, 2, True, "`only`: Input should be 'all'"),
        ({"method": "iso_c", "weights": 1.0}, 2, True, "`weights`: Extra inputs"),
        ({"method": "weighted_average"}, 2, False, "`weights`: Field required"),
        ({"method": "weighted_average", "weights": [1, 3]}, 2, False, "`weights`: .*at least 0 and at most 2, not 3"),
        ({"method": "weighted_average", "weights": [1, 1, 1]}, 2, False, "`weights`: 3 values for 2 parents"),
        ({"method": "weighted_average", "weights": 1}, 2, True, "takes no base model"),
        ({"method": "projected", "rank": 0}, 2, True, "`rank`: .*at least 1, not 0"),
        ({"method": "projected", "lr": 0}, 2, True, "`lr`: .*above 0, not 0"),
        ({"method": "projected", "seed": -1}, 2, True, "`seed`: .*at least 0, not -1"),
        ({"method": "projected", "top": [None, 0]}, 2, True, "`top`: .*above 0, not 0"),
        ({"method": "delerp", "t": 1.5}, 2, False, "`t`: .*at least 0 and at most 1, not 1.5"),
        ({"method": "delerp", "t": 0.5}, 3, False, "exactly 2 models, not 3"),
        ({"method": "dropping", "weights": [1, 2], "seed": 1}, 2, True, "2 values for 3 models, as the base counts"),
        ({"method": "dropping", "weights": 1, "source": "dice"}, 2, True, "`source`: Input should be 'torch', "),
    ],
)
def test_what_a_method_takes_is_checked_when_a_config_is_parsed(
    folder: Path, recipe: dict, parents: int, base: bool, said: str
) -> None:
    with pytest.raises(UserError, match=said) as caught:
        settings.check(recipe, parents, base)
    assert "\n" not in str(caught.value)
    assert recipe["method"] in str(caught.value)


def test_defaults_and_gradients_reach_the_method(folder: Path, models: dict[str, Path], tmp_path: Path) -> None:
    assert completed({"method": "dropping", "weights": 1.0}, 2, base=True)["weights"] == [1.0] * 3
    assert completed({"method": "dropping", "weights": 1.0}, 2, base=True)["source"] == "torch"
    assert completed({"method": "delerp", "t": 0.5}, 2, base=False)["gain"] == [1.0] * 2
    rising = {"layers": [0, 1], "embeddings": 0.5, "final_norm": 1}
    run(models, {"method": "delerp", "t": rising}, tmp_path / "merged", base=False)
    one, two, merged = (weights(path) for path in (models["first"], models["second"], tmp_path / "merged"))
    for layer, model in ((0, one), (1, two)):  # the first layer has the first model's direction, the last the second's
        name = f"model.layers.{layer}.mlp.up_proj.weight"
        assert torch.cosine_similarity(merged[name].flatten(), model[name].flatten(), dim=0) > 1 - 1e-6
        assert torch.cosine_similarity(one[name].flatten(), two[name].flatten(), dim=0) < 0.999


def test_methods_written_as_others_write_them_merge(folder: Path, models: dict[str, Path], tmp_path: Path) -> None:
    base, one, two = (float64(models[name]) for name in ("base", "first", "second"))
    run(models, {"method": "weighted_average", "weights": [1.5, 0.5]}, tmp_path / "average", base=False)
    run(models, {"method": "iso_c", "lambda": 0.5}, tmp_path / "iso")
    run(models, {"method": "dropping", "source": "none", "weights": [0.5, 1, 2], "seed": 0}, tmp_path / "all three")
    for name, start in base.items():
        found = float64(tmp_path / "average")[name]
        np.testing.assert_allclose(found, 0.75 * one[name] + 0.25 * two[name], rtol=2e-6, atol=2e-8)
        found = float64(tmp_path / "all three")[name]
        np.testing.assert_allclose(found, 0.5 * start + one[name] + 2 * two[name], rtol=2e-6, atol=1e-7)
        delta = one[name] + two[name] - 2 * start
        if delta.ndim == 2:
            left, values, right = np.linalg.svd(delta, full_matrices=False)
            delta = values.mean() * left @ right
        np.testing.assert_allclose(float64(tmp_path / "iso")[name], start + 0.5 * delta, rtol=1e-4, atol=1e-6)


def test_a_method_with_a_seed_of_its_own_gives_the_same_again_and_another_by_another(
    folder: Path, models: dict[str, Path], tmp_path: Path
) -> None:
    for name, changes in {"once": {}, "again": {"seed": 42}, "other": {"seed": 43}}.items():
        run(models, {"method": "projected", **changes}, tmp_path / name)
    once, again, other = (weights(tmp_path / name) for name in ("once", "again", "other"))
    assert_same_bits(once, again)
    assert not torch.equal(once["model.layers.0.mlp.up_proj.weight"], other["model.layers.0.mlp.up_proj.weight"])


@pytest.mark.parametrize("source", ["torch", "python", "numpy"])
def test_a_method_that_draws_without_a_seed_is_refused_and_with_one_gives_the_same_on_any_threads(
    folder: Path, far: dict[str, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, source: str
) -> None:
    recipe = {"method": "dropping", "weights": 1.0, "source": source}
    with pytest.raises(UserError, match=r"^merge by dropping: draws random numbers; give it a `seed`"):
        run(far, recipe, tmp_path / "refused")
    assert not (tmp_path / "refused").exists()
    for threads in (1, 4):
        monkeypatch.setattr(torch, "get_num_threads", lambda threads=threads: threads)
        run(far, recipe | {"seed": 3}, tmp_path / f"with {threads}")
    assert_same_bits(weights(tmp_path / "with 1"), weights(tmp_path / "with 4"))
    run(far, recipe | {"seed": 4}, tmp_path / "other")
    other = weights(tmp_path / "other")
    assert not any(torch.equal(other[name], tensor) for name, tensor in weights(tmp_path / "with 1").items())


HEAD = """
import sys
import torch
from typing import Callable, List
from mergekit.merge_methods import *
from mergekit.merge_methods.base import ParameterSpec

@merge_method(name="mine")
def mine(group: TensorGroup{parameters}) -> torch.Tensor:
    {body}

{end}
"""


def text(body: str = "return group.tensors[0]", end: str = "register(mine)", parameters: str = "") -> str:
    return HEAD.format(body=body, end=end, parameters=parameters and f", {parameters}").strip() + "\n"


@pytest.mark.parametrize(
    ("content", "said"),
    [
        ("def mine(:\n", r"merge_methods/mine\.py, line 1: SyntaxError: "),
        (b"\xff\xfe", r"merge_methods/mine\.py, line 1: SyntaxError: "),
        (text(end=""), r"merge_methods/mine\.py: registers nothing, not mine; end it with `register"),
        (text(end="").replace("mine", "other") + "register(other)\n", r"mine\.py: registers other, not mine; "),
        (text(end="register(mine)\nraise ValueError('a\\nb')"), r"mine\.py, line 12: ValueError: a b$"),
        (
            text(end="register(mine)\nsys.exit('usage: mine')"),
            r"mine\.py, line 12: SystemExit: usage: mine$",
        ),
        (text(end="register(mine); register(mine)"), r"mine\.py, line 11: ValueError: .*'mine' is already registered"),
        (text().replace('name="mine"', 'name="linear"'), r"mine\.py, line 11: ValueError: .*'linear' is already"),
        # What was written for mergekit before 0.1.5, which is what most of the published ones are.
        (
            text().replace("group: TensorGroup", "tensors: List[torch.Tensor], weight: List[float]"),
            r"mine\.py, line 7: TypeError: First kernel argument must be annotated TensorBatch or TensorGroup",
        ),
        (
            "from mergekit.merge_methods.rectify_embed import rectify_embed_sizes\n",
            r"mine\.py, line 1: ModuleNotFoundError: No module named 'mergekit\.merge_methods\.rectify_embed'",
        ),
        ("from .sparsify import ConsensusMethod\n", r"mine\.py, line 1: ImportError: attempted relative import"),
        (text(parameters="how: Callable = max"), r"mine\.py: .*; give the parameter a type that YAML can spell"),
        (text(parameters="dtype: str"), r"mine\.py: the key `dtype` is not free for its parameter `dtype`"),
        (text(parameters="base: float = 1"), r"mine\.py: the key `base` is not free for its parameter `base`"),
        (
            text(parameters="weight: float, weights: float"),
            r"mine\.py: the key `weights` is not free for its parameter `weights`; give it another name",
        ),
    ],
)
def test_a_file_that_is_no_method_is_refused_in_a_line(folder: Path, content: str | bytes, said: str) -> None:
    (folder / "mine.py").write_bytes(content if isinstance(content, bytes) else content.encode())
    for _ in range(2):
        with pytest.raises(UserError, match=said) as caught:
            methods.METHODS["mine"]
        assert "\n" not in str(caught.value)
        assert str(caught.value).startswith(str(folder / "mine.py"))
    assert not list(Path("results/.code").glob("merge_method-*"))


def test_a_file_by_the_name_of_one_of_mergekits_is_refused(folder: Path) -> None:
    (folder / "ties.py").write_text(text())
    with pytest.raises(UserError, match=r"ties\.py: mergekit has a ties of its own; give the file"):
        methods.METHODS["ties"]


NAME = r"model\.layers\.0\.matrix"


@pytest.mark.parametrize(
    ("body", "said"),
    [
        ("return group.tensors[0][:1]", rf"{NAME}: TypeError: Merge method mine must return a tensor of shape"),
        ("return group.tensors[0].numpy()", rf"{NAME}: TypeError: Merge method mine must return a tensor"),
        ("return group.tensors[0] / 0", rf"{NAME} has values that are not finite"),
        ("return group.tensors[0] * float('nan')", rf"{NAME} has values that are not finite"),
        ("raise ValueError('first line\\n  second line')", rf"{NAME}: ValueError: first line second line$"),
        ("return torch.linalg.svd(group.tensors[0]).Vh @ missing", rf"{NAME}: NameError: name 'missing'"),
        ("assert group.metadata.name is None", rf"{NAME}: AssertionError"),
        ("sys.exit('that was it')", rf"{NAME}: SystemExit: that was it"),
    ],
)
def test_a_method_that_fails_is_named_with_its_tensor_and_leaves_nothing(
    folder: Path, far: dict[str, Path], tmp_path: Path, body: str, said: str
) -> None:
    (folder / "mine.py").write_text(text(body))
    output = tmp_path / "out" / "model"
    output.mkdir(parents=True)
    (output / "theirs").touch()
    with pytest.raises(UserError, match=rf"^merge by mine: {said}") as caught:
        run(far, {"method": "mine"}, output, base=False)
    assert "\n" not in str(caught.value)
    assert [path.name for path in output.parent.rglob("*")] == ["model", "theirs"]


@pytest.mark.parametrize(
    "body",
    [
        "return group.tensors[0].double()",
        "return group.tensors[0].to(torch.bfloat16).float()",
        "return torch.nn.Parameter(group.tensors[0])",
        "return group.tensors[0].t().contiguous().t() if group.tensors[0].ndim == 2 else group.tensors[0]",
        "return group.tensors[0]",
    ],
)
@pytest.mark.parametrize("out", [None, "float16"])
def test_whatever_type_a_method_returns_what_is_written_is_the_parents_or_the_chosen_one(
    folder: Path, far: dict[str, Path], tmp_path: Path, body: str, out: str | None
) -> None:
    (folder / "mine.py").write_text(text(body))
    run(far, {"method": "mine", "out_dtype": out}, tmp_path / "merged", base=False)
    merged, first = weights(tmp_path / "merged"), weights(far["first"])
    for name, tensor in merged.items():
        assert tensor.dtype == (torch.float16 if out else torch.float32)
        torch.testing.assert_close(tensor.float(), first[name], rtol=0.01, atol=0.01)


def test_a_method_that_changes_its_inputs_changes_no_parent_and_no_other_input(
    folder: Path, far: dict[str, Path], tmp_path: Path
) -> None:
    """Even where one model is two of the parents: weights are mapped into memory from its file."""
    (folder / "mine.py").write_text(text("return group.tensors[0].mul_(2) + group.tensors[1].mul_(3)"))
    before = {path: path.read_bytes() for path in far["first"].iterdir()}
    for name in ("once", "again"):
        merge({"method": "mine"}, [far["first"], far["first"]], None, tmp_path / name)
    assert all(path.read_bytes() == content for path, content in before.items())
    first = weights(far["first"])
    for name, tensor in weights(tmp_path / "once").items():
        torch.testing.assert_close(tensor, 5 * first[name])
    assert_same_bits(weights(tmp_path / "once"), weights(tmp_path / "again"))


@pytest.mark.parametrize("source", ["torch", "python", "numpy"])
def test_generators_are_given_back_as_they_were(
    folder: Path, far: dict[str, Path], tmp_path: Path, source: str
) -> None:
    before = with_mergekit._states()
    run(far, {"method": "dropping", "weights": 1.0, "source": source, "seed": 0}, tmp_path / "merged")
    assert with_mergekit._states() == before
