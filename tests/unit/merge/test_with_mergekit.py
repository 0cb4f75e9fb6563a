import json
import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np
import pytest
import reference_merges as reference
import torch
import yaml
from hypothesis import example, given, settings
from hypothesis import strategies as st
from mergekit import merge_methods as mergekit_methods
from mergekit.io.tasks import LoaderCache
from safetensors.torch import load_file, save_file
from tokenizers import Tokenizer
from tokenizers.models import WordLevel
from transformers import AutoConfig, CohereForCausalLM, LlamaConfig, PreTrainedTokenizerFast

from workflow_scripts.base import work_counter
from workflow_scripts.base.errors import UserError
from workflow_scripts.merge import merge_methods, with_mergekit
from workflow_scripts.models.architecture import check_compatible

ROOT = Path(__file__).parents[3]

# Aya's flags, and a vocabulary larger than the tokenizer's, as Aya's is.
AYA = {
    "architectures": ["CohereForCausalLM"],
    "model_type": "cohere",
    "vocab_size": 2048,
    "hidden_size": 64,
    "intermediate_size": 96,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "logit_scale": 0.0625,
    "use_qk_norm": False,
    "tie_word_embeddings": True,
    "layer_norm_eps": 1e-5,
    "bos_token_id": 1,
    "eos_token_id": 2,
    "pad_token_id": 0,
    "dtype": "float32",
}
SHAPES = {"embed_tokens.weight": (2048, 64), "norm.weight": (64,)} | {
    f"layers.{layer}.{part}.weight": shape
    for layer in (0, 1)
    for part, shape in {
        "input_layernorm": (64,),
        "self_attn.q_proj": (64, 64),
        "self_attn.k_proj": (32, 64),
        "self_attn.v_proj": (32, 64),
        "self_attn.o_proj": (64, 64),
        "mlp.gate_proj": (96, 64),
        "mlp.up_proj": (96, 64),
        "mlp.down_proj": (64, 96),
    }.items()
}
SHAPES = {f"model.{name}": shape for name, shape in SHAPES.items()}

LINEAR = {"method": "linear", "weights": [0.7, 0.3], "normalize": True, "dtype": "float32"}
SLERP = {"method": "slerp", "t": 0.3, "dtype": "float32"}
TIES = {
    "method": "ties",
    "weights": [0.7, 1.5],
    "densities": [0.5, 0.3],
    "normalize": True,
    "rescale": False,
    "lambda": 1.0,
    "int8_mask": False,
    "dtype": "float32",
}
DARE = TIES | {"method": "dare_ties", "normalize": False, "rescale": True, "seed": 5}
METHODS = {"linear": LINEAR, "slerp": SLERP, "ties": TIES, "dare_ties": DARE}


def write_model(path: Path, tensors: dict[str, torch.Tensor], config: dict = AYA) -> Path:
    path.mkdir(parents=True)
    (path / "config.json").write_text(json.dumps(config))
    save_file(tensors, path / "model.safetensors", metadata={"format": "pt"})
    return path


def fine_tuned(base: dict[str, torch.Tensor], seed: int) -> dict[str, torch.Tensor]:
    """Base plus differences that are exact in float32 and of which no two in a tensor are equally large."""
    generator = torch.Generator().manual_seed(seed)
    tensors = {}
    for name, tensor in base.items():
        sizes = 1 + torch.randperm(tensor.numel(), generator=generator).reshape(tensor.shape)
        signs = torch.randint(0, 2, tensor.shape, generator=generator) * 2 - 1
        tensors[name] = tensor + signs * sizes / 2**20
    return tensors


