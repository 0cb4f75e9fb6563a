"""What is asked of every family: a function for each column of docs/models.md, which raises if something is wrong."""

import json
import math
from pathlib import Path
from typing import Any

import pyarrow as pa
import torch
from safetensors.torch import load_file
from transformers import AutoTokenizer, GenerationConfig

from tests import families
from tests.unit.merge.tiny import METHODS
from tests.unit.train.tiny import LORA, RECIPE, losses, table
from workflow_scripts.generate import engine
from workflow_scripts.merge import with_mergekit
from workflow_scripts.models import canonical, network
from workflow_scripts.train import adapters, trainer

TEXTS = ["wash the lamp", "How do I wash it?", "a cup", "Do you wash the lamp with a paper and a cup?"]
ROWS = table(TEXTS * 2, [f"You {text}." for text in TEXTS[::-1] * 2], ["No.", "With a cup.", "No lamp.", "How?"] * 2)
TRAINING = {**RECIPE, "batch_size": 8, "logging_steps": 1, "max_steps": 1, "max_length": 200, "learning_rate": 1e-2}
TRAINING |= {"router_aux_loss_coef": 0.0}  # so that the loss is that of the tokens alone
ADAPTER = {**LORA, "dropout": 0.0}
ANSWERS = {
    "engine": "transformers", "batch_size": 4, "max_new_tokens": 24, "temperature": 0.0, "top_p": 1.0, "seed": 0,
    "threads": 1, "precision": "float32", "tensor_parallel": 1, "max_model_len": 256,
}  # fmt: skip


def train(parent: Path, to: Path, rows: pa.Table = ROWS, **changes: Any) -> dict[str, Any]:
    return trainer.train({**TRAINING, **changes}, parent, rows, to.with_suffix(".work"), to)


def tokens(model: Path, prompt: str, answer: str | None = None) -> list[int]:
    tokenizer = AutoTokenizer.from_pretrained(model)
    turns = [{"role": "user", "content": prompt}]
    turns += [] if answer is None else [{"role": "assistant", "content": answer}]
    text = tokenizer.apply_chat_template(turns, tokenize=False, add_generation_prompt=answer is None)
    return list(tokenizer(text, add_special_tokens=False)["input_ids"])


def log_probabilities(model: Path, column: str) -> tuple[torch.Tensor, int]:
    """Sum of log p of each answer's tokens, and how many there are: by the network alone, one row at a time."""
    net, sums, count = network.load(model, torch.float32).eval(), [], 0
    for row in ROWS.to_pylist():
        prompt, whole = tokens(model, row["prompt"]), tokens(model, row["prompt"], row[column])
        with torch.no_grad():
            scores = net(input_ids=torch.tensor([whole])).logits[0, len(prompt) - 1 : -1].float().log_softmax(-1)
        answer = whole[len(prompt) :]
        sums.append(scores[range(len(answer)), answer].sum())
        count += len(answer)
    return torch.stack(sums), count


def of_its_parent(parent: Path, trained: Path) -> None:
    """Names, data types and files are the parent's, the numbers others; what was not trained is the same to the bit."""
    before, after = canonical.layout(parent), canonical.layout(trained)
    assert after.tensors == before.tensors and set(after.names) == set(before.tensors)
    assert not after.unused
    old, new = load_file(parent / "model.safetensors"), load_file(trained / "model.safetensors")
    old = {before.names[name]: tensor for name, tensor in old.items() if name in before.names}
    changed = {name for name in old if not torch.equal(old[name], new[name])}
    seen = [name for name in changed if "vision" in name or "visual" in name or "projector" in name]
    assert not seen and any(".0." in name for name in changed) and any(".1." in name for name in changed)
    assert {path.name for path in trained.iterdir()} == {path.name for path in parent.iterdir()}


def load(model: Path, _: Path) -> None:
    """Names on disk are those that transformers writes, and the numbers are those of the disk."""
    layout, net = canonical.layout(model), network.load(model, torch.float32)
    on_disk, written = load_file(model / "model.safetensors"), canonical.written(net, net.state_dict())
    assert {layout.names[name] for name in on_disk} == written.keys()
    assert all(torch.equal(written[layout.names[name]], tensor.float()) for name, tensor in on_disk.items())


def sft(model: Path, work: Path) -> None:
    """The loss is that of the completions' tokens by the network alone, whatever stands beside them in the batch."""
    sums, count = log_probabilities(model, "completion")
    result = train(model, work / "sft")
    assert math.isclose(losses(result)[1], -float(sums.sum()) / count, rel_tol=1e-3)
    of_its_parent(model, work / "sft")


def packing(model: Path, work: Path) -> None:
    """Rows in one pack do not see one another."""
    sums, count = log_probabilities(model, "completion")
    result = train(model, work / "packing", packing=True)
    assert math.isclose(losses(result)[1], -float(sums.sum()) / count, rel_tol=1e-3)


