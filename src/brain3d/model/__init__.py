"""The composite model: an inflated SigLIP tower, a projector and a causal Gemma 3 language model.

Importing this package imports neither torch nor transformers; each name is fetched when first asked for.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from brain3d.model.configuration_brain3d import Brain3DConfig
    from brain3d.model.inflation import inflate, inflate_kernel
    from brain3d.model.modeling_brain3d import (
        LORA_TARGET_PATTERN,
        Brain3DForConditionalGeneration,
        Brain3DModel,
    )
    from brain3d.model.processing_brain3d import Brain3DProcessor
    from brain3d.model.tower import Brain3DVisionTower

_HOME = {
    "LORA_TARGET_PATTERN": "modeling_brain3d",
    "Brain3DConfig": "configuration_brain3d",
    "Brain3DForConditionalGeneration": "modeling_brain3d",
    "Brain3DModel": "modeling_brain3d",
    "Brain3DProcessor": "processing_brain3d",
    "Brain3DVisionTower": "tower",
    "inflate": "inflation",
    "inflate_kernel": "inflation",
}

__all__ = [
    "LORA_TARGET_PATTERN",
    "Brain3DConfig",
    "Brain3DForConditionalGeneration",
    "Brain3DModel",
    "Brain3DProcessor",
    "Brain3DVisionTower",
    "inflate",
    "inflate_kernel",
]


def __getattr__(name: str) -> Any:
    if name not in _HOME:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_HOME[name]}"), name)


def __dir__() -> list[str]:
    return sorted([*globals(), *__all__])