@pytest.fixture(scope="module")
def models(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    folder = tmp_path_factory.mktemp("models")
    generator = torch.Generator().manual_seed(0)
    base = {name: torch.randint(-64, 65, shape, generator=generator) / 2**12 for name, shape in SHAPES.items()}
    paths = {"base": write_model(folder / "base", base)}
    words = {word: index for index, word in enumerate(["<pad>", "<s>", "</s>", "<unk>", *"abcdefgh"])}
    for seed, name in enumerate(("first", "second"), start=1):
        paths[name] = write_model(folder / name, fine_tuned(base, seed))
        tokenizer = PreTrainedTokenizerFast(tokenizer_object=Tokenizer(WordLevel(words, unk_token="<unk>")))
        tokenizer.chat_template = "{{ messages[0]['content'] }}"
        tokenizer.save_pretrained(paths[name])
    (paths["first"] / "generation_config.json").write_text('{"eos_token_id": 2}')
    return paths


def run(models: dict[str, Path], recipe: dict, output: Path, parents: tuple[str, ...] = ("first", "second")) -> dict:
    base = models["base"] if merge_methods.METHODS[recipe["method"]].base else None
    return with_mergekit.merge(recipe, [models[name] for name in parents], base, output)


def weights(model: Path) -> dict[str, torch.Tensor]:
    return load_file(model / "model.safetensors")


def float64(model: Path) -> dict[str, np.ndarray]:
    return {name: tensor.double().numpy() for name, tensor in weights(model).items()}


def assert_same_bits(one: dict[str, torch.Tensor], other: dict[str, torch.Tensor]) -> None:
    assert one.keys() == other.keys()
    for name in one:
        assert one[name].dtype == other[name].dtype
        assert torch.equal(one[name], other[name]), name


def assert_close(model: Path, expected: dict[str, np.ndarray]) -> None:
    merged = float64(model)
    assert merged.keys() == expected.keys()
    for name in merged:
        np.testing.assert_allclose(merged[name], expected[name], rtol=2e-6, atol=2e-8, err_msg=name)


def drawn_masks(seed: int, name: str, densities: list[float], shape: tuple[int, ...]) -> list[np.ndarray]:
    """The masks of a seeded merge, by what docs/merging.md says of them."""
    generator = torch.Generator().manual_seed(with_mergekit.draw_seed(seed, name))
    return [torch.bernoulli(torch.full(shape, d), generator=generator).double().numpy() for d in densities]


# --- a model like Aya


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
    facts = run(models, TIES | {"dtype": "bfloat16"}, tmp_path / "merged")
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


# --- identities


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
    run(models, recipe | {"dtype": dtype}, tmp_path / "merged")
    expected = {name: tensor.to(getattr(torch, dtype)) for name, tensor in weights(models[parent]).items()}
    assert_same_bits(weights(tmp_path / "merged"), expected)


@pytest.mark.parametrize(
    ("recipe", "parents"),
    [
        (LINEAR, ("first", "first")),
        (SLERP, ("first", "first")),
        (TIES | {"densities": [1, 1]}, ("first", "first")),
        (TIES | {"densities": [1.0], "weights": [1.0]}, ("first",)),
        (DARE | {"densities": [1.0], "weights": [1.0]}, ("first",)),
        (TIES | {"lambda": 0.0}, ("base", "base")),
    ],
)
def test_a_model_merged_with_itself_is_itself(
    models: dict[str, Path], tmp_path: Path, recipe: dict, parents: tuple[str, ...]
) -> None:
    facts = run(models, recipe, tmp_path / "merged", parents)
    assert_close(tmp_path / "merged", float64(models[parents[0]]))
    assert facts.get("slerp_linear_share", 1.0) == 1.0


# --- agreement with float64 and with mergekit's command


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
        {"weights": [1.0, -0.5], "densities": [1.0, 0.9]},
        {"int8_mask": True},
    ],
)
def test_ties_agrees_with_float64(models: dict[str, Path], tmp_path: Path, changes: dict) -> None:
    recipe = TIES | changes
    run(models, recipe, tmp_path / "merged")
    base, one, two = (float64(models[name]) for name in ("base", "first", "second"))
    settings = [recipe[key] for key in ("weights", "densities", "normalize", "rescale", "lambda")]
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
            drawn_masks(recipe["seed"], n, recipe["densities"], base[n].shape),
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
        base = llamas["base"] if merge_methods.METHODS[method].base else None
        built = merge_methods.build_config(recipe, [llamas["first"], llamas["second"]], base)
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


