"""Exact deformable sampling: what is at a point between positions, from its four neighbours.

    offset ─► + reference point ─► clamp to the picture ─► 1/16 of a position ─► 4 gathers
                                                            └─► (16−a)(16−b), (16−a)b, …, / 256

Weights are whole numbers of 1/256, values have 16 bits: the sum is exact. While training, points
are not rounded, and the gradient of an offset is the slope between neighbours.

Dai et al., "Deformable Convolutional Networks", ICCV 2017, arXiv:1703.06211, with coordinates
on a grid. Not `grid_sample`, whose coordinates are normalised by division.
"""

from __future__ import annotations

from torch import Tensor

from corelic.entropy.grid import ACTIVATION_LIMIT, GridSum, Snap

POINT_STEPS = 16  # per position


class GridSampling(GridSum):
    """(N, C, h, w) at P points -> (N, P, C)."""

    def __init__(self) -> None:
        super().__init__()
        self.snap = Snap()
        # Four weights that sum to 256.
        self.accumulator_bound = float(ACTIVATION_LIMIT * POINT_STEPS**2)

    def forward(self, x: Tensor, rows: Tensor, columns: Tensor) -> Tensor:
        """rows and columns (N, P), in positions, wherever they are: clamped to 0 … h − 1, w − 1."""
        *_, height, width = x.shape
        x = self.snap(x).flatten(2).transpose(1, 2)
        (top, bottom, low), (left, right, near) = (
            self._between(points, side) for points, side in ((rows, height), (columns, width))
        )
        corners = (
            (top, left, (1 - low) * (1 - near)),
            (top, right, (1 - low) * near),
            (bottom, left, low * (1 - near)),
            (bottom, right, low * near),
        )
        parts = (
            x.gather(1, (row * width + column)[:, :, None].expand(-1, -1, x.shape[2]).long())
            * share[:, :, None]
            for row, column, share in corners
        )
        first, second, third, last = parts
        return first + second + third + last

    def _between(self, points: Tensor, side: int) -> tuple[Tensor, Tensor, Tensor]:
        """Positions before and after each point, and its share of the way between them."""
        points = points.clamp(0, side - 1)
        if self.snap.fraction_bits is not None:
            points = (points * POINT_STEPS + 0.5).floor() * (1 / POINT_STEPS)
        # At the far edge the next position would be outside, and its share is 0.
        before = points.detach().floor()
        after = (before + 1).clamp_max(side - 1)
        return before, after, points - before