def dpo(model: Path, work: Path) -> None:
    """The first loss is log 2; the second is that of the log-probabilities of the network after the first step."""
    train(model, work / "dpo-1", method="dpo")
    result = train(model, work / "dpo", method="dpo", max_steps=2)
    of_its_parent(model, work / "dpo")
    gap = sum(
        sign * side * log_probabilities(folder, column)[0]
        for folder, side in ((work / "dpo-1", 1), (model, -1))
        for column, sign in (("completion", 1), ("rejected", -1))
    )
    assert math.isclose(losses(result)[1], math.log(2), rel_tol=1e-4)
    expected = float(-torch.nn.functional.logsigmoid(0.5 * torch.as_tensor(gap)).mean())
    assert math.isclose(losses(result)[2], expected, rel_tol=5e-3), (losses(result), expected)


def lora(model: Path, work: Path) -> None:
    """What is merged answers as the network with its adapter does, and was trained."""
    kept: list[tuple[Any, dict[str, torch.Tensor]]] = []
    merged = adapters.merged

    def spy(parent: Path, trained: Any, state: dict[str, torch.Tensor]) -> Any:
        ids = torch.tensor([tokens(model, TEXTS[1], TEXTS[2])])
        with torch.no_grad():
            kept.append((ids, trained.eval()(input_ids=ids).logits.float()))
        return merged(parent, trained, state)

    adapters.merged = spy
    try:
        train(model, work / "lora", lora=ADAPTER, learning_rate=1e-1, max_steps=3)
    finally:
        adapters.merged = merged
    ids, logits = kept[0]
    with torch.no_grad():
        after = network.load(work / "lora", torch.float32).eval()(input_ids=ids).logits
        before = network.load(model, torch.float32).eval()(input_ids=ids).logits
    assert (after - before).abs().max() > 1e-2, "nothing was trained"
    torch.testing.assert_close(after, logits, atol=5e-3 * float(logits.abs().max()), rtol=1e-3)
    of_its_parent(model, work / "lora")


def kto(model: Path, work: Path) -> None:
    """Before anything is learned each answer's loss is a half."""
    result = train(model, work / "kto", method="kto", loss_type="kto")
    assert math.isclose(losses(result)[1], 0.5, rel_tol=1e-4)
    of_its_parent(model, work / "kto")


def merge(model: Path, work: Path) -> None:
    """Two descendants merge by each of the paper's methods; the linear merge is their weighted sum."""
    parents = [families.make(model.name, work / f"parent{seed}", seed=seed) for seed in (1, 2)]
    for name, recipe in METHODS.items():
        base = model if name in ("ties", "dare_ties") else None
        with_mergekit.merge(recipe, parents, base, work / name)
        assert canonical.layout(work / name).tensors == canonical.layout(model).tensors
        net = network.load(work / name, torch.float32).eval()
        with torch.no_grad():
            assert net(input_ids=torch.tensor([tokens(model, TEXTS[0])])).logits.isfinite().all()
    first, second, merged = (load_file(path / "model.safetensors") for path in (*parents, work / "linear"))
    for name, tensor in merged.items():
        torch.testing.assert_close(tensor, 0.7 * first[name] + 0.3 * second[name], atol=1e-5, rtol=1e-5)


def generate(model: Path, _: Path) -> None:
    """Greedy answers, of prompts of all lengths together, are those of transformers' `generate`, one at a time."""
    prompts = [*TEXTS, *(" ".join(TEXTS[: i % 4 + 1]) + "?" * i for i in range(8)), "Hi", "wash " * 30]
    net = network.load(model, torch.float32).eval()

    def alone(prompt: str, ends: list[int]) -> list[int]:
        ids = torch.tensor([tokens(model, prompt)])
        settings = GenerationConfig(max_new_tokens=24, do_sample=False, eos_token_id=ends, pad_token_id=0)
        with torch.inference_mode():
            made = net.generate(ids, attention_mask=torch.ones_like(ids), generation_config=settings)
        return list(made[0, ids.shape[1] :].tolist())

    # So that answers end at different times: of each, one of the tokens that it has when nothing ends it.
    ends = sorted({alone(prompt, [-1])[5 * i % 24] for i, prompt in enumerate(prompts)} | {families.EOS, families.END})
    (model / "generation_config.json").write_text(json.dumps({"eos_token_id": ends}))
    answers = list(engine.start(ANSWERS, model).generate(prompts))
    tokenizer = AutoTokenizer.from_pretrained(model)
    for prompt, answer in zip(prompts, answers, strict=True):
        made = alone(prompt, ends)
        assert len(made) == answer.completion_tokens, prompt
        assert tokenizer.decode(made[: len(made) - (made[-1] in ends)], skip_special_tokens=True) == answer.text


def stops(model: Path, work: Path) -> None:
    """A model that was trained on answers ends its own at the turn's end."""
    rows = ROWS.slice(0, 4)
    train(model, work / "stops", rows, batch_size=4, max_steps=150, scheduler="cosine", learning_rate=2e-2)
    answers = list(engine.start({**ANSWERS, "max_new_tokens": 40}, work / "stops").generate(TEXTS))
    assert [answer.text for answer in answers] == rows["completion"].to_pylist(), answers
    assert {answer.finish_reason for answer in answers} == {"stop"}


CHECKS = {
    "load": load,
    "SFT": sft,
    "packing": packing,
    "DPO": dpo,
    "KTO": kto,
    "LoRA": lora,
    "merge": merge,
    "generate": generate,
    "stops": stops,
}
