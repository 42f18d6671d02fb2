"""How far each way a stack of layers sees: the halo that a tile needs.

    tile ◄─ layer k: reads beyond ◄─ … ◄─ layer 0 ◄─ picture      (from the result backwards)

A convolution adds its own reach. Attention within windows reads whole windows, so how far it sees
depends on where the tile lies on their grid: what holds here holds for tiles whose borders are
multiples of TILE_PX, as all tiles' are, and for windows that divide that.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

TILE_PX = 64  # divides every codec's pad multiple: 16 for latents, 4 more for hyper-latents


@dataclass(frozen=True, slots=True)
class Around:
    """A convolution that reads `reach_px` beyond its own place, each way."""

    reach_px: int

    def before(self, reach_px: int) -> int | None:
        return reach_px + self.reach_px


@dataclass(frozen=True, slots=True)
class Within:
    """Windows of `side_px`, in a row from the border of the picture, or half a side before it."""

    side_px: int
    shifted: bool

    def before(self, reach_px: int) -> int | None:
        """The window's end beyond `reach_px`, seen from a tile's border; None: no border fits."""
        if TILE_PX % self.side_px:
            return None
        start = self.side_px // 2 if self.shifted else 0
        return -(-(reach_px - start) // self.side_px) * self.side_px + start


@dataclass(frozen=True, slots=True)
class Beside:
    """Layers side by side, each for a part of the channels."""

    layers: tuple[Within, ...]

    def before(self, reach_px: int) -> int | None:
        return widest(*(layer.before(reach_px) for layer in self.layers))


Layer = Around | Within | Beside


def halo_px(layers: Sequence[Layer]) -> int | None:
    """Layers in the order in which data passes them; None: tiles would show."""
    reach_px: int | None = 0
    for layer in reversed(layers):
        if reach_px is not None:
            reach_px = layer.before(reach_px)
    return reach_px


def widest(*halos_px: int | None) -> int | None:
    """Of several layers or stacks that end in one place."""
    finite = [halo for halo in halos_px if halo is not None]
    return max(finite) if len(finite) == len(halos_px) else None
