"""Watches over a training: counts its steps, marks its checkpoints, shows its progress, stops it when it diverges."""

import math
import sys
from pathlib import Path
from typing import Any

import torch
from accelerate.data_loader import get_sampler
from tqdm import tqdm  # type: ignore[import-untyped]
from transformers import TrainerCallback
from transformers.trainer_pt_utils import LengthGroupedSampler

from workflow_scripts.base import work_counter
from workflow_scripts.base.errors import UserError
from workflow_scripts.train import checkpoints


class Watch(TrainerCallback):  # type: ignore[misc]
    """Counts real steps, marks whole checkpoints, shows progress, and stops a training that has diverged."""

    def on_train_begin(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        """Start to count and to show progress."""
        if state.is_world_process_zero:
            optimizer = getattr(kwargs["optimizer"], "optimizer", kwargs["optimizer"])
            self.hook = optimizer.register_step_post_hook(lambda *_: work_counter.count("optimizer_steps"))
        self.bar = tqdm(
            total=state.max_steps,
            initial=state.global_step,
            unit="step",
            mininterval=1 if sys.stderr.isatty() else 30,
            disable=not state.is_local_process_zero,
        )

    def on_epoch_begin(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        """Let the seed and the epoch decide the order of grouped rows, also in a resumed training.

        transformers draws it from torch's own generator, which in a resumed training, or after one rank's dropout, is
        in another state; in the first epoch nothing has been drawn yet.
        """
        sampler = get_sampler(kwargs["train_dataloader"])
        if isinstance(sampler, LengthGroupedSampler) and (epoch := int(state.epoch or 0)):
            sampler.generator = torch.Generator().manual_seed(args.seed + epoch)

    def on_step_end(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        """Log whatever was not logged yet, before a checkpoint and at the end."""
        self.bar.update()
        if control.should_save or control.should_training_stop:
            control.should_log = True  # a checkpoint does not hold the sums of what was not logged yet
        if control.should_training_stop:
            control.should_save = False  # the model itself is written next

    def on_log(self, args: Any, state: Any, control: Any, logs: dict[str, float], **kwargs: Any) -> None:
        """Stop where numbers are no longer finite."""
        if "loss" in logs:
            self.bar.set_postfix(loss=f"{logs['loss']:.3f}", refresh=False)
            if not (math.isfinite(logs["loss"]) and math.isfinite(logs.get("grad_norm", 0.0))):
                raise UserError(
                    f"training diverged at step {state.global_step} (loss {logs['loss']}); lower learning_rate"
                )

    def on_save(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        """Mark a checkpoint, once every rank has written its part."""
        if torch.distributed.is_initialized():
            torch.distributed.barrier()
        if not state.is_world_process_zero:
            return
        checkpoints.mark(Path(args.output_dir) / f"checkpoint-{state.global_step}")

    def on_train_end(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        """Leave the bar as it is."""
        self.bar.close()
