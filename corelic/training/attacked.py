"""Attacked crops, stored beforehand, among those that a codec is trained on.

    photographs ─► Crops ────────────┐
                                     ├─ a share of each batch ─► batch
    stored attacks ─► whole pictures ┘

Sitawarin et al., "PubDef: Defending Against Transfer Attacks From Public Models", ICLR 2024,
arXiv:2310.17645: attacks on a few public models are made once, stored, and trained on, which costs
no more than training does. For a codec, ours: there is no label to keep, so an attacked picture is
one more picture to code well, for the usual loss, at a random quality.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from torch import Tensor, from_numpy

from corelic.errors import PictureError
from corelic.training.data import Crops, PhotoCache

# Attacks are made for a place on the codec's grid, and are worth little elsewhere: larger pictures
# are cut at multiples of this, and none is flipped or scaled.
GRID_PX = 64


class MixedCrops(Crops):
    """As `Crops`, with `share` of all samples from stored attacks; the same in every run."""

    def __init__(self, photographs: Crops, attacked: PhotoCache, share: float) -> None:
        super().__init__(photographs.cache, photographs.seed, photographs.scale_max)
        self.attacked, self.share = attacked, share

    def check(self, size_px: int) -> None:
        """PictureError where a stored picture is smaller than a crop."""
        for entry in self.attacked.entries:
            if min(entry.height_px, entry.width_px) < size_px:
                found = f"{entry.width_px} × {entry.height_px}"
                reason = f"is {found}, and crops have {size_px} pixels; store larger attacks"
                raise PictureError(entry.name, reason)

    def batch_of_bytes(self, step: int, samples: range, size_px: int) -> Tensor:
        """(samples, 3, size, size) uint8, channels last; `batch` is made of these, too."""
        batch = super().batch_of_bytes(step, samples, size_px)
        for place, sample in enumerate(samples):
            # Another stream than the crop's own, which therefore stays the same.
            random = np.random.default_rng((self.seed, step, sample, 1))
            if random.random() < self.share:
                batch[place] = self.stored(random, size_px)
        return batch

    def stored(self, random: np.random.Generator, size_px: int) -> Tensor:
        """(3, size, size) uint8, whole or cut on the grid."""
        entry = self.attacked.entries[random.integers(len(self.attacked.entries))]
        picture = self.attacked.picture(entry)
        row, column = (
            GRID_PX * int(random.integers((side - size_px) // GRID_PX + 1))
            for side in picture.shape[:2]
        )
        crop: NDArray[np.uint8] = picture[row : row + size_px, column : column + size_px]
        return from_numpy(crop.copy()).permute(2, 0, 1)
