"""Libraries that talk beside the point: standard output is for what a command answers."""

from __future__ import annotations

import os

import torch
from transformers.utils import logging as transformers_logging


def silence() -> None:
    """Transformers says errors only, and DeepSpeed nothing of a missing GPU; call it before both.

    Transformers imports DeepSpeed as soon as it loads or saves a model.
    """
    transformers_logging.set_verbosity_error()  # type: ignore[no-untyped-call]
    transformers_logging.disable_progress_bar()  # type: ignore[no-untyped-call]
    if not torch.cuda.is_available():
        os.environ.setdefault("DS_ACCELERATOR", "cpu")
