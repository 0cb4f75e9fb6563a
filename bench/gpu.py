"""What an 8B model costs on a GPU: tokens per second, peak memory, model FLOP utilisation.  `make bench-gpu`.

A random model of Aya 23 8B's shape (by its config.json) trains by SFT and DPO, with LoRA and in full, merges, and
generates, in bfloat16, through the functions that the stages call.  Each part runs in a process of its own, so that
peaks are its own, and leaves a JSON file; `--write` puts what is there into docs/gpu.md.

    python -m bench.gpu --shape aya                  # all parts, on a GPU
    python -m bench.gpu --shape tiny                 # the same code in seconds on a CPU; its figures mean nothing
    python -m bench.gpu --shape aya --parts sft-lora merge-ties
"""

import argparse
import importlib.metadata
import json
import platform
import resource
import shutil
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

from workflow_scripts.models import model_size

GIB = 1024**3
SHAPES: dict[str, dict[str, Any]] = {
    "aya": {
        "hidden_size": 4096,
        "intermediate_size": 14336,
        "num_hidden_layers": 32,
        "num_attention_heads": 32,
        "num_key_value_heads": 8,
        "max_position_embeddings": 8192,
        "logit_scale": 0.0625,
        "use_qk_norm": False,
        "tie_word_embeddings": True,
        "vocab_size": 256_000,
    },
    "tiny": {
        "hidden_size": 128,
        "intermediate_size": 256,
        "num_hidden_layers": 2,
        "num_attention_heads": 4,
        "num_key_value_heads": 2,
        "max_position_embeddings": 8192,
        "logit_scale": 0.0625,
        "use_qk_norm": False,
        "tie_word_embeddings": True,
        "vocab_size": 2_000,
    },
}
SIZES = {  # of a row, a step, and the answers
    "aya": {"length": 1024, "batch": 16, "steps": 8, "prompts": 256, "prompt": 128, "new": 128, "generating": 64},
    "tiny": {"length": 64, "batch": 4, "steps": 4, "prompts": 8, "prompt": 8, "new": 8, "generating": 4},
}
# Dense bfloat16 operations per second by NVIDIA's data sheets (H100 SXM and H200: 989; A100: 312).
PEAKS = {"H100": 989e12, "H200": 989e12, "A100": 312e12}
LORA = {"r": 16, "alpha": 32, "dropout": 0.0, "targets": "all-linear"}
FULL = {"lora": None, "weights": "bfloat16", "optimizer": "adamw_torch_fused"}  # 8 bytes a parameter
TRAININGS = {
    "sft-lora": {"method": "sft", "lora": LORA},
    "dpo-lora": {"method": "dpo", "lora": LORA},
    "dpo-lora-precomputed": {"method": "dpo", "lora": LORA, "precompute_reference": True},
    "sft-full": {"method": "sft", **FULL},
    "dpo-full-precomputed": {"method": "dpo", "precompute_reference": True, **FULL},
}
TASK = {"weights": [1.0, 1.0], "densities": [0.5, 0.5], "normalize": True, "lambda": 1.0, "int8_mask": False}
MERGES: dict[str, dict[str, Any]] = {
    "merge-linear": {"method": "linear", "weights": [0.5, 0.5], "normalize": True},
    "merge-slerp": {"method": "slerp", "t": 0.5},
    "merge-ties": {"method": "ties", "rescale": False, **TASK},
    "merge-dare_ties": {"method": "dare_ties", "rescale": True, "seed": 0, **TASK},
}
GENERATIONS = {"generate-transformers": "transformers", "generate-vllm": "vllm"}
PARTS = [*TRAININGS, *MERGES, *GENERATIONS]
PACKAGES = ("torch", "transformers", "trl", "peft", "accelerate", "mergekit", "vllm")
BEGIN, END = "<!-- figures: written by bench/gpu.py -->", "<!-- end of figures -->"


def words(count: int) -> list[str]:
    return [f"w{number}" for number in range(count)]


def rows(shape: str) -> Any:
    """Rows of exactly `length` tokens, which name every word of the vocabulary between them where they are enough."""
    import pyarrow as pa

    from workflow_scripts.base import records

    size = SIZES[shape]
    known = words(SHAPES[shape]["vocab_size"] - 7)
    half = (size["length"] - 7) // 2  # the template takes seven tokens of a row
    made = []
    for number in range(max(size["batch"] * size["steps"], 1)):
        text = [known[(number * 2 * half + place) % len(known)] for place in range(2 * half)]
        answer = {
            "prompt": " ".join(text[:half]),
            "completion": " ".join(text[half:]),
            "rejected": " ".join(text[:half]),
        }
        name = {"id": f"r{number}", "source_prompt_id": f"r{number}", "language": "en", "source": "s", "split": "train"}
        made.append({**dict.fromkeys(records.ROWS.names), **name, **answer})
    return pa.Table.from_pylist(made, schema=records.ROWS)


