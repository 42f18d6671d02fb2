"""What training minimises: rate + λ · distortion, at a random quality per sample.

crops, qualities ─► codec ─┬─► bits ─► bpp ───────────────────┐
                           └─► x̂ ─► MSE or MS-SSIM ─► · λ ──► + ─► · (pivot / λ)^exponent ─► mean
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from corelic.codecs.learned import LearnedImageCodec
from corelic.codecs.rate import MSE_UNIT, lambda_of
from corelic.training.recipe import Loss

MS_SSIM_UNIT = 1250.0  # see recipe.Loss
# Wang, Simoncelli & Bovik, "Multiscale structural similarity for image quality assessment",
# Asilomar 2003; `eval.metrics` has the same numbers for 8-bit pictures, and a test compares.
SCALE_WEIGHTS = (0.0448, 0.2856, 0.3001, 0.2363, 0.1333)
WINDOW_PX, WINDOW_SIGMA_PX = 11, 1.5
K1, K2 = 0.01, 0.03


class Objective(nn.Module):
    """A codec and its loss as one module, so that Fabric wraps (and distributes) the whole step."""

    def __init__(self, codec: LearnedImageCodec, loss: Loss) -> None:
        super().__init__()
        self.codec, self.loss = codec, loss

    def forward(self, x: Tensor, quality: Tensor) -> Tensor:
        """x (N, 3, H, W) in [0, 1], quality (N,) -> (3,): loss, mean bpp, mean PSNR in dB."""
        result = self.codec(x, quality)
        rate_bpp = result.bits / (x.shape[-2] * x.shape[-1])
        x_hat = result.x_hat.float()
        mse = (x_hat - x).square().mean(dim=(1, 2, 3))
        if self.loss.distortion == "mse":
            distortion = MSE_UNIT * mse
        else:
            distortion = MS_SSIM_UNIT * (1 - ms_ssim(x_hat, x))
        lambdas = lambda_of(self.codec.spec, quality)
        # High λ has the larger losses; unweighted, it would drown low λ.
        weight = (self.loss.pivot_lambda / lambdas) ** self.loss.exponent
        loss = (weight * (rate_bpp + lambdas * distortion)).mean()
        psnr_db = -10 * torch.log10(mse.detach().clamp_min(1e-10))
        return torch.stack([loss, rate_bpp.detach().mean(), psnr_db.mean()])


def ms_ssim(a: Tensor, b: Tensor) -> Tensor:
    """(N, 3, H, W) in [0, 1], sides of at least 161 -> (N,) in [0, 1], differentiable."""
    with torch.autocast(a.device.type, enabled=False):
        product = torch.ones(a.shape[:2], device=a.device)
        for scale, weight in enumerate(SCALE_WEIGHTS):
            similarity, contrast = _ssim(a, b)
            last = scale == len(SCALE_WEIGHTS) - 1
            # A power's gradient at zero is infinite; pictures so unlike are of the first steps.
            product = product * (similarity if last else contrast).clamp_min(1e-4) ** weight
            padding = [side % 2 for side in a.shape[-2:]]
            a, b = (F.avg_pool2d(x, 2, padding=padding) for x in (a, b))
        return product.mean(dim=1)


def _ssim(a: Tensor, b: Tensor) -> tuple[Tensor, Tensor]:
    """Means over positions, (N, 3): SSIM, and of it the contrast and structure term alone."""
    c1, c2 = K1**2, K2**2
    mean_a, mean_b = _windowed(a), _windowed(b)
    variance_a = _windowed(a * a) - mean_a**2
    variance_b = _windowed(b * b) - mean_b**2
    covariance = _windowed(a * b) - mean_a * mean_b
    contrast = (2 * covariance + c2) / (variance_a + variance_b + c2)
    luminance = (2 * mean_a * mean_b + c1) / (mean_a**2 + mean_b**2 + c1)
    return (luminance * contrast).mean(dim=(2, 3)), contrast.mean(dim=(2, 3))


def _windowed(x: Tensor) -> Tensor:
    """Gaussian means, only where the window fits: (N, C, H, W) -> (N, C, H - 10, W - 10)."""
    offsets = torch.arange(WINDOW_PX, device=x.device, dtype=x.dtype) - WINDOW_PX // 2
    window = torch.exp(-(offsets**2) / (2 * WINDOW_SIGMA_PX**2))
    window = (window / window.sum()).expand(x.shape[1], 1, -1)
    rows = F.conv2d(x, window[:, :, :, None], groups=x.shape[1])
    return F.conv2d(rows, window[:, :, None, :], groups=x.shape[1])
