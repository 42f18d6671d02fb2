"""What contexts share that decode channel slices in order, each as a checkerboard in two passes.

slice 0          slice 1          …       ■ anchors, □ the others: a position's row + column is
■ □ ■ □  0 1     ■ □ ■ □  2 3             even or odd
□ ■ □ ■  1 0     □ ■ □ ■  3 2     …       numbers: steps
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import accumulate, pairwise

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from corelic.codecs.context.base import ContextModel
from corelic.entropy.grid import GridConv2d

ANCHOR_PARITY = 0  # of row + column; part of the format of every codec with such a context

LAYERS = 3  # of a fusion


def anchors_of(shape: torch.Size, device: torch.device) -> Tensor:
    """(h, w) bool for latents of `shape` (N, M, h, w): where the first pass decodes."""
    rows = torch.arange(shape[2], device=device)[:, None]
    columns = torch.arange(shape[3], device=device)
    return (rows + columns) % 2 == ANCHOR_PARITY


class SlicedContext(ContextModel):
    """Step 2k decodes the anchors of slice k, step 2k + 1 its other positions."""

    def __init__(self, sizes: Sequence[int]) -> None:
        super().__init__()
        self.sizes = tuple(sizes)
        self.starts = (0, *accumulate(sizes))
        self.steps = 2 * len(self.sizes)

    def channels_of(self, number: int) -> slice:
        return slice(self.starts[number], self.starts[number + 1])

    def masks(self, shape: torch.Size) -> list[Tensor]:
        anchors = anchors_of(shape, torch.device("cpu"))
        masks = torch.zeros((self.steps, *shape[1:]), dtype=torch.bool)
        for number in range(len(self.sizes)):
            masks[2 * number, self.channels_of(number)] = anchors
            masks[2 * number + 1, self.channels_of(number)] = ~anchors
        return list(masks)

    def known_channels(self, step: int, decoded: Tensor) -> Tensor:
        """`earlier`, without the channels of which nothing is known."""
        number, second = divmod(step, 2)
        known = decoded[:, : self.starts[number]]
        if not second:
            return known
        return torch.cat([known, self.anchors(number, decoded)], dim=1)

    def anchors(self, number: int, decoded: Tensor) -> Tensor:
        """A slice with zeros beside its anchors."""
        own = decoded[:, self.channels_of(number)]
        return torch.where(anchors_of(own.shape, own.device), own, 0.0)


class Fusion(nn.Module):
    """Three 1×1 layers with widths in equal steps, (N, C, h, w) -> (N, O, h, w)."""

    def __init__(self, in_channels: int, out_channels: int) -> None:
        super().__init__()
        change = out_channels - in_channels
        widths = [in_channels + change * layer // LAYERS for layer in range(LAYERS + 1)]
        self.hidden = nn.ModuleList(GridConv2d(a, b) for a, b in pairwise(widths[:-1]))
        self.head = GridConv2d(widths[-2], out_channels, gain=0.1)

    def forward(self, x: Tensor) -> Tensor:
        for layer in self.hidden:
            x = F.leaky_relu(layer(x), 0.125)  # a power of two stays on a grid
        found: Tensor = self.head(x)
        return found