def initialise(shape: str, folder: Path) -> None:
    """A random model in bfloat16, made where it is fastest, and a tokenizer with as many words as it has embeddings."""
    import pyarrow as pa
    import torch
    from transformers import CohereConfig, CohereForCausalLM

    from workflow_scripts.base import records
    from workflow_scripts.train import random_model

    if (folder / "model.safetensors").exists():
        return
    architecture = SHAPES[shape]
    everything = {**dict.fromkeys(records.ROWS.names, "x"), "categories": None}
    everything["prompt"] = " ".join(words(architecture["vocab_size"] - 7))
    small = {"hidden_size": 8, "intermediate_size": 8, "num_hidden_layers": 1, "num_attention_heads": 1}
    told = pa.Table.from_pylist([{**everything, "completion": "w0", "rejected": "w0"}], schema=records.ROWS)
    random_model.initialise({"architecture": small, "seed": 0}, told, folder)
    ids = {
        name: json.loads((folder / "config.json").read_text())[name]
        for name in ("bos_token_id", "eos_token_id", "pad_token_id")
    }
    torch.manual_seed(0)
    torch.set_default_dtype(torch.bfloat16)
    with torch.device("cuda" if torch.cuda.is_available() else "cpu"):
        model = CohereForCausalLM(CohereConfig(**architecture, **ids))
    model.save_pretrained(folder, max_shard_size="1TB")


def train(part: str, shape: str, folder: Path) -> dict[str, Any]:
    from workflow_scripts.train import trainer, watch

    size, settings = SIZES[shape], settings_of(part, shape)
    moments: list[float] = []
    watch.work_counter = type("Moments", (), {"count": staticmethod(lambda *_: moments.append(moment()))})  # type: ignore[assignment]
    output = folder / part
    trainer.train(settings, folder / "init", rows(shape), folder / "work", output)
    shutil.rmtree(folder / "work", ignore_errors=True)
    if part != "sft-lora":  # which is merged
        shutil.rmtree(output)
    each = size["batch"] * size["length"] * (2 if settings["method"] == "dpo" else 1)
    tokens, seconds = each * (len(moments) - 1), moments[-1] - moments[0]
    architecture = SHAPES[shape]
    flops = model_size.training_flops(architecture, tokens, size["length"], full=not settings["lora"])
    if settings["method"] == "dpo" and not settings["precompute_reference"]:
        flops += model_size.generation_flops(architecture, tokens, size["length"])
    expected = model_size.training_memory(architecture, settings).total
    return {"tokens_per_second": tokens / seconds, "flops_per_second": flops / seconds, "estimated_gib": expected / GIB}


def settings_of(part: str, shape: str) -> dict[str, Any]:
    from workflow_scripts.config.training import Training

    size = SIZES[shape]
    stated = {
        "batch_size": size["batch"],
        "accumulation": size["batch"] // 2,
        "learning_rate": 1e-5,
        "max_length": size["length"],
        "precision": "bfloat16",
        "gradient_checkpointing": True,
        "save_steps": 10_000,
    }
    return {**Training(**{**stated, **TRAININGS[part]}).model_dump(), "seed": 0}  # type: ignore[arg-type]


def merge(part: str, shape: str, folder: Path) -> dict[str, Any]:
    from workflow_scripts.merge import with_mergekit

    recipe = {**MERGES[part], "dtype": "bfloat16"}
    has_base = recipe["method"] in ("ties", "dare_ties")
    began = moment()
    base = folder / "init" if has_base else None
    facts = with_mergekit.merge(recipe, [folder / "init", folder / "sft-lora"], base, folder / "merged")
    seconds = moment() - began
    shutil.rmtree(folder / "merged")
    expected = model_size.merge_memory(SHAPES[shape], 2 + has_base, workers=1)
    return {"seconds": seconds, "parameters_per_second": facts["parameters"] / seconds, "estimated_gib": expected / GIB}


