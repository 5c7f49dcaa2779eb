"""Linear layers in 4 bits while a model is loaded, by bitsandbytes on a CUDA GPU."""

from __future__ import annotations

from importlib.util import find_spec
from typing import Any

import torch
from transformers import BitsAndBytesConfig

from brain3d.scans.types import InputError

NF4 = "nf4"
QUANTISATIONS = (NF4,)
DEVICES = ("cuda",)


def quantised(
    quantisation: str | None, dtype: torch.dtype, device: torch.device | str, whole: tuple[str, ...] | None = None
) -> dict[str, Any]:
    """What `from_pretrained` is told besides, so that a model's linear layers come in 4 bits, on their device.

    "nf4" is 4-bit NormalFloat with double quantisation (arXiv 2305.14314).

    Args:
        dtype: of the computation, and of what is not quantised.
        whole: modules that are not, by their full names; None for the head alone.

    Returns:
        Nothing where `quantisation` is None.

    Raises:
        InputError: an unknown quantisation, or one that this machine cannot do.
    """
    if quantisation is None:
        return {}
    if quantisation not in QUANTISATIONS:
        raise InputError(f"quantisation {quantisation!r}: give {', '.join(QUANTISATIONS)} or none")
    if torch.device(device).type not in DEVICES:
        raise InputError("quantisation nf4: needs a CUDA GPU; leave it out on a CPU")
    if find_spec("bitsandbytes") is None:
        raise InputError("quantisation nf4: needs bitsandbytes; run `pip install 'brain3d[nf4]'`")
    settings = BitsAndBytesConfig(
        load_in_4bit=True,
        bnb_4bit_quant_type=NF4,
        bnb_4bit_use_double_quant=True,
        bnb_4bit_compute_dtype=dtype,
        llm_int8_skip_modules=None if whole is None else list(whole),  # its name, of 4 bits too
    )
    return {"quantization_config": settings, "device_map": {"": torch.device(device)}}
