import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import reference_merges as reference
import torch
import yaml
from mergekit.io.tasks import LoaderCache
from safetensors.torch import save_file
from transformers import CohereForCausalLM, LlamaConfig

from tests.unit.merge.mergekit_yaml import build_config
from tests.unit.merge.tiny import (
    AYA,
    DARE,
    LINEAR,
    METHODS,
    ROOT,
    SLERP,
    TIES,
    assert_close,
    assert_same_bits,
    float64,
    run,
    weights,
    write_model,
)
from tests.unit.merge.tiny import models as models  # the fixture
from workflow_scripts.base import work_counter
from workflow_scripts.merge import with_mergekit
from workflow_scripts.merge.methods import METHODS as ROWS


def drawn_masks(seed: int, name: str, densities: list[float], shape: tuple[int, ...]) -> list[np.ndarray]:
    """The masks of a seeded merge, by what docs/merging.md says of them."""
    generator = torch.Generator().manual_seed(with_mergekit.draw_seed(seed, name))
    return [torch.bernoulli(torch.full(shape, d), generator=generator).double().numpy() for d in densities]


@pytest.mark.parametrize("method", METHODS)
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
    assert model.get_input_embeddings().weight.shape == (2048, 64)  # not trimmed to the tokenizer's 12
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
    with_mergekit.merge(LINEAR | {"weights": [1, 1]}, parents, None, tmp_path / "merged")
    assert weights(tmp_path / "merged")["model.layers.0.self_attn.q_proj.bias"].tolist() == [2.0] * 4


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


@pytest.mark.parametrize("normalize", [True, False])
def test_linear_agrees_with_float64(models: dict[str, Path], tmp_path: Path, normalize: bool) -> None:
    recipe = LINEAR | {"weights": [0.7, 0.6], "normalize": normalize}
    run(models, recipe, tmp_path / "merged")
    one, two = float64(models["first"]), float64(models["second"])
    assert_close(
        tmp_path / "merged", {n: reference.linear([one[n], two[n]], recipe["weights"], normalize) for n in one}
    )


@pytest.mark.parametrize("t", [0.1, 0.5, 0.8])
def test_slerp_agrees_with_float64(models: dict[str, Path], tmp_path: Path, t: float) -> None:
    facts = run(models, SLERP | {"t": t}, tmp_path / "merged")
    one, two = float64(models["first"]), float64(models["second"])
    assert_close(tmp_path / "merged", {n: reference.slerp(one[n], two[n], t) for n in one})
    straight = sum(one[n].size for n in one if reference.cosine(one[n], two[n]) > 0.9995)
    assert 0 < straight < sum(tensor.size for tensor in one.values()), "the models should need both branches"
    assert facts["slerp_linear_share"] == straight / facts["parameters"]


@pytest.mark.parametrize(
    "changes",
    [
        {},
        {"normalize": False},
        {"rescale": True, "lambda": 0.6},
        {"weights": [1.0, -0.5], "density": [1.0, 0.9]},
        {"int8_mask": True},
    ],
)
def test_ties_agrees_with_float64(models: dict[str, Path], tmp_path: Path, changes: dict) -> None:
    recipe = TIES | changes
    run(models, recipe, tmp_path / "merged")
    base, one, two = (float64(models[name]) for name in ("base", "first", "second"))
    settings = [recipe[key] for key in ("weights", "density", "normalize", "rescale", "lambda")]
    assert_close(tmp_path / "merged", {n: reference.ties(base[n], [one[n], two[n]], *settings) for n in base})


@pytest.mark.parametrize("changes", [{}, {"normalize": True}, {"rescale": False, "lambda": 2.0, "seed": 0}])
def test_dare_ties_agrees_with_float64_given_its_masks(models: dict[str, Path], tmp_path: Path, changes: dict) -> None:
    recipe = DARE | changes
    run(models, recipe, tmp_path / "merged")
    base, one, two = (float64(models[name]) for name in ("base", "first", "second"))
    settings = [recipe[key] for key in ("weights", "normalize", "rescale", "lambda")]
    expected = {
        n: reference.dare_ties(
            base[n],
            [one[n], two[n]],
            drawn_masks(recipe["seed"], n, recipe["density"], base[n].shape),
            *settings,
        )
        for n in base
    }
    assert_close(tmp_path / "merged", expected)


