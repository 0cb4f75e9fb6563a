"""vLLM's own side is played by transformers, so that what crosses the boundary is checked."""

import sys
import types
from pathlib import Path
from typing import Any

import pytest
import torch
from transformers import AutoModelForCausalLM

from tests.unit.generate.test_engine_transformers import PROMPTS, RECIPE, answer, make
from workflow_scripts.base import work_counter
from workflow_scripts.generate import engine


class FakeLLM:
    def __init__(self, **settings: Any) -> None:
        self.settings, self.calls = settings, []
        self.network = AutoModelForCausalLM.from_pretrained(settings["model"])

    def generate(self, prompts: list[dict], settings: list[Any], use_tqdm: bool) -> list[Any]:
        outputs = []
        for prompt, setting in zip(prompts, settings, strict=True):
            ids = torch.tensor([prompt["prompt_token_ids"]])
            out = self.network.generate(
                ids,
                attention_mask=torch.ones_like(ids),
                do_sample=False,
                max_new_tokens=setting.max_tokens,
                eos_token_id=setting.stop_token_ids,
            )
            completion = types.SimpleNamespace(token_ids=out[0, ids.shape[1] :].tolist())
            outputs.append(types.SimpleNamespace(outputs=[completion]))
        return outputs

    def collective_rpc(self, method: str, kwargs: dict[str, str]) -> None:
        self.calls.append(method)
        self.network = AutoModelForCausalLM.from_pretrained(kwargs["weights_path"])

    def reset_prefix_cache(self) -> bool:
        self.calls.append("reset_prefix_cache")
        return True


def test_vllm_is_asked_the_same_and_understood_the_same(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    model = make(tmp_path / "one", seed=0)
    fake = types.SimpleNamespace(LLM=FakeLLM, SamplingParams=lambda **settings: types.SimpleNamespace(**settings))
    monkeypatch.setitem(sys.modules, "vllm", fake)
    monkeypatch.setattr(engine, "versions", lambda name: {name: "0.32.0"})
    monkeypatch.setenv("MIXMERGE_METER", str(tmp_path / "meter"))
    vllm: Any = engine.start({**RECIPE, "engine": "vllm"}, model)
    assert list(vllm.generate(PROMPTS)) == answer(model, PROMPTS)
    assert work_counter.totals(tmp_path / "meter") == {"completions": 2 * len(PROMPTS)}
    other = make(tmp_path / "two", seed=1)
    vllm.exchange(other)
    assert vllm.llm.calls == ["reload_weights", "reset_prefix_cache"]
    assert list(vllm.generate(PROMPTS)) == answer(other, PROMPTS)
