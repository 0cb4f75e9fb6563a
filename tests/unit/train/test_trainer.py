import hashlib
import json
import math
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
import torch
from safetensors.torch import load_file, save_file
from transformers import AutoModelForCausalLM, AutoTokenizer

from workflow_scripts.base import records, work_counter
from workflow_scripts.base.errors import UserError
from workflow_scripts.models import directory
from workflow_scripts.train import trainer

ARCHITECTURE = {
    "hidden_size": 16,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "intermediate_size": 32,
    "logit_scale": 0.5,
    "use_qk_norm": False,
    "tie_word_embeddings": True,
    "initializer_range": 0.2,
    "max_position_embeddings": 64,
}
RECIPE = {
    "method": "sft",
    "seed": 3,
    "threads": 1,
    "epochs": 1,
    "batch_size": 4,
    "accumulation": 1,
    "processes": 1,
    "parallel": "ddp",
    "learning_rate": 1e-2,
    "scheduler": "constant",
    "scheduler_options": {},
    "warmup_steps": 0,
    "max_grad_norm": 1.0,
    "weight_decay": 0.0,
    "max_length": 40,
    "precision": "float32",
    "weights": "float32",
    "gradient_checkpointing": False,
    "packing": False,
    "length_grouping": False,
    "save_steps": 3,
    "logging_steps": 2,
    "optimizer": "adamw_torch",
    "betas": [0.9, 0.999],
    "epsilon": 1e-8,
    "precompute_reference": False,
    "beta": 0.5,
    "loss_type": "sigmoid",
    "lora": None,
    "trust_remote_code": False,
}
LORA = {"r": 2, "alpha": 4, "dropout": 0.1, "targets": "all-linear"}
WAYS = {"sft": {}, "dpo": {"method": "dpo"}, "lora": {"lora": LORA}, "dpo-lora": {"method": "dpo", "lora": LORA}}


def table(prompts: list[str], completions: list[str | None], rejected: list[str | None]) -> pa.Table:
    return pa.Table.from_pylist(
        [
            {
                **dict.fromkeys(records.ROWS.names, None),
                **{"id": f"r{i}", "source_prompt_id": f"p{i}", "language": "en", "source": "s", "split": "train"},
                **{"prompt": prompt, "completion": completion, "rejected": other},
            }
            for i, (prompt, completion, other) in enumerate(zip(prompts, completions, rejected, strict=True))
        ],
        schema=records.ROWS,
    )


def words(start: int, count: int) -> str:
    return " ".join(f"w{(start * 7 + step * 3) % 29}" for step in range(count))


ROWS = table(
    [words(i, 2 + i % 5) for i in range(32)],
    [words(i + 1, 1 + i % 4) for i in range(32)],
    [words(i + 2, 1 + i % 3) for i in range(32)],
)


