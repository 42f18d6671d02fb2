"""Latents stay within what clean pictures give: an attack cannot wake a channel that sleeps.

    clean pictures ─► analysis ─► least and greatest of each channel ─► bounds
    x ─ analysis ─ clamp to the bounds ─ gain ─► y ─► as before                  differentiable

Chen & Ma, "Toward Robust Neural Image Compression", arXiv:2112.08691, clip channels that are dead
on natural pictures, where attacks on some codecs put their energy. Our reading: every channel is
clipped, to the range that it had on the pictures shown, widened by a margin. The encoder alone is
changed, so files decode anywhere.
"""

from __future__ import annotations

import copy
from collections.abc import Sequence
from dataclasses import replace

import torch
from torch import Tensor, nn

from corelic.attacks.defences.base import Defence
from corelic.attacks.draws import Draws
from corelic.attacks.errors import AttackError
from corelic.attacks.pixels import clip_of
from corelic.attacks.victim import Coded, LearnedVictim, Victim
from corelic.codecs.base import Reconstruction
from corelic.codecs.files import FileCodec
from corelic.codecs.learned import LearnedImageCodec, pad
from corelic.media import Picture

MARGIN = 0.05  # of the range, on both sides


class ClippedAnalysis(nn.Module):
    """An analysis whose output (N, M, h, w) is clamped to bounds (2, M): least, greatest."""

    def __init__(self, analysis: nn.Module, bounds: Tensor) -> None:
        super().__init__()
        self.analysis = analysis
        self.bounds = bounds[:, None, :, None, None]

    def forward(self, x: Tensor, quality: Tensor) -> Tensor:
        y: Tensor = self.analysis(x, quality)
        return y.clamp(self.bounds[0].to(y), self.bounds[1].to(y))


class LatentClipping(Defence):
    """bounds (2, M): least and greatest of each channel of the analysis, before its gain."""

    title = "latent clipping"

    def __init__(self, bounds: Tensor) -> None:
        self.bounds = bounds

    @classmethod
    @torch.no_grad()
    def observed(cls, victim: Victim, clean: Sequence[Picture]) -> LatentClipping:
        """Bounds from what clean pictures give at the victim's quality."""
        inner = _learned(victim)
        quality = inner.codec.quality_tensor(inner.quality)
        lows, highs = [], []
        for picture in clean:
            x = clip_of([picture]).to(inner.codec.device)
            y = inner.twin.analysis(pad(x, inner.twin.spec.pad_multiple_px), quality).float()
            lows.append(y.amin(dim=(0, 2, 3)))
            highs.append(y.amax(dim=(0, 2, 3)))
        if not lows:
            raise AttackError(cls.title, "was shown no picture; give some clean ones")
        low, high = torch.stack(lows).amin(dim=0), torch.stack(highs).amax(dim=0)
        margin = (high - low) * MARGIN
        return cls(torch.stack([low - margin, high + margin]))

    def prepared(self, victim: Victim) -> Victim:
        """The same victim with a clamp behind its analysis, in both its lives."""
        inner = _learned(victim)
        channels = inner.twin.spec.transform.latent_channels
        if inner.codec.effort:
            reason = "bounds latents that an effort would seek beyond them; use the codec without"
            raise AttackError(self.title, reason)
        if self.bounds.shape != (2, channels):
            found = tuple(self.bounds.shape)
            raise AttackError(self.title, f"has bounds of shape {found}; give (2, {channels})")
        clipped = copy.copy(inner)
        weights = inner.codec.weights
        real = FileCodec(
            replace(weights, codec=self._clipped(inner.codec.codec)), inner.codec.device
        )
        clipped.codec, clipped.twin = real, self._clipped(inner.twin)
        return clipped

    def forward(self, victim: Victim, x: Tensor, random: torch.Generator) -> Reconstruction:
        return victim.forward(x, random)

    def code(self, victim: Victim, picture: Picture, draws: Draws) -> Coded:
        return victim.code(picture, draws.within())

    def _clipped(self, codec: LearnedImageCodec) -> LearnedImageCodec:
        changed = copy.deepcopy(codec)  # codecs are shared with whoever else opened them
        changed.analysis = ClippedAnalysis(changed.analysis, self.bounds)
        return changed


def _learned(victim: Victim) -> LearnedVictim:
    if not isinstance(victim, LearnedVictim):
        reason = f"needs a learned codec's latents, and {victim.title} is none; put it innermost"
        raise AttackError(LatentClipping.title, reason)
    return victim