# --- the maths, on many small tensors

NUMBERS = st.floats(-4, 4, allow_nan=False, width=16)
TINY = AYA | {"num_hidden_layers": 1}


def merge_vectors(recipe: dict, parents: list[np.ndarray], base: np.ndarray | None) -> np.ndarray:
    with tempfile.TemporaryDirectory() as folder:
        paths = [
            write_model(Path(folder) / str(index), {"model.layers.0.w": torch.tensor(vector).float()}, TINY)
            for index, vector in enumerate([*parents, *([] if base is None else [base])])
        ]
        with_mergekit.merge(recipe, paths[: len(parents)], None if base is None else paths[-1], Path(folder) / "merged")
        return float64(Path(folder) / "merged")["model.layers.0.w"]


@settings(max_examples=20, deadline=None)
@given(
    vectors=st.integers(1, 4).flatmap(
        lambda n: st.lists(st.lists(NUMBERS, min_size=n, max_size=n), min_size=2, max_size=4)
    ),
    weight=st.floats(0.1, 3),
)
def test_linear_with_equal_weights_is_the_mean_in_any_order(vectors: list[list[float]], weight: float) -> None:
    recipe = LINEAR | {"weights": [weight] * len(vectors)}
    parents = [np.array(vector) for vector in vectors]
    merged = merge_vectors(recipe, parents, None)
    np.testing.assert_allclose(merged, np.mean(parents, axis=0), rtol=1e-5, atol=1e-6)
    np.testing.assert_allclose(merged, merge_vectors(recipe, parents[::-1], None), rtol=1e-5, atol=1e-6)


@settings(max_examples=20, deadline=None)
@given(angle=st.floats(0.1, 3.0), t=st.floats(0, 1), size=st.floats(0.1, 10))
def test_slerp_turns_at_constant_speed_and_keeps_the_length(angle: float, t: float, size: float) -> None:
    start, end = size * np.array([1, 0, 0]), size * np.array([np.cos(angle), np.sin(angle), 0])
    merged = merge_vectors(SLERP | {"t": t}, [start, end], None)
    expected = size * np.array([np.cos(t * angle), np.sin(t * angle), 0])
    np.testing.assert_allclose(merged, expected, atol=2e-5 * size)


@settings(max_examples=20, deadline=None)
@given(
    base=st.lists(NUMBERS, min_size=12, max_size=12),
    density=st.floats(0.05, 1),
    magnitudes=st.lists(st.sampled_from([-3.0, -2.0, -1.0, -0.5, 0.5, 1.0, 2.0, 3.0]), min_size=12, max_size=12),
)
@example(base=[0.0] * 12, density=0.5, magnitudes=[1.0, -1.0] * 6)
def test_ties_trims_the_stated_share_and_differs_only_where_magnitudes_tie(
    base: list[float], density: float, magnitudes: list[float]
) -> None:
    # Halves and quarters on a grid of 1/1024: every difference is exact in float32.
    origin = np.round(np.array(base) * 1024) / 1024
    delta = np.array(magnitudes)
    recipe = TIES | {"weights": [1.0], "densities": [density]}
    kept = merge_vectors(recipe, [origin + delta], origin) - origin
    expected = delta * reference.largest(delta, density)
    assert np.count_nonzero(kept) == np.count_nonzero(expected) == (12 if density >= 1 else max(1, int(density * 12)))
    threshold = np.abs(expected[expected != 0]).min()
    assert set(np.abs((kept - expected)[kept != expected])) <= {threshold}
    assert np.abs(kept).sum() == np.abs(expected).sum()


@settings(max_examples=20, deadline=None)
@given(seed=st.integers(0, 2**40), density=st.floats(0.2, 1))
def test_dare_keeps_the_l1_norm_not_the_expectation(seed: int, density: float) -> None:
    delta = np.linspace(-1, 1, 60)
    recipe = DARE | {"weights": [1.0], "densities": [density], "seed": seed}
    merged = merge_vectors(recipe, [delta], np.zeros(60))
    np.testing.assert_allclose(np.abs(merged).sum(), np.abs(delta).sum(), rtol=1e-5)
    kept = merged != 0
    assert len(np.unique(np.round(merged[kept] / delta[kept], 4))) == 1, "one factor for all"


