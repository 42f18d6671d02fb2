"""bfloat16 for the networks around the parsing path, which alone may lose precision."""

from __future__ import annotations

from contextlib import AbstractContextManager, nullcontext

import torch


def has_fast_bfloat16(device: torch.device) -> bool:
    """Whether networks are quicker in it there: on GPUs since Ampere, on CPUs with AMX.

    With AVX-512 BF16 alone they take 1.2 to 1.5 times as long as in float32 (oneDNN told to leave
    AMX unused); without either, bfloat16 is emulated.
    """
    if device.type == "cuda":
        return bool(torch.cuda.is_bf16_supported(including_emulation=False))
    return device.type == "cpu" and bool(torch.cpu._is_amx_tile_supported())


def lower_precision(device: torch.device) -> AbstractContextManager[object]:
    """In it, networks run in bfloat16 where the device is quicker so."""
    if has_fast_bfloat16(device):
        return torch.autocast(device.type, torch.bfloat16)
    return nullcontext()
