import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import reference_merges as reference
import torch
from transformers import CohereForCausalLM

from tests.unit.merge.tiny import (
    AYA,
    CASES,
    DARE,
    LINEAR,
    METHODS,
    PARENTS,
    ROOT,
    SLERP,
    TIES,
    Case,
    assert_close,
    assert_same_bits,
    case,
    completed,
    float64,
    merge,
    merge_arrays,
    run,
    run_case,
    weights,
    write_model,
)
from workflow_scripts.base import work_counter
from workflow_scripts.base.errors import UserError
from workflow_scripts.config.merge_methods import DRAW
from workflow_scripts.merge import with_mergekit


@pytest.mark.parametrize("method", ["linear", "ties"])
def test_sharded_parents_merge_as_unsharded_ones(models: dict[str, Path], tmp_path: Path, method: str) -> None:
    sharded = dict(models)
    for name in ("base", "second"):
        sharded[name] = tmp_path / name
        CohereForCausalLM.from_pretrained(models[name]).save_pretrained(sharded[name], max_shard_size="200KB")
        assert (sharded[name] / "model.safetensors.index.json").exists()
    run(models, METHODS[method], tmp_path / "whole")
    run(sharded, METHODS[method], tmp_path / "merged")
    for file in (tmp_path / "whole").iterdir():
        assert file.read_bytes() == (tmp_path / "merged" / file.name).read_bytes(), file.name


def test_merged_model_is_whole_for_transformers(models: dict[str, Path], tmp_path: Path) -> None:
    facts = run(models, TIES | {"out_dtype": "bfloat16"}, tmp_path / "merged")
    model, info = CohereForCausalLM.from_pretrained(tmp_path / "merged", output_loading_info=True)
    assert not any(info.values()), info
    assert model.dtype == torch.bfloat16
    assert model.get_input_embeddings().weight.shape == (512, 64)  # not trimmed to the tokenizer's 12
    assert facts == {"tensors": 18, "parameters": model.num_parameters()}


def test_output_holds_the_model_and_its_tokenizer_and_nothing_else(models: dict[str, Path], tmp_path: Path) -> None:
    run(models, LINEAR, tmp_path / "merged")
    assert {file.name for file in (tmp_path / "merged").iterdir()} == {
        "config.json",
        "model.safetensors",
        "tokenizer.json",
        "tokenizer_config.json",
        "chat_template.jinja",
        "generation_config.json",
    }
    assert [path.name for path in tmp_path.iterdir()] == ["merged"]
    for name in ("chat_template.jinja", "tokenizer.json", "generation_config.json"):
        assert (tmp_path / "merged" / name).read_bytes() == (models["first"] / name).read_bytes()
    assert json.loads((tmp_path / "merged" / "config.json").read_text()) == AYA


def test_tensors_that_mergekit_does_not_list_are_merged_too(tmp_path: Path) -> None:
    tensors = {"model.norm.weight": torch.ones(4), "model.layers.0.self_attn.q_proj.bias": torch.ones(4)}
    config = AYA | {"num_hidden_layers": 1}
    parents = [write_model(tmp_path / str(k), {n: k * t for n, t in tensors.items()}, config) for k in (1, 3)]
    merge(LINEAR | {"weights": [1, 1]}, parents, None, tmp_path / "merged")
    assert weights(tmp_path / "merged")["model.layers.0.self_attn.q_proj.bias"].tolist() == [2.0] * 4


@pytest.mark.parametrize(
    ("types", "written"),
    [
        (("float16", "float16"), "float16"),
        (("bfloat16", "float32"), "float32"),
        (("float16", "bfloat16"), "float32"),
        (("float64", "float16"), "float64"),
    ],
)
def test_the_narrowest_type_that_holds_the_parents_is_written_tensor_by_tensor(
    tmp_path: Path, types: tuple[str, str], written: str
) -> None:
    tensors = torch.randn(2, 3, 4, generator=torch.Generator().manual_seed(0))
    parents = [
        write_model(
            tmp_path / str(index),
            {"model.layers.0.w": tensor.to(getattr(torch, dtype)), "model.layers.1.w": tensor.bfloat16()},
        )
        for index, (tensor, dtype) in enumerate(zip(tensors, types, strict=True))
    ]
    merge(METHODS["linear"], parents, None, tmp_path / "merged")
    merged = weights(tmp_path / "merged")
    assert merged["model.layers.0.w"].dtype == getattr(torch, written)
    assert merged["model.layers.1.w"].dtype == torch.bfloat16