@settings(max_examples=100, deadline=None)
@given(seed=st.integers(0, 10**6), angle=st.floats(0.0305, 0.0335) | st.floats(0, 3.2))
def test_the_linear_share_is_what_mergekit_decides(seed: int, angle: float) -> None:
    one, other = torch.randn(2, 300, generator=torch.Generator().manual_seed(seed))
    other -= one * (one @ other) / (one @ one)
    two = np.cos(angle) * one + np.sin(angle) * other / other.norm() * one.norm()
    decisions = []
    acos = torch.acos
    with pytest.MonkeyPatch.context() as patch:
        # mergekit takes the angle of the cosine, or of 0 in place of a cosine above its threshold.
        patch.setattr(torch, "acos", lambda cosine: (decisions.append(bool((cosine == 0).all())), acos(cosine))[1])
        mergekit_methods.merge_tensors([one, two], "slerp", parameters={"t": 0.5}, base_index=0)
    assert [with_mergekit.interpolates_linearly(one, two)] == decisions


# --- gradients over depth


def test_a_gradient_gives_layers_embeddings_and_final_norm_their_own_values(
    models: dict[str, Path], tmp_path: Path
) -> None:
    falling = {"layers": [1, 0], "embeddings": 0.25, "final_norm": 0}
    rising = {"layers": [0, 1], "embeddings": 0.75, "final_norm": 1}
    run(models, LINEAR | {"weights": [falling, rising]}, tmp_path / "linear")
    run(models, SLERP | {"t": rising}, tmp_path / "slerp")
    one, two = weights(models["first"]), weights(models["second"])
    for model in ("linear", "slerp"):
        merged = weights(tmp_path / model)
        assert all(torch.equal(merged[name], one[name]) for name in merged if ".layers.0." in name)
        assert all(torch.equal(merged[name], two[name]) for name in merged if ".layers.1." in name)
        assert torch.equal(merged["model.norm.weight"], two["model.norm.weight"])
    name = "model.embed_tokens.weight"
    torch.testing.assert_close(weights(tmp_path / "linear")[name], 0.25 * one[name] + 0.75 * two[name])


def test_a_gradient_is_interpolated_over_depth(tmp_path: Path) -> None:
    config = AYA | {"num_hidden_layers": 5}
    parents = [
        write_model(tmp_path / str(k), {f"model.layers.{n}.w": torch.full((2,), float(k)) for n in range(5)}, config)
        for k in (0, 1)
    ]
    gradient = {"layers": [0, 1, 0.5], "embeddings": 0, "final_norm": 0}
    with_mergekit.merge(LINEAR | {"weights": [1, gradient], "normalize": False}, parents, None, tmp_path / "merged")
    merged = weights(tmp_path / "merged")
    assert [merged[f"model.layers.{n}.w"][0].item() for n in range(5)] == [0, 0.5, 1, 0.75, 0.5]


def test_a_gradient_refuses_a_tensor_that_it_gives_no_value(tmp_path: Path) -> None:
    parents = [write_model(tmp_path / str(k), {"model.strange.w": torch.ones(2)}, AYA) for k in (0, 1)]
    with pytest.raises(UserError, match=r"model\.strange\.w lies in no layer"):
        gradient = {"layers": [0, 1], "embeddings": 0, "final_norm": 0}
        with_mergekit.merge(SLERP | {"t": gradient}, parents, None, tmp_path / "merged")


# --- the same bits

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
    recipes = [LINEAR, SLERP, TIES | {"rescale": True}, DARE]
    parents = [str(models[name]) for name in ("first", "second")]
    jobs = [(recipe, parents, str(models["base"]) if "densities" in recipe else None) for recipe in recipes]
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


# --- the configuration