MERGEKIT_YAML = """
import sys
import torch
from mergekit.scripts.run_yaml import main
def every_second(probabilities):
    return (torch.arange(probabilities.numel()) % 2).reshape(probabilities.shape).to(probabilities.dtype)
torch.bernoulli = every_second
for name in sys.argv[1:]:
    main([name + ".yaml", name, "--quiet"], standalone_mode=False)
"""


def test_all_methods_agree_with_mergekits_command_to_the_bit(
    models: dict[str, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # A Llama, which mergekit's command accepts; Cohere without query and key norms it refuses.
    config = LlamaConfig(**{key: value for key, value in AYA.items() if key not in ("architectures", "model_type")})
    config.architectures = ["LlamaForCausalLM"]
    config.head_dim = 16
    llamas = {name: write_model(tmp_path / name, weights(model), config.to_dict()) for name, model in models.items()}
    for name in llamas:  # Llama's second norm of a layer
        tensors = weights(llamas[name])
        norms = {key: value.clone() for key, value in tensors.items() if "input_layernorm" in key}
        extra = {key.replace("input", "post_attention"): value for key, value in norms.items()}
        save_file(tensors | extra, llamas[name] / "model.safetensors", metadata={"format": "pt"})
    for method, recipe in METHODS.items():
        base = llamas["base"] if ROWS[method].needs_base else None
        built = build_config(recipe, [llamas["first"], llamas["second"]], base)
        (tmp_path / f"{method}.yaml").write_text(yaml.safe_dump(built))
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    subprocess.run(
        [sys.executable, "-c", MERGEKIT_YAML, *METHODS], cwd=tmp_path, env=environment, check=True, capture_output=True
    )
    names = {}
    exec(MERGEKIT_YAML[MERGEKIT_YAML.index("def") : MERGEKIT_YAML.index("torch.bernoulli =")], {"torch": torch}, names)
    monkeypatch.setattr(torch, "bernoulli", names["every_second"])
    for method, recipe in METHODS.items():
        run(llamas, recipe, tmp_path / "ours" / method)
        assert_same_bits(weights(tmp_path / "ours" / method), weights(tmp_path / method))


MERGE_ALL = """
import json, sys
from pathlib import Path
import torch
from workflow_scripts.merge import with_mergekit
for threads in (2, 4):
    torch.set_num_threads(threads)  # what mergekit's --num-threads does
    for recipe, parents, base in json.loads(sys.argv[1]):
        output = Path(f"with {threads}", recipe["method"])
        with_mergekit.merge(recipe, [Path(p) for p in parents], Path(base) if base else None, output)
        assert torch.get_num_threads() == threads
"""


def test_bits_do_not_depend_on_threads_paths_or_process(models: dict[str, Path], tmp_path: Path) -> None:
    recipes = [*(METHODS | {"ties": TIES | {"rescale": True}}).values()]
    parents = [str(models[name]) for name in ("first", "second")]
    jobs = [(recipe, parents, str(models["base"]) if ROWS[recipe["method"]].needs_base else None) for recipe in recipes]
    subprocess.run(
        [sys.executable, "-c", MERGE_ALL, json.dumps(jobs)],
        env={**os.environ, "OMP_NUM_THREADS": "4", "PYTHONPATH": str(ROOT)},
        cwd=tmp_path,
        check=True,
    )
    ambient = torch.get_num_threads()
    torch.set_num_threads(1)
    for recipe in recipes:
        run(models, recipe, tmp_path / "with 1" / recipe["method"])
    torch.set_num_threads(ambient)
    for method in METHODS:
        files = sorted(file.name for file in (tmp_path / "with 1" / method).iterdir())
        assert "model.safetensors" in files
        for name in files:
            one, two, four = ((tmp_path / f"with {n}" / method / name).read_bytes() for n in (1, 2, 4))
            assert one == two == four, (method, name)


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


def test_nothing_of_a_parent_stays_open(models: dict[str, Path], tmp_path: Path) -> None:
    run(models, SLERP, tmp_path / "merged")
    assert LoaderCache.loaders == {}
