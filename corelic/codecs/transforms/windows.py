"""Attention within windows of any shape, over pictures of any size.

    (N, 3C, H, W) ─ pad, mask ─ cut ─► (windows, positions, 3C) ─ attend ─ join ─► (N, C, H, W)

Scaled cosine attention with a log-spaced continuous position bias, from Liu et al., "Swin
Transformer V2: Scaling Up Capacity and Resolution", CVPR 2022, arXiv:2111.09883: the bias is
a small network of the offset between two positions, so it knows windows of every shape.
Ours differs: shifted windows begin half a window before the picture instead of wrapping around
it, so that a tile sees what the whole sees; the bias network has 64 hidden units, not 512.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn

SCALE_START, SCALE_MAX = 10.0, 100.0  # what cosines are multiplied by
BIAS_HIDDEN = 64
BIAS_MAX = 16.0
OFFSET_MAX = 8.0  # of an offset that crosses the window, before its logarithm is taken
PADDED_PX = 256
LENGTH_MIN = 1e-3  # of queries and keys: where a picture is flat, they vanish


@dataclass(frozen=True, slots=True)
class Window:
    """In positions. shifted: the first one begins half a window before the picture."""

    height: int
    width: int
    shifted: bool

    @property
    def positions(self) -> int:
        return self.height * self.width

    def working_floats(self, channels: int, heads: int, unit_px: int) -> float:
        """Alive in attention beside queries, keys and values, per position of `unit_px` a side.

        Padding counts as in pictures of PADDED_PX; in smaller ones it is more, of less.
        """
        floats = 6.5 * channels
        if not self.shifted:
            return floats
        rows, columns = (1 + side * unit_px / PADDED_PX for side in (self.height, self.width))
        return (floats + heads * self.positions) * rows * columns


@dataclass(frozen=True, slots=True)
class Axis:
    """Windows in a row over `length` positions, which begin after `before` that are padding."""

    length: int
    before: int
    side: int
    count: int

    @staticmethod
    def over(length: int, side: int, *, shifted: bool) -> Axis:
        before = side // 2 if shifted else 0
        if before + length <= side:  # one window holds all, and what is not there needs no padding
            return Axis(length, before=0, side=length, count=1)
        return Axis(length, before, side, count=-(-(before + length) // side))

    @property
    def after(self) -> int:
        return self.count * self.side - self.before - self.length

    @property
    def is_padded(self) -> bool:
        return self.before + self.after > 0

    def real(self, device: torch.device) -> Tensor:
        """(count, side) bool: which positions are of the picture."""
        place = torch.arange(self.count * self.side, device=device) - self.before
        return ((place >= 0) & (place < self.length)).view(self.count, self.side)


def cut(x: Tensor, rows: Axis, columns: Axis) -> Tensor:
    """(N, H, W, C) -> (N · windows, positions, C), windows in reading order."""
    if rows.is_padded or columns.is_padded:
        x = F.pad(x, (0, 0, columns.before, columns.after, rows.before, rows.after))
    n, *_, c = x.shape
    x = x.reshape(n, rows.count, rows.side, columns.count, columns.side, c)
    return x.transpose(2, 3).reshape(-1, rows.side * columns.side, c)


def join(windows: Tensor, rows: Axis, columns: Axis) -> Tensor:
    """The inverse of `cut`, without the padding."""
    x = windows.reshape(-1, rows.count, columns.count, rows.side, columns.side, windows.shape[-1])
    x = x.transpose(2, 3).flatten(3, 4).flatten(1, 2)
    return x[:, rows.before :, columns.before :][:, : rows.length, : columns.length]


class WindowAttention(nn.Module):
    """Every position attends to those of its window, padding excepted."""

    def __init__(self, heads: int, window: Window) -> None:
        super().__init__()
        self.heads, self.window = heads, window
        self.log_scale = nn.Parameter(torch.full((heads, 1, 1), math.log(SCALE_START)))
        # No bias at the end: it would be the same for all, which softmax ignores.
        self.bias = nn.Sequential(
            nn.Linear(2, BIAS_HIDDEN), nn.ReLU(), nn.Linear(BIAS_HIDDEN, heads, bias=False)
        )

    def forward(self, qkv: Tensor) -> Tensor:
        """qkv (N, 3C, H, W), queries, keys and values -> (N, C, H, W)."""
        *_, height, width = qkv.shape
        rows = Axis.over(height, self.window.height, shifted=self.window.shifted)
        columns = Axis.over(width, self.window.width, shifted=self.window.shifted)
        windows = cut(qkv.permute(0, 2, 3, 1), rows, columns)
        split = windows.reshape(*windows.shape[:2], 3, self.heads, -1)
        # Float32 even under autocast: an exponential makes per cents of the last of 8 bits, and
        # these are few of a block's products.
        with torch.autocast(qkv.device.type, enabled=False):
            query, key, value = split.float().permute(2, 0, 3, 1, 4).unbind()
            attended = F.scaled_dot_product_attention(
                F.normalize(query, dim=-1, eps=LENGTH_MIN) * self.scale,
                F.normalize(key, dim=-1, eps=LENGTH_MIN),
                value,
                attn_mask=self.added_to_scores(len(qkv), rows, columns),
                scale=1.0,
            )
        joined = join(attended.transpose(1, 2).flatten(2), rows, columns)
        return joined.permute(0, 3, 1, 2)

    @property
    def scale(self) -> Tensor:
        """(heads, 1, 1), of cosines."""
        return self.log_scale.clamp_max(math.log(SCALE_MAX)).exp()

    def added_to_scores(self, pictures: int, rows: Axis, columns: Axis) -> Tensor:
        """(1 or pictures · windows, heads, positions, positions): position bias, -inf at padding.

        A window always holds some of the picture, so that no row is -inf throughout.
        """
        bias = self.position_bias(rows.side, columns.side)[None]
        if not rows.is_padded and not columns.is_padded:
            return bias
        device = bias.device
        real = rows.real(device)[:, None, :, None] & columns.real(device)[None, :, None, :]
        mask = torch.zeros(real.shape, device=device).masked_fill_(~real, -math.inf)
        masked = bias + mask.flatten(2).flatten(0, 1)[:, None, None, :]
        return masked.repeat(pictures, 1, 1, 1) if pictures > 1 else masked

    def position_bias(self, height: int, width: int) -> Tensor:
        """(heads, positions, positions) for a window of at most the nominal size."""
        device = self.log_scale.device
        offsets = torch.stack(
            torch.meshgrid(
                spaced(height, self.window.height, device),
                spaced(width, self.window.width, device),
                indexing="ij",
            ),
            dim=-1,
        )
        table = BIAS_MAX * torch.sigmoid(self.bias(offsets))
        row, column = (torch.arange(side, device=device) for side in (height, width))
        down = (row[:, None] - row + height - 1)[:, None, :, None]
        right = (column[:, None] - column + width - 1)[None, :, None, :]
        index = (down * (2 * width - 1) + right).flatten(2).flatten(0, 1)
        return table.flatten(0, 1)[index].permute(2, 0, 1).contiguous()


def spaced(side: int, nominal_side: int, device: torch.device) -> Tensor:
    """Offsets -(side - 1) … side - 1 on a logarithmic scale, ±1 where they cross the window."""
    offsets = torch.arange(1 - side, side, device=device, dtype=torch.float32)
    offsets = offsets * (OFFSET_MAX / max(nominal_side - 1, 1))
    return offsets.sign() * torch.log2(1 + offsets.abs()) / math.log2(1 + OFFSET_MAX)