@pytest.mark.parametrize("method", METHODS)
def test_every_parameter_of_mergekit_is_stated(method: str) -> None:
    base = Path("base") if merge_methods.METHODS[method].base else None
    built = merge_methods.build_config(METHODS[method], [Path("a"), Path("b")], base)
    stated = set(built["parameters"]).union(*(model["parameters"] for model in built["models"]))
    assert stated == {parameter.name for parameter in mergekit_methods.get(method).spec.parameters}
    assert not {"tokenizer_source", "tokenizer", "chat_template"} & built.keys()


def test_methods_are_known_without_importing_torch() -> None:
    modules = ("models.architecture", "models.directory", "merge.merge_methods")
    code = f"import sys, {', '.join(f'workflow_scripts.{m}' for m in modules)}; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], cwd=ROOT, check=False).returncode == 0


@pytest.mark.parametrize(
    ("recipe", "parents", "base", "message"),
    [
        ({"method": "median"}, 2, False, "'median' is not known"),
        ({k: v for k, v in TIES.items() if k != "rescale"}, 2, True, "`rescale` is missing"),
        ({k: v for k, v in DARE.items() if k != "seed"}, 2, True, "`seed` is missing"),
        (LINEAR | {"t": 0.5}, 2, False, "takes no `t`"),
        (TIES | {"seed": 1}, 2, True, "takes no `seed`"),
        (LINEAR | {"dtype": "int8"}, 2, False, "`dtype` is 'int8'"),
        (DARE | {"seed": 0.5}, 2, True, "`seed` is 0.5"),
        (SLERP, 3, False, "exactly 2 parents, not 3"),
        (LINEAR, 3, False, r"`weights` must be a list with one value per parent \(3\)"),
        (TIES, 2, False, "needs a base model"),
        (SLERP, 2, True, "takes no base model"),
        (LINEAR | {"weights": [1, -1]}, 2, False, "sum to 0"),
        (LINEAR | {"weights": [1, float("nan")]}, 2, False, "must be a number, not nan"),
        (TIES | {"densities": [0.5, 0]}, 2, True, "must be above 0 and at most 1, not 0"),
        (TIES | {"normalize": 1}, 2, True, "must be true or false, not 1"),
        (SLERP | {"t": 1.5}, 2, False, "not 1.5"),
        (SLERP | {"t": {"layers": [0, 1]}}, 2, False, "a gradient has `layers`"),
        (SLERP | {"t": {"layers": [0, 2], "embeddings": 0, "final_norm": 0}}, 2, False, "not 2"),
    ],
)
def test_a_wrong_setting_is_named(recipe: dict, parents: int, base: bool, message: str) -> None:
    with pytest.raises(UserError, match=message) as caught:
        merge_methods.check(recipe, parents, base)
    assert "\n" not in str(caught.value)


# --- refusals, which leave nothing behind


@pytest.fixture
def output(tmp_path: Path):
    """An output directory with a file of its owner's; a refused merge leaves it and its surroundings alone."""
    folder = tmp_path / "results" / "model"
    folder.mkdir(parents=True)
    (folder / "theirs").touch()
    yield folder
    assert [path.name for path in folder.iterdir()] == ["theirs"]
    assert [path.name for path in folder.parent.iterdir()] == ["model"]


@pytest.mark.parametrize(
    ("key", "value"),
    [("logit_scale", 0.125), ("vocab_size", 2000), ("num_key_value_heads", 4), ("architectures", ["LlamaForCausalLM"])],
)
def test_models_that_do_not_fit_are_refused(
    models: dict[str, Path], tmp_path: Path, output: Path, key: str, value: object
) -> None:
    other = write_model(tmp_path / "other", weights(models["second"]), AYA | {key: value})
    with pytest.raises(UserError, match=rf"other/config\.json: {key} is "):
        with_mergekit.merge(LINEAR, [models["first"], other], None, output)


def test_weights_of_another_shape_are_refused(models: dict[str, Path], tmp_path: Path, output: Path) -> None:
    tensors = weights(models["second"]) | {"model.norm.weight": torch.ones(65)}
    other = write_model(tmp_path / "other", tensors)
    with pytest.raises(UserError, match=r"other: tensor model\.norm\.weight is not as in"):
        with_mergekit.merge(LINEAR, [models["first"], other], None, output)