def generate(part: str, shape: str, folder: Path) -> dict[str, Any]:
    from workflow_scripts.generate.engine import start

    size = SIZES[shape]
    known = words(SHAPES[shape]["vocab_size"] - 7)
    prompts = [
        " ".join(known[(31 * n + 7 * k) % len(known)] for k in range(size["prompt"])) for n in range(size["prompts"])
    ]
    recipe = {
        "engine": GENERATIONS[part],
        "batch_size": size["generating"],
        "max_new_tokens": size["new"],
        "max_model_len": size["prompt"] + size["new"] + 16,
        "temperature": 0.0,
        "top_p": 1.0,
        "seed": 0,
        "threads": 1,
        "precision": "bfloat16",
        "tensor_parallel": 1,
    }
    began = moment()
    engine = start(recipe, folder / "init")
    ready = moment()
    made = sum(completion.completion_tokens for completion in engine.generate(prompts))
    done = moment()
    engine.exchange(folder / "sft-lora")
    exchanged = moment()
    answered = size["prompts"] * (size["prompt"] + 5) + made
    flops = model_size.generation_flops(SHAPES[shape], answered, size["prompt"])
    expected = model_size.generation_memory(SHAPES[shape], recipe).total
    return {
        "tokens_per_second": made / (done - ready),
        "flops_per_second": flops / (done - ready),
        "seconds_to_start": ready - began,
        "seconds_to_exchange": exchanged - done,
        "estimated_gib": expected / GIB,
    }


def moment() -> float:
    """Seconds, when the device has done what it was given."""
    import torch

    if torch.cuda.is_available():
        torch.cuda.synchronize()
    return time.perf_counter()


def measure(part: str, shape: str, folder: Path) -> dict[str, Any]:
    """One part, in this process, with what it ran on."""
    import torch

    work = train if part in TRAININGS else merge if part in MERGES else generate
    found = work(part, shape, folder)
    is_on_device = torch.cuda.is_available() and part not in MERGES
    main_memory = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
    device = torch.cuda.get_device_name() if torch.cuda.is_available() else platform.processor() or "CPU"
    peak = next((rate for name, rate in PEAKS.items() if name in device), None)
    return {
        "part": part,
        "shape": shape,
        "device": device,
        "peak_gib": (torch.cuda.max_memory_reserved() if is_on_device else main_memory) / GIB,
        "utilisation": found["flops_per_second"] / peak if peak and "flops_per_second" in found else None,
        "versions": {name: version(name) for name in PACKAGES if version(name)},
        **found,
    }


def version(package: str) -> str | None:
    try:
        return importlib.metadata.version(package)
    except importlib.metadata.PackageNotFoundError:
        return None


def table(found: list[dict[str, Any]]) -> str:
    """What was measured, as Markdown."""
    lines = [
        "| part | tokens per second | peak memory, GiB | estimated, GiB | MFU | besides |",
        "|---|---|---|---|---|---|",
    ]
    for one in found:
        speed = f"{one['tokens_per_second']:,.0f}" if "tokens_per_second" in one else ""
        used = f"{one['utilisation']:.0%}" if one["utilisation"] else ""
        besides = ", ".join(f"{name.replace('_', ' ')} {one[name]:.1f}" for name in one if name.startswith("seconds"))
        lines.append(
            f"| {one['part']} | {speed} | {one['peak_gib']:.1f} | {one['estimated_gib']:.1f} | {used} | {besides} |"
        )
    versions = {name: number for one in found for name, number in one["versions"].items()}
    told = ", ".join(f"{name} {number}" for name, number in sorted(versions.items()))
    devices = sorted({one["device"] for one in found})
    return "\n".join([f"On {', '.join(devices)}; Python {platform.python_version()}, {told}.", "", *lines])


def main() -> None:
    parser = argparse.ArgumentParser(prog="bench.gpu", description=__doc__)
    parser.add_argument("--shape", choices=SHAPES, required=True)
    parser.add_argument("--parts", nargs="+", choices=PARTS, default=PARTS)
    parser.add_argument("--folder", type=Path, default=Path("results/bench-gpu"))
    parser.add_argument(
        "--write", type=Path, help="put what was measured, now or before, into this file's marked place"
    )
    parser.add_argument("--one", choices=[*PARTS, "init"], help=argparse.SUPPRESS)
    given = parser.parse_args()
    folder = given.folder / given.shape
    if given.one == "init":
        return initialise(given.shape, folder / "init")
    if given.one:
        print(json.dumps(measure(given.one, given.shape, folder)))
        return None
    for part in ["init", *given.parts]:
        command = [
            sys.executable,
            "-m",
            "bench.gpu",
            "--shape",
            given.shape,
            "--folder",
            str(given.folder),
            "--one",
            part,
        ]
        done = subprocess.run(command, stdout=subprocess.PIPE, text=True)
        if done.returncode:
            print(f"{part}: failed, see above", file=sys.stderr)  # as where a model does not fit: the others go on
        elif part != "init":
            (folder / f"{part}.json").write_text(done.stdout.splitlines()[-1])
    found = [json.loads(path.read_text()) for part in PARTS if (path := folder / f"{part}.json").exists()]
    print(table(found))
    if given.write:
        before, _, rest = given.write.read_text().partition(BEGIN)
        given.write.write_text(f"{before}{BEGIN}\n{table(found)}\n{END}{rest.partition(END)[2]}")
    return None


if __name__ == "__main__":
    main()
