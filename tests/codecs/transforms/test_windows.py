"""Attention within windows, against a loop over positions."""

import itertools
import math

import pytest
import torch
from torch import Tensor

from corelic.codecs.transforms.windows import Axis, Window, WindowAttention, cut, join

HEADS, WIDTH = 2, 3
CHANNELS = HEADS * WIDTH
WINDOWS = [
    Window(4, 4, shifted=False),
    Window(4, 4, shifted=True),
    Window(6, 2, shifted=True),
    Window(1, 5, shifted=True),
    Window(16, 2, shifted=False),
]
SIZES = [(4, 8), (5, 7), (1, 1), (2, 11)]


def attention(window: Window) -> WindowAttention:
    torch.manual_seed(0)
    layer = WindowAttention(HEADS, window)
    with torch.no_grad():
        layer.log_scale.copy_(torch.tensor([0.5, 9.0]).view(2, 1, 1))  # one of them beyond 100
    return layer


def by_hand(layer: WindowAttention, qkv: Tensor) -> Tensor:
    """(N, 3C, H, W) -> (N, C, H, W): each position looks up its neighbours itself."""
    window, (_, _, height, width) = layer.window, qkv.shape
    shift = (window.height // 2, window.width // 2) if window.shifted else (0, 0)

    def number(place: tuple[int, int]) -> tuple[int, int]:
        return (
            (place[0] + shift[0]) // window.height,
            (place[1] + shift[1]) // window.width,
        )

    def spaced(offset: int, side: int) -> float:
        relative = 8 * offset / max(side - 1, 1)
        return math.copysign(math.log2(1 + abs(relative)) / math.log2(9), relative)

    places = list(itertools.product(range(height), range(width)))
    out = torch.zeros(len(qkv), CHANNELS, height, width, dtype=qkv.dtype)
    query, key, value = qkv.unflatten(1, (3, HEADS, WIDTH)).unbind(1)
    scale = layer.log_scale.flatten().exp().clamp_max(100)
    for here in places:
        # A picture that fits into one window is one, however that would be shifted.
        alone = height + shift[0] <= window.height, width + shift[1] <= window.width
        seen = [
            there
            for there in places
            if (alone[0] or number(here)[0] == number(there)[0])
            and (alone[1] or number(here)[1] == number(there)[1])
        ]
        for picture, head in itertools.product(range(len(qkv)), range(HEADS)):
            scores = []
            for there in seen:
                a, b = query[picture, head, :, *here], key[picture, head, :, *there]
                offsets = torch.tensor(
                    [
                        spaced(here[0] - there[0], window.height),
                        spaced(here[1] - there[1], window.width),
                    ],
                    dtype=qkv.dtype,
                )
                bias = 16 * torch.sigmoid(layer.bias(offsets)[head])
                scores.append(scale[head] * (a @ b) / (a.norm() * b.norm()) + bias)
            shares = torch.softmax(torch.stack(scores), 0)
            mixed = sum(
                share * value[picture, head, :, *there]
                for share, there in zip(shares, seen, strict=True)
            )
            out[picture, head * WIDTH : (head + 1) * WIDTH, *here] = torch.as_tensor(mixed)
    return out


@pytest.mark.parametrize("window", WINDOWS, ids=str)
@pytest.mark.parametrize("size", SIZES, ids=str)
def test_padding_is_not_seen(window: Window, size: tuple[int, int]) -> None:
    layer = attention(window)
    qkv = torch.randn(2, 3 * CHANNELS, *size)
    with torch.no_grad():
        assert torch.allclose(layer(qkv), by_hand(layer, qkv), atol=1e-4)


@pytest.mark.parametrize("window", WINDOWS, ids=str)
@pytest.mark.parametrize("size", SIZES, ids=str)
def test_what_is_cut_is_joined(window: Window, size: tuple[int, int]) -> None:
    x = torch.randn(2, *size, 5)
    rows = Axis.over(size[0], window.height, shifted=window.shifted)
    columns = Axis.over(size[1], window.width, shifted=window.shifted)
    windows = cut(x, rows, columns)
    assert len(windows) == 2 * rows.count * columns.count
    assert join(windows, rows, columns).equal(x)
    for axis in (rows, columns):
        real = axis.real(x.device)
        assert real.sum() == axis.length
        assert real.any(1).all()  # a window of nothing but padding has no softmax


def test_training_and_inference_agree() -> None:
    """They take different kernels."""
    layer = attention(Window(4, 4, shifted=True))
    qkv = torch.randn(2, 3 * CHANNELS, 9, 6)
    with torch.no_grad():
        alone = layer(qkv)
    trained = layer(qkv)
    assert trained.requires_grad
    assert torch.allclose(alone, trained, atol=1e-6)
