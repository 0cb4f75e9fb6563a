"""Keeps the libraries that train quiet."""

import warnings

import datasets
import huggingface_hub.constants
import transformers


def quieten() -> None:
    """Keep the libraries' notices, progress bars and telemetry off; errors still come as exceptions."""
    huggingface_hub.constants.HF_HUB_DISABLE_TELEMETRY = True
    transformers.utils.logging.set_verbosity_error()
    transformers.utils.logging.disable_progress_bar()
    datasets.disable_progress_bars()
    warnings.filterwarnings("ignore", module=r"peft\.")  # what matters of it is asked beforehand, see `adapters`