@pytest.mark.parametrize("one", CASES, ids=str)
def test_tensors_of_any_shape_merge(tmp_path: Path, one: Case) -> None:
    """A number, a column, a stack; but DELLA ranks within rows, so it names a tensor whose rows hold one value."""
    generator = torch.Generator().manual_seed(0)
    shapes = {"number": (), "one": (1,), "column": (5, 1), "row": (1, 5), "stack": (2, 3, 4)}
    if one.method in ("della", "della_linear"):
        with pytest.raises(UserError, match=r"^merge by della.*: model\.layers\.0\.column: RuntimeError: "):
            merge_arrays(one.recipe, [np.ones((5, 1))] * 2, np.zeros((5, 1)), name="model.layers.0.column")
        shapes = {"row": (1, 5), "stack": (2, 3, 4)}
    models = {
        model: write_model(
            tmp_path / model, {f"model.layers.0.{n}": torch.randn(s, generator=generator) for n, s in shapes.items()}
        )
        for model in ("base", *PARENTS)
    }
    run_case(models, one, tmp_path / "merged")
    merged = weights(tmp_path / "merged")
    assert {name.rpartition(".")[2]: tuple(tensor.shape) for name, tensor in merged.items()} == shapes


def test_each_tensor_written_is_counted(
    models: dict[str, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MIXMERGE_METER", str(tmp_path / "meter"))
    run(models, SLERP, tmp_path / "merged")
    assert work_counter.totals(tmp_path / "meter") == {"merged_tensors": 18}


@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
@pytest.mark.parametrize(
    ("recipe", "parent"),
    [
        (LINEAR | {"weights": [1, 0]}, "first"),
        (LINEAR | {"weights": [0, 2.0]}, "second"),
        (SLERP | {"t": 0}, "first"),
        (SLERP | {"t": 1}, "second"),
    ],
)
def test_the_ends_of_an_interpolation_are_the_parents_to_the_bit(
    models: dict[str, Path], tmp_path: Path, recipe: dict, parent: str, dtype: str
) -> None:
    run(models, recipe | {"dtype": dtype, "out_dtype": dtype}, tmp_path / "merged")
    expected = {name: tensor.to(getattr(torch, dtype)) for name, tensor in weights(models[parent]).items()}
    assert_same_bits(weights(tmp_path / "merged"), expected)


@pytest.mark.parametrize(
    ("recipe", "parents"),
    [
        (LINEAR, ("first", "first")),
        (SLERP, ("first", "first")),
        (TIES | {"density": [1, 1]}, ("first", "first")),
        (TIES | {"density": [1.0], "weights": [1.0]}, ("first",)),
        (DARE | {"density": [1.0], "weights": [1.0]}, ("first",)),
        (TIES | {"lambda": 0.0}, ("base", "base")),
    ],
)
def test_a_model_merged_with_itself_is_itself(
    models: dict[str, Path], tmp_path: Path, recipe: dict, parents: tuple[str, ...]
) -> None:
    facts = run(models, recipe, tmp_path / "merged", parents)
    assert_close(tmp_path / "merged", float64(models[parents[0]]))
    assert facts.get("slerp_linear_share", 1.0) == 1.0


def test_the_share_that_slerp_interpolates_linearly_is_said(models: dict[str, Path], tmp_path: Path) -> None:
    facts = run(models, SLERP, tmp_path / "merged")
    one, two = float64(models["first"]), float64(models["second"])
    straight = sum(one[n].size for n in one if reference.cosine(one[n], two[n]) > 0.9995)
    assert 0 < straight < sum(tensor.size for tensor in one.values()), "the models should need both branches"
    assert facts["slerp_linear_share"] == straight / facts["parameters"]
    assert_close(tmp_path / "merged", {n: reference.slerp(one[n], two[n], SLERP["t"]) for n in one})


def test_masks_are_drawn_from_the_seed_and_the_tensors_name(models: dict[str, Path], tmp_path: Path) -> None:
    """As docs/merging.md says: one generator for each tensor, the parents' masks one after another."""
    recipe = completed(DARE, 2, base=True)
    run(models, DARE, tmp_path / "merged")
    base, one, two = (float64(models[name]) for name in ("base", "first", "second"))
    expected = {}
    for name, start in base.items():
        generator = torch.Generator().manual_seed(with_mergekit.draw_seed(DARE["seed"], name))
        drawn = [torch.bernoulli(torch.full(start.shape, d), generator=generator) for d in recipe["density"]]
        masks = [mask.double().numpy() for mask in drawn]
        settings = [recipe[key] for key in ("weights", "normalize", "rescale", "lambda")]
        expected[name] = reference.from_task_vectors(start, [one[name], two[name]], masks, *settings, elect=True)
    assert_close(tmp_path / "merged", expected)


MERGE_ALL = """
import json, sys
from pathlib import Path
import torch
from workflow_scripts.merge import with_mergekit
for threads in (2, 4):
    torch.set_num_threads(threads)  # what mergekit's --num-threads does
    for name, (recipe, parents, base) in json.loads(sys.argv[1]).items():
        output = Path(f"with {threads}", name)
        with_mergekit.merge(recipe, [Path(p) for p in parents], Path(base) if base else None, output)
        assert torch.get_num_threads() == threads
"""


def test_bits_do_not_depend_on_threads_paths_or_process(tmp_path: Path) -> None:
    generator = torch.Generator().manual_seed(0)
    # Beyond 32,768 values torch splits a sum among its threads, and adds up in another order.
    shapes = {"model.layers.0.large": (300, 512), "model.layers.1.small": (16, 12), "model.norm.weight": (16,)}
    models = {
        name: write_model(tmp_path / name, {key: torch.randn(one, generator=generator) for key, one in shapes.items()})
        for name in ("base", *PARENTS)
    }
    cases = [*CASES, case("ties", 3, rescale=True), case("nuslerp", base=True), case("multislerp", base=True)]
    jobs = {}
    for one in cases:
        parents = [str(models[name]) for name in PARENTS[: one.parents]]
        jobs[str(one)] = (completed(*one), parents, str(models["base"]) if one.base else None)
    subprocess.run(
        [sys.executable, "-c", MERGE_ALL, json.dumps(jobs)],
        env={**os.environ, "OMP_NUM_THREADS": "4", "PYTHONPATH": str(ROOT)},
        cwd=tmp_path,
        check=True,
    )
    ambient = torch.get_num_threads()
    torch.set_num_threads(1)
    for one in cases:
        run_case(models, one, tmp_path / "with 1" / str(one))
    torch.set_num_threads(ambient)
    for one in cases:
        files = sorted(file.name for file in (tmp_path / "with 1" / str(one)).iterdir())
        assert "model.safetensors" in files
        for name in files:
            contents = [(tmp_path / f"with {n}" / str(one) / name).read_bytes() for n in (1, 2, 4)]
            assert contents[0] == contents[1] == contents[2], (str(one), name)


def test_a_seed_decides_the_draws_and_leaves_torchs_generator_alone(models: dict[str, Path], tmp_path: Path) -> None:
    torch.manual_seed(1)
    before = torch.get_rng_state()
    run(models, DARE, tmp_path / "once")
    assert torch.equal(torch.get_rng_state(), before)
    torch.manual_seed(2)
    run(models, DARE, tmp_path / "again")
    assert_same_bits(weights(tmp_path / "once"), weights(tmp_path / "again"))
    run(models, DARE | {"seed": 6}, tmp_path / "other")
    other = weights(tmp_path / "other")
    assert not any(torch.equal(other[name], tensor) for name, tensor in weights(tmp_path / "once").items())


@pytest.mark.parametrize("one", [case(name) for name in sorted(DRAW)], ids=str)
def test_another_seed_gives_another_merge(far: dict[str, Path], tmp_path: Path, one: Case) -> None:
    for name, seed in (("once", 5), ("again", 5), ("other", 6)):
        run_case(far, one._replace(recipe=one.recipe | {"seed": seed}), tmp_path / name)
    assert_same_bits(weights(tmp_path / "once"), weights(tmp_path / "again"))
    once, other = weights(tmp_path / "once"), weights(tmp_path / "other")
    assert not any(torch.equal(once[name], other[name]) for name in once)


def test_arcee_fusion_draws_in_tensors_of_more_than_a_million_values_and_its_seed_decides(tmp_path: Path) -> None:
    """It estimates quantiles from a sample of a million; smaller tensors are the same whatever the seed."""
    generator = torch.Generator().manual_seed(0)
    shapes = {"model.layers.0.large": (1001, 1000), "model.layers.0.small": (50, 40)}
    base = {name: torch.randn(shape, generator=generator) for name, shape in shapes.items()}
    other = {name: tensor + torch.randn(tensor.shape, generator=generator) for name, tensor in base.items()}
    parents = [write_model(tmp_path / name, tensors) for name, tensors in (("base", base), ("other", other))]
    torch.manual_seed(1)
    found = {}
    for name, changes in {"default": {}, "zero": {"seed": 0}, "one": {"seed": 1}}.items():
        merge(METHODS["arcee_fusion"] | changes, parents, None, tmp_path / "merged" / name)
        found[name] = weights(tmp_path / "merged" / name)
    assert_same_bits(found["default"], found["zero"])
    assert torch.equal(found["zero"]["model.layers.0.small"], found["one"]["model.layers.0.small"])
    differ = found["zero"]["model.layers.0.large"] != found["one"]["model.layers.0.large"]
    assert 0 < differ.float().mean() < 0.01


def test_a_tensors_draws_are_its_own(models: dict[str, Path], tmp_path: Path) -> None:
    run(models, DARE, tmp_path / "whole")
    name = "model.layers.1.mlp.up_proj.weight"
    alone = {
        model: write_model(tmp_path / model, {name: weights(path)[name], "model.layers.0.w": torch.ones(1)})
        for model, path in models.items()
    }
    run(alone, DARE, tmp_path / "merged")
    assert torch.equal(weights(tmp_path / "merged")[name], weights(tmp_path / "whole")[name])
    assert len({with_mergekit.draw_seed(seed, tensor) for seed in (1, 2) for tensor in ("a", "b")}) == 4


@pytest.mark.skipif(not Path("/proc/self/maps").exists(), reason="needs Linux")
def test_nothing_of_a_parent_stays_open(models: dict[str, Path], tmp_path: Path) -> None:
    run(models, SLERP, tmp_path / "merged")
    assert not is_open(models["first"])


def is_open(model: Path) -> bool:
    return str(model) in Path("/proc/self/maps").read_text()
