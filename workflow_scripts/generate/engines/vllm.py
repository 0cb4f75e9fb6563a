"""The engine for GPUs: vLLM, which batches by itself."""

import os
from collections.abc import Iterator
from pathlib import Path

from workflow_scripts.base import work_counter
from workflow_scripts.generate.engines._base import Completion, Encoder, Kind, Recipe, SharedParts, seed_of, windows


class _VLLM:
    """vLLM (0.32), which batches by itself and exchanges all weights in place."""

    def __init__(self, recipe: Recipe, model: Path) -> None:
        os.environ.setdefault("VLLM_LOGGING_LEVEL", "ERROR")
        os.environ.setdefault("VLLM_NO_USAGE_STATS", "1")
        # The engine in this process, its workers in others that watch it: an engine in a process of its own would
        # outlive a kill and keep the device's memory.
        os.environ.setdefault("VLLM_ENABLE_V1_MULTIPROCESSING", "0")
        from vllm import LLM

        self.recipe, self.served = recipe, SharedParts.of(model)
        self.encoder = Encoder(recipe, model)
        self.llm = LLM(
            model=str(model),
            dtype=recipe["precision"],
            seed=recipe["seed"],
            tensor_parallel_size=recipe["tensor_parallel"],
            max_model_len=recipe["max_model_len"],
            max_num_seqs=recipe["batch_size"],
            generation_config="vllm",  # sampling is what the recipe says, not what the model suggests
            trust_remote_code=False,
            disable_log_stats=True,
        )

    def exchange(self, model: Path) -> None:
        self.served.check(model)  # vLLM only warns of a tensor that it misses, and keeps the old one
        self.llm.collective_rpc("reload_weights", kwargs={"weights_path": str(model)})
        if not self.llm.reset_prefix_cache():
            raise RuntimeError("vllm: its cache of prefixes could not be emptied after an exchange of weights")

    def close(self) -> None:
        self.llm.llm_engine.engine_core.shutdown()

    def generate(self, prompts: list[str]) -> Iterator[Completion]:
        from vllm import SamplingParams

        recipe = self.recipe
        tokens = self.encoder.encode(prompts)
        for window in windows(len(prompts), recipe["batch_size"]):
            settings = [
                SamplingParams(
                    temperature=recipe["temperature"],
                    top_p=recipe["top_p"],
                    max_tokens=recipe["max_new_tokens"],
                    seed=seed_of(recipe["seed"], prompts[index]),
                    stop_token_ids=self.encoder.ends,
                    detokenize=False,
                )
                for index in window
            ]
            inputs = [{"prompt_token_ids": tokens[index]} for index in window]
            outputs = self.llm.generate(inputs, settings, use_tqdm=False)
            work_counter.count("completions", len(window))
            for index, output in zip(window, outputs, strict=True):
                yield self.encoder.completion(tokens[index], list(output.outputs[0].token_ids))


ENGINE = Kind(_VLLM, ("vllm", "torch", "transformers", "tokenizers"), stays=True)
