"""The engine that runs everywhere: batches of similar length, with torch and transformers.

It gives the tokens that transformers' own `generate` gives one prompt at a time.  Models whose layers hand a state on
(state spaces, short convolutions), and those that are not told positions, would take padding for text: their batches
are of prompts of one length.
"""

import inspect
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from itertools import groupby
from pathlib import Path
from typing import Any, NamedTuple

from workflow_scripts.base import work_counter
from workflow_scripts.base.errors import UserError, is_out_of_memory
from workflow_scripts.generate.engines._base import Completion, Encoder, Kind, Recipe, SharedParts, seed_of, windows

KEEP_INSIDE = ("recurrent_gemma",)  # models that keep what they computed in their modules


class _Transformers:
    """Batches of similar length, left padded, each row leaving the batch soon after its turn has ended."""

    def __init__(self, recipe: Recipe, model: Path) -> None:
        import torch
        import transformers

        transformers.utils.logging.set_verbosity_error()
        transformers.utils.logging.disable_progress_bar()
        self.recipe, self.torch = recipe, torch
        self.encoder = Encoder(recipe, model)
        self.device = "cuda" if torch.cuda.is_available() else "cpu"
        torch.set_num_threads(recipe["threads"])
        self._load(model)

    def _load(self, model: Path) -> None:
        from workflow_scripts.models import network

        dtype = {"float32": self.torch.float32, "bfloat16": self.torch.bfloat16}[self.recipe["precision"]]
        loaded = network.load(model, dtype)
        self.takes = _arguments(model, loaded)
        self.pads = "position_ids" in self.takes and not network.hands_state_on(loaded)
        self.served, self.model = SharedParts.of(model), loaded.to(self.device).eval()

    def exchange(self, model: Path) -> None:
        self.served.check(model)
        self._load(model)

    def close(self) -> None:
        del self.model

    def generate(self, prompts: list[str]) -> Iterator[Completion]:
        size = self.recipe["batch_size"]
        tokens = self.encoder.encode(prompts)
        for window in windows(len(prompts), size):
            by_length = sorted(window, key=lambda index: (len(tokens[index]), index))
            alike = [by_length] if self.pads else [list(g) for _, g in groupby(by_length, lambda i: len(tokens[i]))]
            answers: dict[int, list[int]] = {}
            for batch in (group[at : at + size] for group in alike for at in range(0, len(group), size)):
                seeds = [seed_of(self.recipe["seed"], prompts[index]) for index in batch]
                with _out_of_memory_in_words(), self.torch.inference_mode():
                    answers.update(zip(batch, self._decode([tokens[index] for index in batch], seeds), strict=True))
                work_counter.count("completions", len(batch))
            for index in window:
                yield self.encoder.completion(tokens[index], answers[index])

    def _decode(self, prompts: list[list[int]], seeds: list[int]) -> list[list[int]]:
        """New tokens of each prompt, up to the one that ends the turn."""
        torch = self.torch
        width = max(map(len, prompts))
        pad = self.encoder.vocabulary.padding()
        tokens = torch.tensor([[pad] * (width - len(p)) + p for p in prompts], device=self.device)
        mask = torch.tensor([[0] * (width - len(p)) + [1] * len(p) for p in prompts], device=self.device)
        positions = (mask.cumsum(-1) - 1).clamp(min=0)
        pick = self._sampler(seeds) if self.recipe["temperature"] else lambda logits, _: logits.argmax(-1)
        ends = frozenset(self.encoder.ends)
        answers: list[list[int]] = [[] for _ in prompts]
        batch = list(range(len(prompts)))  # which prompt a row of the tensors belongs to
        unfinished = set(batch)
        cache = None
        for _ in range(self.recipe["max_new_tokens"]):
            given = {"attention_mask": mask} if self.pads else {}
            given |= {"position_ids": positions, "logits_to_keep": 1, self.takes.cache: cache}
            output = self.model(input_ids=tokens, use_cache=True, **self.takes.of(given))
            cache, chosen = getattr(output, self.takes.cache), pick(output.logits[:, -1].float(), batch)
            for prompt, token in zip(batch, chosen.tolist(), strict=True):
                if prompt in unfinished:
                    answers[prompt].append(token)
                    if token in ends:
                        unfinished.remove(prompt)
            if not unfinished:
                break
            tokens, positions = chosen[:, None], positions[:, -1:] + 1
            mask = torch.cat([mask, mask.new_ones(len(batch), 1)], dim=-1)
            if len(unfinished) < 0.75 * len(batch):  # narrowing costs a copy of the cache
                kept = torch.tensor([row for row, prompt in enumerate(batch) if prompt in unfinished])
                batch = [batch[row] for row in kept.tolist()]
                kept = kept.to(self.device)
                tokens, positions, mask = tokens[kept], positions[kept], mask[kept]
                cache.reorder_cache(kept)
        return answers

    def _sampler(self, seeds: list[int]) -> Callable[[Any, list[int]], Any]:
        """Draws from softmax(logits / temperature), cut to its top_p, with each prompt's own noise.

        The largest of p_i / E_i, with E_i exponential, is i with probability p_i (the exponential race).
        """
        torch, temperature, top_p = self.torch, self.recipe["temperature"], self.recipe["top_p"]
        generators = [torch.Generator().manual_seed(seed) for seed in seeds]

        def pick(logits: Any, batch: list[int]) -> Any:
            share, order = (logits / temperature).softmax(-1).sort(dim=-1, descending=True, stable=True)
            share = share.masked_fill(share.cumsum(-1) - share >= top_p, 0.0)  # keeps the token that crosses top_p
            noise = torch.stack([torch.empty(share.shape[-1]).exponential_(generator=generators[row]) for row in batch])
            noise = noise.to(share.device).gather(-1, order)  # noise belongs to a token, not to its rank
            return order.gather(-1, (share / noise).argmax(-1, keepdim=True))[:, 0]

        return pick


def _arguments(model: Path, loaded: Any) -> "_Arguments":
    """What a network's forward pass takes.

    Raises:
        UserError: it hands back no cache that this engine could hand on.
    """
    names = frozenset(inspect.signature(loaded.forward).parameters)
    for cache in ("past_key_values", "cache_params"):
        if cache in names and loaded.config.model_type not in KEEP_INSIDE:
            return _Arguments(names, cache)
    raise UserError(
        f"{model}: engine transformers cannot answer with a model of type {loaded.config.model_type}, which keeps its "
        "state in a way of its own; set generation.engine: vllm, or load another model"
    )


class _Arguments(NamedTuple):
    names: frozenset[str]
    cache: str  # the name of the argument, and of the output, that holds what was computed before

    def __contains__(self, name: object) -> bool:
        return name in self.names

    def of(self, given: dict[str, Any]) -> dict[str, Any]:
        """Those of some arguments that the forward pass takes."""
        return {name: value for name, value in given.items() if name in self.names}


@contextmanager
def _out_of_memory_in_words() -> Iterator[None]:
    try:
        yield
    except (RuntimeError, MemoryError) as error:
        if is_out_of_memory(error):
            raise UserError("out of memory while generating; set a smaller batch_size or max_new_tokens") from None
        raise


def _check(model: Path) -> None:
    """Refuse a model with which this engine could not answer, by its config.json alone."""
    from workflow_scripts.models import network

    _arguments(model, network.skeleton(model))


ENGINE = Kind(_Transformers, ("torch", "transformers", "tokenizers"), check=_check)
