"""The one training loop: networks that teach one another along the edges of a knowledge-transfer graph.

Importing this package does not import torch; names are loaded at first use.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from automl_vision.trainer.loop import CollaborativeTrainer
    from automl_vision.trainer.settings import TrainerSettings

__all__ = ["CollaborativeTrainer", "TrainerSettings"]

_HOME_OF = {"CollaborativeTrainer": "automl_vision.trainer.loop", "TrainerSettings": "automl_vision.trainer.settings"}


def __getattr__(name: str) -> Any:
    if name not in _HOME_OF:
        raise AttributeError(f"module 'automl_vision.trainer' has no attribute {name!r}")
    return getattr(import_module(_HOME_OF[name]), name)
