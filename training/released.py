"""Released SoliReward checkpoints as a whole: a backbone in either layout and a reward head, HPQA.

Weights do not say how they are to be used. config.json may name the layers (`LAYERS`, the name of
the released trainer's argument); the rest, as far as it is not our default, stands in `USE` beside
it, with the fields of a training config.
"""

from __future__ import annotations

import json
import logging
from pathlib import Path
from typing import Any

from safetensors import SafetensorError
from torch import Tensor

from training.backbones import family_of
from training.backbones.weights import INDEX, SINGLE, read_head
from training.config import FRAME_TEXT, TrainConfig
from training.config_json import read_fields
from training.heads import HPQA, Head
from training.heads.released import from_released
from warehouse.errors import TrainingError

LAYERS = "hierarchical_query_attn_layers"
USE = "released.json"
DIMENSION = "quality"  # what SoliReward's own files call that which people judged
EXAMPLE = '{"head": {"layers": [6, 12, 18, 24]}, "dimensions": ["physical_plausibility"]}'

log = logging.getLogger(__name__)


def found(folder: Path) -> bool:
    """Whether a folder is a released checkpoint: no soli.json, and a reward head in its weights.

    Raises: TrainingError where its weights cannot be read.
    """
    ours = (folder / "soli.json").exists()
    weights = any((folder / name).exists() for name in (SINGLE, INDEX))
    return not ours and weights and bool(_head(folder))


def use_of(folder: Path) -> TrainConfig:
    """How a released checkpoint is used, as a training config whose pair set is of no account.

    Raises: TrainingError where nothing says which layers its head reads.
    """
    frame_text = FRAME_TEXT if family_of(folder).names_frames else ""
    given = _given(folder)
    known, head = _layers(folder), given.get("head", {})
    if known is not None and isinstance(head, dict):
        head = {"layers": list(known), **head}
    if isinstance(head, dict) and "layers" not in head:
        raise TrainingError(
            f"released checkpoint {folder}: nothing says which layers its head reads; write"
            f" {folder / USE} with them, such as {EXAMPLE}"
        )
    defaults = {"dimensions": [DIMENSION], "frame_text": frame_text}
    known_here = {"base_model": str(folder), "pair_set": "", "head": head}
    return read_fields(TrainConfig, {**defaults, **given, **known_here}, "")


def start(head: Head, config: TrainConfig) -> None:
    """Give a fresh head the weights of the base model's own, where that is a released checkpoint.

    Another kind of head starts afresh, and the log says so.
    Raises: TrainingError where an HPQA of this config is not the released one.
    """
    folder = Path(config.base_model)
    weights = _head(folder)
    if not weights:
        return
    if not isinstance(head, HPQA):
        log.warning(
            "%s holds a released reward head; head.kind is %r, which starts afresh",
            *(folder, config.head.kind),
        )
        return
    state = from_released(weights)
    _check(head, state, config)
    head.load_state_dict(state)


def _check(head: HPQA, state: dict[str, Tensor], config: TrainConfig) -> None:
    """Raises: TrainingError saying in what the head of a config and a released one differ."""
    known = _layers(Path(config.base_model))
    count = sum(name.endswith(".in_proj_weight") for name in state) - 1  # one is the residual's
    mine = {name: tuple(weight.shape) for name, weight in head.state_dict().items()}
    reason = None
    if known is not None and known != config.head.layers:
        reason = f"reads layers {list(known)}, and head.layers is {list(config.head.layers)}"
    elif count != len(config.head.layers):
        reason = f"reads {count} layers, and head.layers is {list(config.head.layers)}"
    elif len(config.dimensions) > 1:
        reason = f"has one dimension, and dimensions is {list(config.dimensions)}"
    elif mine != {name: tuple(weight.shape) for name, weight in state.items()}:
        reason = "has weights of other names or shapes than this backbone's"
    if reason:
        raise TrainingError(
            f"released checkpoint {config.base_model}: its head {reason}; correct that, or start"
            " afresh from the backbone alone: load_backbone(FOLDER).save_pretrained(ANOTHER)"
        )


def _head(folder: Path) -> dict[str, Tensor]:
    try:
        return read_head(folder)
    except (OSError, ValueError, KeyError, SafetensorError) as error:
        raise TrainingError(f"{folder}: its weights cannot be read ({error})") from error


def _given(folder: Path) -> dict[str, Any]:
    """Values of the file that says how a released checkpoint is used; none where there is none."""
    path = folder / USE
    try:
        values = json.loads(path.read_text()) if path.exists() else {}
    except (OSError, ValueError) as error:
        raise TrainingError(f"{path} cannot be read as JSON ({error})") from error
    if not isinstance(values, dict):
        raise TrainingError(f"{path} is {values!r}; it must be a JSON object, such as {EXAMPLE}")
    return values


def _layers(folder: Path) -> tuple[int, ...] | None:
    """Layers that config.json names, as a list or as the argument's text: `6 12 18 24`.

    Raises: TrainingError for anything else.
    """
    values = json.loads((folder / "config.json").read_text()).get(LAYERS)
    if values is None:
        return None
    try:
        listed = values.split() if isinstance(values, str) else values
        return tuple(int(value) for value in listed)
    except (TypeError, ValueError) as error:
        raise TrainingError(
            f"{folder / 'config.json'}: {LAYERS} is {values!r}; it must be numbers of layers"
        ) from error
