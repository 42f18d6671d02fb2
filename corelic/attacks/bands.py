"""Low and high spatial frequencies of a perturbation.

By the discrete Fourier transform of a whole frame, so that the two bands are orthogonal: their
energies add up, and projecting twice is projecting once.
"""

from __future__ import annotations

import torch
from torch import Tensor

CUTOFF = 0.25  # cycles per pixel: half of what pixels hold


def low_band(x: Tensor, cutoff: float) -> Tensor:
    """(T, 3, H, W) -> the same, without radial frequencies from `cutoff` cycles per pixel on."""
    height, width = x.shape[-2:]
    rows = torch.fft.fftfreq(height, device=x.device)[:, None]
    columns = torch.fft.rfftfreq(width, device=x.device)
    kept = rows.square() + columns.square() < cutoff**2
    low: Tensor = torch.fft.irfft2(torch.fft.rfft2(x) * kept, s=(height, width))
    return low


def high_share(x: Tensor, cutoff: float = CUTOFF) -> Tensor:
    """(T, 3, H, W) -> (T,), the share of the energy from `cutoff` on; 0 where there is none."""
    whole = x.square().sum(dim=(1, 2, 3))
    high = (x - low_band(x, cutoff)).square().sum(dim=(1, 2, 3))
    return torch.where(whole > 0, high / whole.clamp_min(1e-30), 0.0)