def test_a_truncated_file_is_named(models: dict[str, Path], tmp_path: Path, output: Path) -> None:
    other = Path(shutil.copytree(models["second"], tmp_path / "other"))
    os.truncate(other / "model.safetensors", 5000)
    with pytest.raises(UserError, match=r"other/model\.safetensors: not a whole safetensors file"):
        with_mergekit.merge(LINEAR, [models["first"], other], None, output)


def test_a_missing_file_is_named(models: dict[str, Path], tmp_path: Path, output: Path) -> None:
    other = tmp_path / "other"
    CohereForCausalLM.from_pretrained(models["second"]).save_pretrained(other, max_shard_size="200KB")
    shard = sorted(other.glob("model-*.safetensors"))[1]
    shard.unlink()
    with pytest.raises(UserError, match=f"{shard.name}: no such file"):
        with_mergekit.merge(LINEAR, [models["first"], other], None, output)
    (other / "config.json").unlink()
    with pytest.raises(UserError, match=r"other/config\.json: no such file"):
        with_mergekit.merge(LINEAR, [models["first"], other], None, output)


def test_a_shard_that_lacks_a_tensor_of_the_index_is_refused(
    models: dict[str, Path], tmp_path: Path, output: Path
) -> None:
    other = Path(shutil.copytree(models["second"], tmp_path / "other"))
    index = {"weight_map": dict.fromkeys([*SHAPES, "model.lost"], "model.safetensors")}
    (other / "model.safetensors.index.json").write_text(json.dumps(index))
    with pytest.raises(UserError, match=r"index\.json: tensor model\.lost"):
        with_mergekit.merge(LINEAR, [models["first"], other], None, output)


def test_quantised_weights_are_refused(models: dict[str, Path], tmp_path: Path, output: Path) -> None:
    other = write_model(tmp_path / "other", {n: t.to(torch.int8) for n, t in weights(models["second"]).items()})
    with pytest.raises(UserError, match="is I8; merge unquantised weights"):
        with_mergekit.merge(LINEAR, [models["first"], other], None, output)


def test_weights_that_are_not_finite_are_refused(models: dict[str, Path], tmp_path: Path, output: Path) -> None:
    tensors = weights(models["second"])
    tensors["model.norm.weight"][3] = float("nan")
    other = write_model(tmp_path / "other", tensors)
    with pytest.raises(UserError, match=r"model\.norm\.weight has values that are not finite"):
        with_mergekit.merge(LINEAR, [models["first"], other], None, output)
    assert LoaderCache.loaders == {}


def test_another_mergekit_is_refused(models: dict[str, Path], output: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(with_mergekit.metadata, "version", lambda name: "0.2.0")
    with pytest.raises(UserError, match=r"mergekit 0\.2\.0 is installed, but merges need 0\.1\.5"):
        run(models, LINEAR, output)


# --- which configs fit


def test_configs_saved_by_two_versions_of_transformers_fit() -> None:
    old = {k: v for k, v in AYA.items() if k not in ("logit_scale", "use_qk_norm", "dtype")}
    old |= {"rope_theta": 10000.0, "torch_dtype": "float16", "transformers_version": "4.40.0"}
    new = AYA | {"rope_parameters": {"rope_theta": 10000.0, "rope_type": "default"}, "use_cache": False}
    assert check_compatible([old, new]) is None
    assert check_compatible([old, new, AYA | {"rope_theta": 5e5}]) == "rope_theta is 500000.0, not 10000.0"


def test_a_logit_scale_left_out_is_coheres_default() -> None:
    absent = {key: value for key, value in AYA.items() if key != "logit_scale"}
    assert check_compatible([absent, AYA | {"logit_scale": 0.125}]) == "logit_scale is 0.125, not 0.0625"
    assert AutoConfig.for_model("cohere").logit_scale == 0.0625


def test_a_key_unknown_here_must_agree() -> None:
    assert check_compatible([AYA | {"novelty": 1}, AYA | {"novelty": 2}]) == "novelty is 2, not 1"
