"""Engines that answer prompts with a model: transformers everywhere, vLLM where there are GPUs.

An engine is given prompts and gives back completions in their order.  Both see the same tokens (the tokenizer's chat
template with a generation prompt) and stop at the same ones.  This module itself imports nothing heavy, so that
`resolve` and `versions` can be asked while the Snakefile is parsed.
"""

import hashlib
import importlib.metadata
import importlib.util
import json
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, NamedTuple, Protocol

from workflow_scripts.base import work_counter
from workflow_scripts.base.errors import UserError, is_out_of_memory
from workflow_scripts.models import directory

Recipe = dict[str, Any]

WINDOW = 8  # batches that are sorted by length together; what a kill can lose

# The files that two models must share for one engine to serve both, and what of config.json may differ: engines load
# weights of any data type into their own.
SHARED = ("config.json", "tokenizer.json", "tokenizer_config.json", "chat_template.jinja", "generation_config.json")
FREE = {"_name_or_path", "dtype", "torch_dtype", "transformers_version"}


class Completion(NamedTuple):
    """One answer."""

    text: str
    finish_reason: str  # stop or length
    prompt_tokens: int
    completion_tokens: int  # with the token that ends the turn


class Engine(Protocol):
    """A model, ready to answer."""

    name: str
    versions: dict[str, str]

    def generate(self, prompts: list[str]) -> Iterator[Completion]:
        """Answer prompts, in their order; what has been yielded is final."""

    def exchange(self, model: Path) -> None:
        """Serve another model of the same architecture and tokenizer from now on.

        Raises:
            UserError: it is of another; nothing has changed then.
        """

    def close(self) -> None:
        """Give its memory back, and end what processes it has."""


class Kind(NamedTuple):
    """A row of the registry."""

    start: Callable[[Recipe, Path], Engine]
    packages: tuple[str, ...]  # whose versions decide what is generated
    stays: bool = False  # worth keeping up between models, see `engine_server`


def start(recipe: Recipe, model: Path) -> Engine:
    """Load a model into the engine that the recipe names.

    Args:
        recipe: `engine` and the settings `batch_size`, `max_new_tokens`, `temperature` (0: greedy), `top_p`, `seed`,
            `threads` (transformers on CPU), `precision`, `tensor_parallel` (vLLM), `max_model_len`.
        model: a model directory.

    Raises:
        UserError: the engine is unknown or not installed, or the model's directory is broken.
    """
    return ENGINES[resolve(recipe["engine"])].start(recipe, model)


def resolve(name: str) -> str:
    """The engine that `auto` stands for on this machine: vLLM where it is installed and sees a GPU, else transformers.

    Raises:
        UserError: there is no such engine.
    """
    if name == "auto":
        return "vllm" if importlib.util.find_spec("vllm") and _cuda() else "transformers"
    if name not in ENGINES:
        raise UserError(f"engine: no engine is called {name}; use auto, {' or '.join(ENGINES)}")
    return name


def versions(name: str) -> dict[str, str]:
    """Versions of the packages that decide what an engine generates, without importing them.

    Raises:
        UserError: one of them is not installed.
    """
    found = {}
    for package in ENGINES[name].packages:
        for build in (package, f"{package}-cpu"):  # vLLM's CPU build is a distribution of another name
            with suppress(importlib.metadata.PackageNotFoundError):
                found[build] = importlib.metadata.version(build)
                break
        else:
            raise UserError(f"engine: {name} needs {package}; install it, or set engine: auto")
    return found


def _cuda() -> bool:
    if os.environ.get("CUDA_VISIBLE_DEVICES") in ("", "-1"):
        return False
    return Path("/proc/driver/nvidia/version").exists() or any(Path("/dev").glob("nvidia[0-9]*"))


def seed_of(seed: int, prompt: str) -> int:
    """A prompt's own seed, so that its sampled completion depends on no other prompt; below 2**63."""
    return int.from_bytes(hashlib.sha256(f"{seed}\n{prompt}".encode()).digest()[:8], "big") >> 1


class _Encoder:
    """Prompts to tokens and back, the same for each engine."""

    def __init__(self, recipe: Recipe, model: Path) -> None:
        from transformers import AutoTokenizer

        directory.tensors(model)
        self.room = recipe["max_model_len"] - recipe["max_new_tokens"]
        self.tokenizer = AutoTokenizer.from_pretrained(model, local_files_only=True, trust_remote_code=False)
        if self.tokenizer.chat_template is None:
            raise UserError(f"{model}: its tokenizer has no chat template; add chat_template.jinja")
        settings = model / "generation_config.json"
        ends = json.loads(settings.read_text()).get("eos_token_id") if settings.exists() else None
        self.ends = sorted({self.tokenizer.eos_token_id, *(ends if isinstance(ends, list) else [ends])} - {None})

    def encode(self, prompts: list[str]) -> list[list[int]]:
        if not prompts:
            return []
        turns = [[{"role": "user", "content": prompt}] for prompt in prompts]
        texts = self.tokenizer.apply_chat_template(turns, tokenize=False, add_generation_prompt=True)
        tokens = list(self.tokenizer(texts, add_special_tokens=False)["input_ids"])
        longest = max(map(len, tokens))
        if longest > self.room:
            raise UserError(
                f"max_model_len: a prompt has {longest} tokens, more than the {self.room} that max_new_tokens leaves;"
                " raise max_model_len or drop the prompt"
            )
        return tokens

    def completion(self, prompt: list[int], tokens: list[int]) -> Completion:
        """The completion that tokens make, which end with the one that ended the turn, if any did."""
        stopped = bool(tokens) and tokens[-1] in self.ends
        text = self.tokenizer.decode(tokens[: len(tokens) - stopped], skip_special_tokens=True)
        return Completion(text, "stop" if stopped else "length", len(prompt), len(tokens))


