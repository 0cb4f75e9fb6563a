"""Every method gives the bits of mergekit's own command, `mergekit-yaml`, on models that the command accepts.

The four methods that draw are given one pattern instead of what they draw, on both sides: mergekit draws from torch's
generator without a seed, and from one tensor to the next.
"""

import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch
import yaml
from transformers import LlamaConfig

from tests.unit.merge.mergekit_yaml import build_config
from tests.unit.merge.tiny import (
    CASES,
    METHODS,
    PARENTS,
    ROWS,
    Case,
    assert_same_bits,
    case,
    completed,
    run_case,
    weights,
    write_model,
)

# A Llama, since mergekit's command refuses a Cohere without query and key norms, which Aya is.
LLAMA = {
    **LlamaConfig(
        vocab_size=48, hidden_size=16, intermediate_size=24, num_hidden_layers=4, num_attention_heads=2,
        num_key_value_heads=1, tie_word_embeddings=False,
    ).to_dict(),
    "architectures": ["LlamaForCausalLM"],
}  # fmt: skip
SHAPES = {"lm_head.weight": (48, 16), "model.embed_tokens.weight": (48, 16), "model.norm.weight": (16,)} | {
    f"model.layers.{layer}.{part}.weight": shape
    for layer in range(4)
    for part, shape in {
        "input_layernorm": (16,),
        "post_attention_layernorm": (16,),
        "self_attn.q_proj": (16, 16),
        "self_attn.k_proj": (8, 16),
        "self_attn.v_proj": (8, 16),
        "self_attn.o_proj": (16, 16),
        "mlp.gate_proj": (24, 16),
        "mlp.up_proj": (24, 16),
        "mlp.down_proj": (16, 24),
    }.items()
}

LINES = """
import sys
import torch
from mergekit.scripts.run_yaml import main
def every_second(probabilities):
    return (torch.arange(probabilities.numel()) % 2).reshape(probabilities.shape).to(probabilities.dtype)
torch.bernoulli = every_second
for name in sys.argv[1:]:
    main([name + ".yaml", name, "--quiet", "--no-copy-tokenizer", "--no-write-model-card"], standalone_mode=False)
"""

# Parameters that vary over depth, in every method that has one: at each layer, and outside the layers, another value.
VARY = {
    "weights": [
        {"layers": [0.9, 0.2], "embeddings": 0.5, "final_norm": 0.3},
        {"layers": [0.3, 0.4, 0.8], "embeddings": 0.7, "final_norm": 0.1},
    ],
    "density": {"layers": [0.2, 0.6], "embeddings": 0.7, "final_norm": 0.5},
    "t": {"layers": [0.1, 0.9], "embeddings": 0.3, "final_norm": 1.0},
    "lambda": {"layers": [1.0, 0.5, 0.8], "embeddings": 0.7, "final_norm": 0.9},
    "scale": {"layers": [1.0, 0.5], "embeddings": 2.0, "final_norm": -1.0},
    "select_topk": {"layers": [0.3, 1.0], "embeddings": 0.8, "final_norm": 0.5},
}


def varying(method: str) -> dict[str, object]:
    return {key: value for key, value in VARY.items() if key in ROWS[method].parameters}


MERGES: dict[str, tuple[str, Case]] = {  # a name for each -> the data type of the parents, the merge
    **{f"{dtype}-{one.method}": (dtype, one) for one in CASES for dtype in ("float32", "bfloat16")},
    **{f"gradient-{name}": ("float32", case(name, **changes)) for name in METHODS if (changes := varying(name))},
    **{f"in-bfloat16-{name}": ("float32", case(name, dtype="bfloat16")) for name in ("linear", "slerp", "ties")},
    "narrower": ("float32", case("linear", out_dtype="float16")),
    "wider": ("float16", case("ties", out_dtype="float32")),
    "three": ("float32", case("ties", 3, weights=[0.2, 0.9, 0.4])),
    "stock": ("float32", case("model_stock", 3, filter_wise=True)),
    "nuslerp-base": ("float32", case("nuslerp", base=True, weights=[0.2, 0.7])),
    "nuslerp-rows": ("float32", case("nuslerp", weights=[0.2, 0.7], nuslerp_flatten=False)),
    "multislerp-base": ("float32", case("multislerp", 3, base=True)),
}  # fmt: skip


@pytest.fixture(scope="module")
def llamas(tmp_path_factory: pytest.TempPathFactory) -> dict[str, dict[str, Path]]:
    """The base and three models by name, in three data types."""
    folder = tmp_path_factory.mktemp("llamas")
    generator = torch.Generator().manual_seed(0)
    base = {name: torch.randn(shape, generator=generator) for name, shape in SHAPES.items()}
    tensors = {"base": base} | {
        name: {key: tensor + 0.3 * torch.randn(tensor.shape, generator=generator) for key, tensor in base.items()}
        for name in PARENTS
    }
    return {
        dtype: {
            name: write_model(
                folder / dtype / name, {key: one.to(getattr(torch, dtype)) for key, one in own.items()}, LLAMA
            )
            for name, own in tensors.items()
        }
        for dtype in ("float32", "bfloat16", "float16")
    }


@pytest.fixture(scope="module")
def commanded(llamas: dict[str, dict[str, Path]], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What the command makes of all merges, each in a folder of its name; in one process, for its imports' sake."""
    folder = tmp_path_factory.mktemp("commanded")
    for name, (dtype, one) in MERGES.items():
        parents = [llamas[dtype][parent] for parent in PARENTS[: one.parents]]
        built = build_config(completed(*one), parents, llamas[dtype]["base"] if one.base else None, dtype)
        (folder / f"{name}.yaml").write_text(yaml.safe_dump(built))
    done = subprocess.run(
        [sys.executable, "-c", LINES, *MERGES],
        cwd=folder,
        env={**os.environ, "OMP_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr[-2000:]
    return folder


@pytest.mark.parametrize("name", MERGES)
def test_bits_are_those_of_mergekits_command(
    name: str,
    llamas: dict[str, dict[str, Path]],
    commanded: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    names: dict = {}
    exec(LINES[LINES.index("def") : LINES.index("torch.bernoulli =")], {"torch": torch}, names)
    monkeypatch.setattr(torch, "bernoulli", names["every_second"])
    dtype, one = MERGES[name]
    run_case(llamas[dtype], one, tmp_path / "ours")
    assert_same_bits(weights(tmp_path / "ours"), weights(commanded / name))


def test_every_method_is_compared() -> None:
    for kind in ("float32", "bfloat16"):
        assert {one.method for name, (dtype, one) in MERGES.items() if name.startswith(kind)} == METHODS.keys()
    assert {one.method for name, (_, one) in MERGES.items() if name.startswith("gradient")} == {
        name for name, row in ROWS.items() if VARY.keys() & row.parameters.keys()
    }