@pytest.fixture(scope="module")
def parent(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("models") / "init"
    trainer.initialise({"architecture": ARCHITECTURE, "seed": 0}, ROWS, path)
    return path


def bits(directory: Path) -> dict[str, str]:
    return {file.name: hashlib.sha256(file.read_bytes()).hexdigest() for file in sorted(directory.iterdir())}


def train(tmp: Path, parent: Path, name: str = "run", rows: pa.Table = ROWS, **changes: Any) -> tuple[dict, Path]:
    result = trainer.train({**RECIPE, **changes}, parent, rows, tmp / f"{name}.work", tmp / name)
    return result, tmp / name


def losses(result: dict) -> dict[int, float]:
    return {row["step"]: row["value"] for row in result["curve"].to_pylist() if row["metric"] == "loss"}


def log_probabilities(model: Path, rows: pa.Table, column: str) -> tuple[torch.Tensor, torch.Tensor]:
    """Sum of log p of each answer's tokens, and their number: by plain transformers, one row at a time."""
    network, tokenizer = AutoModelForCausalLM.from_pretrained(model), AutoTokenizer.from_pretrained(model)
    sums, counts = [], []
    for row in rows.to_pylist():
        start = f"<BOS_TOKEN><|START_OF_TURN_TOKEN|><|USER_TOKEN|>{row['prompt']}<|END_OF_TURN_TOKEN|>"
        prompt = tokenizer(f"{start}<|START_OF_TURN_TOKEN|><|CHATBOT_TOKEN|>")["input_ids"]
        answer = tokenizer(f"{row[column]}<|END_OF_TURN_TOKEN|>")["input_ids"]
        with torch.no_grad():
            scores = network(torch.tensor([prompt + answer])).logits[0, len(prompt) - 1 : -1].log_softmax(-1)
        sums.append(scores[range(len(answer)), answer].sum())
        counts.append(len(answer))
    return torch.stack(sums), torch.tensor(counts)


# ---- initialise


def test_same_seed_makes_the_same_bytes_and_another_seed_other_weights(parent: Path, tmp_path: Path) -> None:
    for seed in (0, 1):
        trainer.initialise({"architecture": ARCHITECTURE, "seed": seed}, ROWS, tmp_path / str(seed))
    assert bits(tmp_path / "0") == bits(parent)
    differing = {name for name, value in bits(tmp_path / "1").items() if bits(parent)[name] != value}
    assert differing == {"model.safetensors"}


def test_initialised_model_is_shaped_like_aya(parent: Path) -> None:
    config = json.loads((parent / "config.json").read_text())
    assert config["architectures"] == ["CohereForCausalLM"]
    assert config["use_qk_norm"] is False and config["tie_word_embeddings"] is True and config["logit_scale"] == 0.5
    assert "_name_or_path" not in config
    names = {name: tensor.dtype for name, tensor in directory.tensors(parent).items()}
    assert "lm_head.weight" not in names and not any("q_norm" in name for name in names)
    assert set(names.values()) == {"F32"}


def test_tokenizer_gives_pre_spaced_text_back_and_names_unknown_words(parent: Path) -> None:
    tokenizer = AutoTokenizer.from_pretrained(parent)
    for text in (words(5, 9), "w1"):
        assert tokenizer.decode(tokenizer(text)["input_ids"]) == text
    assert tokenizer.convert_ids_to_tokens(tokenizer("w1 zebra")["input_ids"]) == ["w1", "<UNK>"]


def test_prompt_with_generation_prompt_is_an_exact_prefix(parent: Path) -> None:
    tokenizer = AutoTokenizer.from_pretrained(parent)
    turns = [{"role": "user", "content": "w1 w2"}, {"role": "assistant", "content": "w3"}]
    prompt = tokenizer.apply_chat_template(turns[:1], tokenize=False, add_generation_prompt=True)
    whole = tokenizer.apply_chat_template(turns, tokenize=False)
    assert whole == prompt + "w3<|END_OF_TURN_TOKEN|>"
    assert tokenizer.eos_token == "<|END_OF_TURN_TOKEN|>"


@pytest.mark.parametrize("wrong", [{"hidden_size": "wide"}, {"hiden_size": 16}])
def test_a_wrong_architecture_is_a_user_error(tmp_path: Path, wrong: dict) -> None:
    with pytest.raises(UserError, match=f"architecture.*{next(iter(wrong))}"):
        trainer.initialise({"architecture": {**ARCHITECTURE, **wrong}, "seed": 0}, ROWS, tmp_path / "x")


# ---- what is learnt


@pytest.mark.parametrize("packing", [False, True])
def test_sft_loss_is_that_of_the_completions_alone(parent: Path, tmp_path: Path, packing: bool) -> None:
    result, _ = train(tmp_path, parent, max_steps=1, batch_size=32, logging_steps=1, packing=packing, max_length=64)
    sums, counts = log_probabilities(parent, ROWS, "completion")
    if packing:  # an epoch is a few packs, which all fit in the batch: no document may see its neighbours
        assert result["cost"]["examples"] == 32
    assert losses(result)[1] == pytest.approx(float(-sums.sum() / counts.sum()), abs=1e-5)


@pytest.mark.parametrize("lora", [None, {**LORA, "dropout": 0.0}])
def test_dpo_measures_against_its_parent_at_every_step(parent: Path, tmp_path: Path, lora: dict | None) -> None:
    changes = {"method": "dpo", "batch_size": 32, "logging_steps": 1, "lora": lora}
    _, first = train(tmp_path, parent, "first", max_steps=1, **changes)
    result, _ = train(tmp_path, parent, "second", max_steps=2, **changes)
    gap = sum(
        sign * (log_probabilities(model, ROWS, column)[0])
        for model, side in ((first, 1), (parent, -1))
        for column, sign in (("completion", side), ("rejected", -side))
    )
    assert losses(result)[1] == pytest.approx(math.log(2), abs=1e-6)
    assert losses(result)[2] == pytest.approx(float(-torch.nn.functional.logsigmoid(0.5 * gap).mean()), abs=1e-5)
    assert losses(result)[2] < math.log(2) - 0.01


@pytest.mark.parametrize("lora", [None, {**LORA, "dropout": 0.0}])
def test_a_reference_computed_beforehand_teaches_the_same_and_is_not_computed_again(
    parent: Path, tmp_path: Path, lora: dict | None
) -> None:
    changes = {"method": "dpo", "lora": lora, "logging_steps": 1}
    at_each_step, _ = train(tmp_path, parent, "steps", **changes)
    before, output = train(tmp_path, parent, "before", precompute_reference=True, **changes)
    assert losses(before) == pytest.approx(losses(at_each_step), abs=1e-5)
    kept = tmp_path / "before.work" / trainer.REFERENCE
    sums, _ = log_probabilities(parent, ROWS, "completion")
    torch.testing.assert_close(load_file(kept)["ref_chosen_logps"], sums, atol=1e-4, rtol=0)
    written = kept.stat().st_mtime_ns
    (tmp_path / "again.work").mkdir()
    kept.rename(tmp_path / "again.work" / kept.name)
    _, again = train(tmp_path, parent, "again", precompute_reference=True, **changes)
    assert (tmp_path / "again.work" / kept.name).stat().st_mtime_ns == written and bits(again) == bits(output)


@pytest.mark.parametrize("method", ["sft", "dpo"])
def test_weights_held_in_bfloat16_are_trained_in_it(parent: Path, tmp_path: Path, method: str) -> None:
    half = {"precision": "bfloat16", "weights": "bfloat16", "method": method}
    _, output = train(tmp_path, parent, **half)
    moved = load_file(output / "model.safetensors")
    assert all(torch.equal(tensor, tensor.bfloat16().float()) for tensor in moved.values())
    started = load_file(parent / "model.safetensors")
    assert not torch.equal(moved["model.norm.weight"], started["model.norm.weight"])


def test_options_of_scheduler_and_optimizer_reach_them(parent: Path, tmp_path: Path) -> None:
    ways = [
        {"scheduler": "polynomial"},
        {"scheduler": "polynomial", "scheduler_options": {"power": 3.0}},
        {"scheduler": "polynomial", "betas": [0.5, 0.9]},
        {"scheduler": "polynomial", "epsilon": 1e-2},
    ]
    found = {bits(train(tmp_path, parent, str(i), **way)[1])["model.safetensors"] for i, way in enumerate(ways)}
    assert len(found) == len(ways)


def test_lora_adds_to_the_parents_own_numbers(parent: Path, tmp_path: Path) -> None:
    _, output = train(tmp_path, parent, precision="bfloat16", learning_rate=0.0, lora=LORA)
    assert bits(output)["model.safetensors"] == bits(parent)["model.safetensors"], "not rounded by training's precision"


def test_accumulation_splits_a_batch_without_changing_the_step(parent: Path, tmp_path: Path) -> None:
    _, whole = train(tmp_path, parent, "whole", batch_size=8)
    result, split = train(tmp_path, parent, "split", batch_size=8, accumulation=4)
    assert result["cost"]["steps"] == 4
    for name, tensor in load_file(whole / "model.safetensors").items():
        torch.testing.assert_close(load_file(split / "model.safetensors")[name], tensor, atol=2e-4, rtol=1e-3)


def test_gradient_checkpointing_saves_memory_and_changes_no_result(parent: Path, tmp_path: Path) -> None:
    _, plain = train(tmp_path, parent, "plain", max_steps=2)
    _, lean = train(tmp_path, parent, "lean", max_steps=2, gradient_checkpointing=True)
    assert bits(lean) == bits(plain)


@pytest.mark.parametrize("way", ["sft", "dpo"])
def test_length_grouping_reorders_rows_and_loses_none(parent: Path, tmp_path: Path, way: str) -> None:
    plain, _ = train(tmp_path, parent, "plain", **WAYS[way])
    grouped, _ = train(tmp_path, parent, "grouped", length_grouping=True, **WAYS[way])
    assert grouped["cost"] == plain["cost"] and losses(grouped) != losses(plain)


# ---- what is written


@pytest.mark.parametrize("way", WAYS)
def test_training_changes_weights_and_nothing_else(parent: Path, tmp_path: Path, way: str) -> None:
    _, output = train(tmp_path, parent, max_steps=2, **WAYS[way])
    differing = {name for name, value in bits(output).items() if bits(parent).get(name) != value}
    assert differing <= {"model.safetensors", "config.json"} and bits(output).keys() == bits(parent).keys()
    assert json.loads((output / "config.json").read_text()) == json.loads((parent / "config.json").read_text())
    assert directory.tensors(output) == directory.tensors(parent)
    moved = load_file(output / "model.safetensors")
    name = "model.layers.0.mlp.up_proj.weight"
    assert not torch.equal(moved[name], load_file(parent / "model.safetensors")[name])


@pytest.mark.parametrize("lora", [None, LORA])
def test_a_bfloat16_parent_has_bfloat16_children(parent: Path, tmp_path: Path, lora: dict | None) -> None:
    half = tmp_path / "half"
    half.mkdir()
    for file in parent.iterdir():
        (half / file.name).write_bytes(file.read_bytes())
    tensors = {name: tensor.bfloat16() for name, tensor in load_file(parent / "model.safetensors").items()}
    save_file(tensors, half / "model.safetensors", metadata={"format": "pt"})
    _, output = train(tmp_path, half, max_steps=2, precision="bfloat16", lora=lora)
    assert {tensor.dtype for tensor in directory.tensors(output).values()} == {"BF16"}


# ---- same bits, and cost


@pytest.mark.parametrize("way", WAYS)
def test_a_killed_training_resumes_to_the_same_bits(
    parent: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, way: str
) -> None:
    whole, straight = train(tmp_path, parent, "straight", **WAYS[way])
    assert whole["cost"]["steps"] == 8

    log = tmp_path / "meter"
    monkeypatch.setenv("MIXMERGE_METER", str(log))
    with monkeypatch.context() as patch:

        def count_then_fail(kind: str, amount: int = 1) -> None:
            work_counter.count(kind, amount)
            if work_counter.totals(log)["optimizer_steps"] == 5:
                raise InterruptedError

        patch.setattr(trainer, "work_counter", type("Meter", (), {"count": staticmethod(count_then_fail)}))
        with pytest.raises(InterruptedError):
            train(tmp_path, parent, "resumed", **WAYS[way])
    work = tmp_path / "resumed.work"
    assert [path.name for path in work.glob("checkpoint-*")] == ["checkpoint-3"]
    (work / "checkpoint-6").mkdir()  # cut off before its marker
    (work / "checkpoint-6" / "trainer_state.json").write_text("{")

    again, resumed = train(tmp_path, parent, "resumed", **WAYS[way])
    assert bits(resumed) == bits(straight)
    assert again["cost"] == whole["cost"] and again["curve"].equals(whole["curve"])
    assert work_counter.totals(log) == {"optimizer_steps": 5 + 5}  # five before the kill, and from step 3 to 8


def test_a_checkpoint_with_a_shortened_file_is_not_trusted(parent: Path, tmp_path: Path) -> None:
    train(tmp_path, parent)
    checkpoint = tmp_path / "run.work" / "checkpoint-6"
    assert trainer._last_whole(checkpoint.parent) == checkpoint
    state = checkpoint / "optimizer.pt"
    state.write_bytes(state.read_bytes()[:-1])
    assert trainer._last_whole(checkpoint.parent) is None and not checkpoint.exists()


FORKED = """
import json, os, signal, sys
from pathlib import Path
from workflow_scripts.base import records, work_counter
from workflow_scripts.train import trainer
recipe, parent, work, output = json.loads(sys.argv[1]), *map(Path, sys.argv[2:5])
rows = records.read(Path(sys.argv[5]), records.ROWS)
count = work_counter.count
def count_then_die(kind, amount=1):
    count(kind, amount)
    if work_counter.totals(Path(os.environ["MIXMERGE_METER"]))["optimizer_steps"] == 5:
        os.kill(os.getpid(), signal.SIGKILL)
work_counter.count = count_then_die
for expected in (signal.SIGKILL, 0):
    if not (child := os.fork()):
        trainer.train(recipe, parent, rows, work, output)
        os._exit(0)
    _, status = os.waitpid(child, 0)
    assert status == expected, status
"""


def test_cold_forked_and_killed_processes_give_the_same_bits(parent: Path, tmp_path: Path) -> None:
    records.write(tmp_path / "rows.parquet", ROWS, records.ROWS, {})
    paths = [str(parent), str(tmp_path / "work"), str(tmp_path / "out"), str(tmp_path / "rows.parquet")]
    environment = {**os.environ, "MIXMERGE_METER": str(tmp_path / "meter"), "PYTHONPATH": os.getcwd()}
    subprocess.run([sys.executable, "-c", FORKED, json.dumps(RECIPE), *paths], env=environment, check=True, timeout=900)
    _, straight = train(tmp_path, parent)
    assert bits(tmp_path / "out") == bits(straight)
    assert work_counter.totals(tmp_path / "meter") == {"optimizer_steps": 10}


def test_cost_counts_what_was_seen(parent: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MIXMERGE_METER", str(tmp_path / "meter"))
    rows = pa.concat_tables([ROWS.slice(0, 9), ROWS.slice(0, 1)])  # one row twice
    result, _ = train(tmp_path, parent, rows=rows, epochs=3, accumulation=2)
    tokens = sum(6 + len(row["prompt"].split()) + len(row["completion"].split()) + 1 for row in rows.to_pylist())
    assert result["cost"] == {"rows": 9, "examples": 30, "tokens": 3 * tokens, "steps": 9}
    assert work_counter.totals(tmp_path / "meter") == {"optimizer_steps": 9}
    assert result["curve"].schema == records.CURVE
    assert set(losses(result)) == {2, 3, 4, 6, 8, 9}  # by logging_steps, before each checkpoint, and the last one


def test_examples_of_a_part_of_an_epoch_count_whole_batches(parent: Path, tmp_path: Path) -> None:
    result, _ = train(tmp_path, parent, rows=ROWS.slice(0, 10), max_steps=5)
    assert result["cost"]["examples"] == 10 + 2 * 4


# ---- errors in words


@pytest.mark.parametrize(
    ("prompt", "completion", "rejected", "changes", "says"),
    [
        (words(0, 50), "w1", "w2", {}, "row r0.*max_length 40"),
        ("w1", None, "w2", {}, "row r0.*completion"),
        ("w1", "w2", None, {"method": "dpo"}, "row r0.*rejected"),
        (words(0, 50), "w2", "w3", {"method": "dpo"}, "row r0.*max_length 40"),
        ("w1", "w2", "w3", {"accumulation": 3}, "batch_size 4.*accumulation 3"),
        ("w1", "w2", "w3", {"scheduler": "downhill"}, "downhill"),
        ("w1", "w2", "w3", {"optimizer": "guess"}, "guess"),
        ("w1", "w2", "w3", {"optimizer": "paged_adamw_8bit"}, "paged_adamw_8bit needs bitsandbytes"),
        ("w1", "w2", "w3", {"accumulation": 4, "processes": 2}, "processes: 2, but 1 started"),
    ],
)
def test_rows_and_settings_that_cannot_be_learnt_from_are_named(
    parent: Path, tmp_path: Path, prompt: str, completion: str, rejected: str, changes: dict, says: str
) -> None:
    with pytest.raises(UserError, match=says):
        train(tmp_path, parent, rows=table([prompt], [completion], [rejected]), **changes)


def test_an_empty_mixture_is_a_user_error(parent: Path, tmp_path: Path) -> None:
    with pytest.raises(UserError, match="no rows"):
        train(tmp_path, parent, rows=ROWS.slice(0, 0))


def test_answers_cut_by_max_length_are_counted(parent: Path, tmp_path: Path) -> None:
    rows = table(["w1", "w2"], [words(0, 60), "w3"], [None, None])
    result, _ = train(tmp_path, parent, rows=rows)
    assert result["truncated"] == 1
    assert result["cost"]["tokens"] == 40 + 9


@pytest.mark.parametrize("damage", ["missing", "short"])
def test_a_broken_parent_is_named_by_file(parent: Path, tmp_path: Path, damage: str) -> None:
    broken = tmp_path / "broken"
    broken.mkdir()
    for file in parent.iterdir():
        (broken / file.name).write_bytes(file.read_bytes())
    weights = broken / "model.safetensors"
    weights.unlink() if damage == "missing" else weights.write_bytes(weights.read_bytes()[:-10])
    with pytest.raises(UserError, match=r"broken/model\.safetensors"):
        train(tmp_path, broken)


def test_divergence_stops_the_training(parent: Path, tmp_path: Path) -> None:
    with pytest.raises(UserError, match="learning_rate"):
        train(tmp_path, parent, learning_rate=1e30)
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize("error", [torch.OutOfMemoryError("CUDA out of memory"), MemoryError()])
def test_too_little_memory_says_what_to_change(
    parent: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, error: Exception
) -> None:
    def fail(*_: Any, **__: Any) -> None:
        raise error

    monkeypatch.setattr(trainer.SFTTrainer, "training_step", fail)
    with pytest.raises(UserError, match=r"out of memory.*batch_size.*gradient_checkpointing.*lora"):
        train(tmp_path, parent)
