"""Corner-to-center: each w×w window in 2·log2(w) + 1 steps, by attention to all that is decoded.

Sui, Ding, Pan, Xu, Liu, Yuan & Chen, "Corner-to-Center Long-range Context Model for Efficient
Learned Image Compression", arXiv:2311.18103. Only its abstract was at hand: a transformer context
model, whose logarithmic prediction order decodes progressively more from corner to center. All
below is our reading. First come the corners of the windows; then, again and again, the centers of
the squares (odd steps) and diamonds (even steps) whose corners are known:

    0 4 2 4 0       step 0: corners                      1 of 16 positions at w = 4
    4 3 4 3 4       step 1: centers of squares           1
    2 4 1 4 2       step 2: centers of diamonds          2
    4 3 4 3 4       step 3: centers of squares           4
    0 4 2 4 0       step 4: centers of diamonds          8

    hyper at what is to be decoded ─► x ─► + attention to the 3×3 windows around ─► + MLP ─►(again)
                                        ─► + attention to summaries of all windows ─► head
    hyper, ŷ at what is decoded ─► memory ─┴─► means over windows ─► summaries

Near latents are seen one by one, with a bias learnt for each offset; far ones through summaries.
There is one for each window, or, in pictures of more than 256 windows (a megapixel at w = 4), one
for each square block of them, so that attention to everything costs the same per pixel at any size.
As everything is seen, a picture has no halo.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import chain

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from corelic.codecs.base import check_repeats
from corelic.codecs.context.base import ContextModel, GaussianParameters, to_gaussian
from corelic.entropy.grid import GridLinear, GridTable
from corelic.entropy.grid_attention import GridAttention, softmax_weight
from corelic.entropy.grid_norm import GridGelu, GridLayerNorm, GridMean, normal_cdf

Place = tuple[int, int]  # row, column in a window

MOST_SUMMARIES = 256  # of a picture; part of the format of every codec with this context


@dataclass(frozen=True)
class CornerToCenterSpec:
    latent_channels: int
    window: int  # w, a power of two
    width: int  # of tokens
    heads: int
    layers: int  # attention and MLP each

    def __post_init__(self) -> None:
        if self.window not in (2, 4, 8):
            raise ValueError(f"windows of {self.window} latents are none of 2, 4, 8")
        check_repeats(self.layers, "layers")
        if self.heads < 1 or self.width % self.heads or self.layers < 1:
            raise ValueError(f"{self.heads} heads do not share {self.width} features in a layer")

    @classmethod
    def sized(cls, latent_channels: int) -> CornerToCenterSpec:
        width = max(latent_channels // 32, 1) * 32
        return cls(latent_channels, window=4, width=width, heads=width // 32, layers=2)

    def build(self) -> CornerToCenter:
        return CornerToCenter(self)


def places_of(window: int) -> list[list[Place]]:
    """What each step decodes in a window, in reading order."""
    steps = [[(0, 0)]]
    spacing = window
    while spacing > 1:
        half = spacing // 2
        lattice = [
            (row, column) for row in range(0, window, half) for column in range(0, window, half)
        ]
        for odd in ((1, 1), (0, 1)):  # centers of squares, then of diamonds
            parities = {odd, odd[::-1]}
            steps.append(
                [
                    (row, column)
                    for row, column in lattice
                    if (row // half % 2, column // half % 2) in parities
                ]
            )
        spacing = half
    return steps


class CornerToCenter(ContextModel):
    """As many network passes as a window has bits of positions, and one; at any picture size."""

    reach = None

    def __init__(self, spec: CornerToCenterSpec) -> None:
        super().__init__()
        self.window = self.period = spec.window
        self.places = places_of(spec.window)
        self.steps = len(self.places)
        self.hyper_features = spec.width
        m, width = spec.latent_channels, spec.width
        # At the last step: two tokens from each of nine windows that know half of their latents,
        # the scores of the other half, the MLP.
        known = 9 / 2
        scores = spec.heads * known * spec.window**2 / 2
        self.working_values = round(m * 4 + 2 * width * (known + 3) + 3 * scores + 6 * width)
        self.phi, self.weight = GridTable(normal_cdf), GridTable(softmax_weight)
        self.step = GridLinear(self.steps, width)
        # Latents reach hundreds, hyper features do not: hence the small gain.
        self.embed = GridLinear(m, width, gain=0.1)
        self.norm = GridLayerNorm(width)
        self.layers = nn.ModuleList(
            Layer(width, spec.heads, spec.window) for _ in range(spec.layers)
        )
        self.summary = Summary(width, spec.heads)
        # On what no norm has touched: scales are a matter of magnitude.
        self.head = GridLinear(width, 2 * m, gain=0.1)
        nn.init.zeros_(self.step.weight)

    def masks(self, shape: torch.Size) -> list[Tensor]:
        masks = torch.zeros((self.steps, *shape[1:]), dtype=torch.bool)
        for mask, places in zip(masks, self.places, strict=True):
            for row, column in places:
                mask[:, row :: self.window, column :: self.window] = True
        return list(masks)

    def parameters_for(self, step: int, hyper: Tensor, decoded: Tensor) -> GaussianParameters:
        own, known = self.places[step], list(chain(*self.places[:step]))
        one_hot = hyper.new_zeros(1, self.steps)
        one_hot[:, step] = 1.0
        # (N, rows of windows, columns of windows, places, width)
        x = self._at(own, hyper) + self.step(one_hot)
        shape = x.shape
        x = x.flatten(0, 2)
        if known:
            memory = self._at(known, hyper) + self.embed(self._at(known, decoded))
            normed = self.norm(memory)
        for layer in self.layers:
            assert isinstance(layer, Layer)
            if known:
                x = x + layer.look(x, normed, own, known, self.weight)
            x = x + layer.think(x, self.phi)
        if known:
            x = x + self.summary(x.view(shape), normed, self.weight).flatten(0, 2)
        found = self.head(x).view(*shape[:-1], -1)
        parameters = to_gaussian(found.movedim(-1, 1))
        index, mean = torch.zeros_like(decoded), torch.zeros_like(decoded)
        for number, (row, column) in enumerate(own):
            rows, columns = slice(row, None, self.window), slice(column, None, self.window)
            index[:, :, rows, columns] = parameters.scale_index[..., number]
            mean[:, :, rows, columns] = parameters.mean[..., number]
        return GaussianParameters(index, mean)

    def _at(self, places: list[Place], x: Tensor) -> Tensor:
        """(N, C, h, w) -> (N, h / w, w / w, places, C): tokens, window by window."""
        parts = [x[:, :, row :: self.window, column :: self.window] for row, column in places]
        return torch.stack(parts, dim=-1).permute(0, 2, 3, 4, 1)


class Layer(nn.Module):
    """Attention to the 3×3 windows around, and an MLP; each after a norm, as a residual branch."""

    def __init__(self, width: int, heads: int, window: int) -> None:
        super().__init__()
        self.window = window
        self.norm = GridLayerNorm(width)
        self.attention = GridAttention(width, heads)
        self.offsets = GridLinear((4 * window - 1) ** 2, heads)
        self.mlp_norm = GridLayerNorm(width)
        self.expand, self.gelu = GridLinear(width, 2 * width), GridGelu()
        self.project = GridLinear(2 * width, width)
        for zero in (self.attention.join, self.offsets, self.project):
            nn.init.zeros_(zero.weight)

    def look(
        self, x: Tensor, memory: Tensor, own: list[Place], known: list[Place], weight: GridTable
    ) -> Tensor:
        """x (windows, n, C); memory (N, rows, columns, m, C) of all windows -> like x."""
        keys, values = self.attention.memory_of(memory)
        inside = torch.ones_like(memory[:, :, :, :, 0])
        keys, values, valid = (torch.cat(list(_around(part)), 3) for part in (keys, values, inside))
        found: Tensor = self.attention(
            self.norm(x),
            keys.flatten(0, 2),
            values.flatten(0, 2),
            weight,
            bias=self._bias(own, known, x),
            valid=valid.flatten(0, 2) > 0,
        )
        return found

    def think(self, x: Tensor, phi: GridTable) -> Tensor:
        found: Tensor = self.project(self.gelu(self.expand(self.mlp_norm(x)), phi))
        return found

    def _bias(self, own: list[Place], known: list[Place], like: Tensor) -> Tensor:
        """(heads, n, 9 · known): what each offset in rows and columns is worth."""
        w = self.window
        ours = torch.tensor(own)
        theirs = torch.tensor(
            [
                (row + w * down, column + w * right)
                for down, right in NEIGHBOURS
                for row, column in known
            ]
        )
        apart = theirs[None] - ours[:, None] + 2 * w - 1
        place = (apart[..., 0] * (4 * w - 1) + apart[..., 1]).to(like.device)
        # One row per offset: the layer's weights, by way of a layer that knows its grid.
        side = (4 * w - 1) ** 2
        table = self.offsets(torch.eye(side, dtype=like.dtype, device=like.device))
        bias: Tensor = table[place].permute(2, 0, 1)
        return bias


NEIGHBOURS = tuple((down, right) for down in (-1, 0, 1) for right in (-1, 0, 1))


def _around(x: Tensor) -> Iterator[Tensor]:
    """(N, rows, columns, m, …) of windows -> the same of each of the 3×3 around; zeros outside."""
    _, rows, columns = x.shape[:3]
    padded = F.pad(x, (*(0,) * (2 * (x.dim() - 3)), 1, 1, 1, 1))
    for down, right in NEIGHBOURS:
        yield padded[:, down + 1 : down + 1 + rows, right + 1 : right + 1 + columns]


class Summary(nn.Module):
    """Attention of each window, as the mean of its queries, to means of all that is decoded."""

    def __init__(self, width: int, heads: int) -> None:
        super().__init__()
        self.queries, self.tokens, self.blocks = GridMean(), GridMean(), GridMean()
        self.norm = GridLayerNorm(width)
        self.attention = GridAttention(width, heads)
        nn.init.zeros_(self.attention.join.weight)

    def forward(self, x: Tensor, memory: Tensor, weight: GridTable) -> Tensor:
        """x (N, rows, columns, n, C), memory (…, m, C) -> (N, rows, columns, 1, C)."""
        queries = self.queries(x, (3,)).flatten(1, 3)
        tokens = self.of_blocks(self.tokens(memory, (3,)).squeeze(3))
        keys, values = self.attention.memory_of(tokens)
        found: Tensor = self.attention(self.norm(queries), keys, values, weight)
        return found.view(*x.shape[:3], 1, -1)

    def of_blocks(self, tokens: Tensor) -> Tensor:
        """(N, rows, columns, C) -> (N, summaries, C), in reading order.

        A block at the lower or right border may have fewer windows; its mean is over those.
        """
        side = block_side(*tokens.shape[1:3])
        # Of blocks of one, too: the mean's snap must see activations wherever it is calibrated.
        count = _in_blocks(torch.ones_like(tokens[:1, :, :, :1]), side).sum((2, 4), keepdim=True)
        means: Tensor = self.blocks(_in_blocks(tokens, side), (2, 4), count)
        return means.flatten(1, 4)


def block_side(rows: int, columns: int) -> int:
    """Windows of a block, each way: the least power of two that makes few enough blocks."""
    side = 1
    while -(-rows // side) * -(-columns // side) > MOST_SUMMARIES:
        side *= 2
    return side


def _in_blocks(x: Tensor, side: int) -> Tensor:
    """(N, rows, columns, C) -> (N, down, side, across, side, C), blocks filled with zeros."""
    n, rows, columns, channels = x.shape
    filled = F.pad(x, (0, 0, 0, -columns % side, 0, -rows % side))
    return filled.reshape(n, -(-rows // side), side, -(-columns // side), side, channels)
