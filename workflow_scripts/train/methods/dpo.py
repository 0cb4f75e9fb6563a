"""Direct preference optimisation: the chosen answer becomes likelier than it was, and the rejected one less likely."""

from pathlib import Path
from typing import Any

import torch
from accelerate.utils.fsdp_utils import fsdp2_prepare_model
from safetensors.torch import load_file, save_file
from torch.utils.data import DataLoader
from trl import DPOConfig, DPOTrainer
from trl.trainer import dpo_trainer

from workflow_scripts.train.methods._base import Example, Method, Recipe

REFERENCE = "reference.safetensors"  # log-probabilities of the answers by the model that training started from
SIDES = ("chosen", "rejected")

# A sharded reference is split layer by layer, as the model is; TRL would gather all of it for each forward pass.
dpo_trainer.prepare_fsdp = lambda model, accelerator: fsdp2_prepare_model(accelerator, model).eval()


class PairTrainer(DPOTrainer):  # type: ignore[misc]
    """DPOTrainer on rows that are tokenised already, which SFTTrainer can do by a setting."""

    ref_model: Any

    def _prepare_dataset(self, dataset: Any, *_: Any) -> Any:
        return dataset

    def _precompute_ref_logps(self, dataset: Any, name: str, batch_size: int) -> Any:
        """The reference's log-probabilities of all answers, computed once and kept for a training that is resumed.

        TRL's own keeps them in a temporary folder per process, where other processes do not find them.
        """
        kept = Path(self.args.output_dir) / REFERENCE
        if not kept.exists():
            own = (
                torch.Generator()
            )  # a loader draws a number, and whether the training starts here must change no other
            loader = DataLoader(dataset, batch_size=batch_size, collate_fn=self.data_collator, generator=own)
            model = self.ref_model or self.model
            was_training = model.training
            model.eval()  # no dropout in what is measured against
            pairs = [
                [side.cpu() for side in self.accelerator.gather_for_metrics(self.compute_ref_log_probs(model, batch))]
                for batch in self.accelerator.prepare(loader)
            ]
            model.train(was_training)
            if self.accelerator.is_main_process:
                columns = {
                    f"ref_{side}_logps": torch.cat(parts)
                    for side, parts in zip(SIDES, zip(*pairs, strict=True), strict=True)
                }
                kept.parent.mkdir(parents=True, exist_ok=True)
                save_file(columns, kept.with_suffix(".partial"))
                kept.with_suffix(".partial").replace(kept)
            self.accelerator.wait_for_everyone()
        self.ref_model = None
        for column, values in load_file(kept).items():
            dataset = dataset.add_column(column, values.tolist())
        return dataset


def _features(example: Example) -> dict[str, Any]:
    return {"prompt_ids": example.prompt, "chosen_ids": example.answers[0], "rejected_ids": example.answers[1]}


def _smoothing(recipe: Recipe) -> float:
    if recipe["label_smoothing"] is not None:
        return float(recipe["label_smoothing"])
    return 1e-3 if recipe["loss_type"] == "exo_pair" else 0.0  # as arXiv 2402.00856


def _settings(recipe: Recipe) -> dict[str, Any]:
    return {
        "beta": recipe["beta"],
        "loss_type": [recipe["loss_type"]],
        "label_smoothing": _smoothing(recipe),
        "precompute_ref_log_probs": recipe["precompute_reference"],
        "max_length": None,
    }


METHOD = Method(
    answers=("completion", "rejected"),
    features=_features,
    trainer=PairTrainer,
    arguments=DPOConfig,
    settings=_settings,
    reference=True,
)