class _Transformers:
    """Batches of similar length, left padded, each row leaving the batch soon after its turn has ended."""

    name = "transformers"

    def __init__(self, recipe: Recipe, model: Path) -> None:
        import torch
        import transformers

        transformers.utils.logging.set_verbosity_error()
        transformers.utils.logging.disable_progress_bar()
        self.versions = versions(self.name)
        self.recipe, self.torch = recipe, torch
        self.encoder = _Encoder(recipe, model)
        self.device = "cuda" if torch.cuda.is_available() else "cpu"
        torch.set_num_threads(recipe["threads"])
        self._load(model)

    def _load(self, model: Path) -> None:
        from transformers import AutoModelForCausalLM

        dtype = {"float32": self.torch.float32, "bfloat16": self.torch.bfloat16}[self.recipe["precision"]]
        loaded = AutoModelForCausalLM.from_pretrained(
            model, dtype=dtype, local_files_only=True, trust_remote_code=False
        )
        self.served, self.model = _Shared.of(model), loaded.to(self.device).eval()

    def exchange(self, model: Path) -> None:
        self.served.check(model)
        self._load(model)

    def close(self) -> None:
        del self.model

    def generate(self, prompts: list[str]) -> Iterator[Completion]:
        size = self.recipe["batch_size"]
        tokens = self.encoder.encode(prompts)
        for first in range(0, len(prompts), size * WINDOW):
            window = range(first, min(first + size * WINDOW, len(prompts)))
            by_length = sorted(window, key=lambda index: (len(tokens[index]), index))
            answers: dict[int, list[int]] = {}
            for batch in (by_length[at : at + size] for at in range(0, len(by_length), size)):
                seeds = [seed_of(self.recipe["seed"], prompts[index]) for index in batch]
                with _memory_in_words(), self.torch.inference_mode():
                    answers.update(zip(batch, self._decode([tokens[index] for index in batch], seeds), strict=True))
                work_counter.count("completions", len(batch))
            for index in window:
                yield self.encoder.completion(tokens[index], answers[index])

    def _decode(self, prompts: list[list[int]], seeds: list[int]) -> list[list[int]]:
        """New tokens of each prompt, up to the one that ends the turn."""
        torch = self.torch
        width = max(map(len, prompts))
        pad = self.encoder.tokenizer.pad_token_id or 0
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
            output = self.model(
                input_ids=tokens,
                attention_mask=mask,
                position_ids=positions,
                past_key_values=cache,
                use_cache=True,
                logits_to_keep=1,
            )
            cache, chosen = output.past_key_values, pick(output.logits[:, -1].float(), batch)
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
                cache.batch_select_indices(kept)
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


class _VLLM:
    """vLLM (0.32), which batches by itself and exchanges all weights in place."""

    name = "vllm"

    def __init__(self, recipe: Recipe, model: Path) -> None:
        self.versions = versions(self.name)
        os.environ.setdefault("VLLM_LOGGING_LEVEL", "ERROR")
        os.environ.setdefault("VLLM_NO_USAGE_STATS", "1")
        # The engine in this process, its workers in others that watch it: an engine in a process of its own would
        # outlive a kill and keep the device's memory.
        os.environ.setdefault("VLLM_ENABLE_V1_MULTIPROCESSING", "0")
        from vllm import LLM

        self.recipe, self.served = recipe, _Shared.of(model)
        self.encoder = _Encoder(recipe, model)
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
        step = recipe["batch_size"] * WINDOW
        for first in range(0, len(prompts), step):
            window = range(first, min(first + step, len(prompts)))
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


ENGINES = {
    "transformers": Kind(_Transformers, ("torch", "transformers", "tokenizers")),
    "vllm": Kind(_VLLM, ("vllm", "torch", "transformers", "tokenizers"), stays=True),
}


class _Shared(NamedTuple):
    """What models of one engine have in common, kept since a temporary model's files may be gone by the next one."""

    files: dict[str, str]
    tensors: frozenset[str]

    @classmethod
    def of(cls, model: Path) -> "_Shared":
        return cls(shared(model), frozenset(directory.tensors(model)))

    def check(self, model: Path) -> None:
        other = _Shared.of(model)
        for name, _ in sorted(self.files.items() ^ other.files.items()):
            raise UserError(f"{model}/{name}: differs, so the engine cannot serve this model too; start another")
        for name in sorted(self.tensors ^ other.tensors):
            raise UserError(f"{model}: tensor {name} is not in both, so the engine cannot serve this model too")


def shared(model: Path) -> dict[str, str]:
    """Content of the files that models of one engine share, as sha256 by name."""
    found = {name: hashlib.sha256((model / name).read_bytes()) for name in SHARED[1:] if (model / name).exists()}
    config = {key: value for key, value in json.loads((model / SHARED[0]).read_text()).items() if key not in FREE}
    found[SHARED[0]] = hashlib.sha256(json.dumps(config, sort_keys=True).encode())
    return {name: digest.hexdigest() for name, digest in found.items()}


@contextmanager
def _memory_in_words() -> Iterator[None]:
    try:
        yield
    except (RuntimeError, MemoryError) as error:
        if is_out_of_memory(error):
            raise UserError("out of memory while generating; set a smaller batch_size or max_new_tokens") from None
        raise
