"""A codec small enough to be committed, built like the published ones and trained for seconds.

The format's golden streams use it, and so do tests that need some codec but no particular one.
It is not in the registry: files name it, `CORELIC_MODELS=tests/golden` finds it.
"""

from collections.abc import Iterable, Iterator
from pathlib import Path

import numpy as np
import torch
from skimage import data
from torch import Tensor, nn

from corelic.codecs import store
from corelic.codecs.base import CodecSpec
from corelic.codecs.context.quarters import QuartersSpec
from corelic.codecs.learned import LearnedImageCodec
from corelic.codecs.rate import NODES, QUALITY_MAX
from corelic.codecs.transforms.depthwise import DepthwiseSpec
from corelic.entropy import grid

TINY = CodecSpec(
    name="tiny",
    generation=1,
    paper="tests/tiny.py",
    transform=DepthwiseSpec(
        channels=16, latent_channels=16, analysis_blocks=(1, 1), synthesis_blocks=(1, 1)
    ),
    context=QuartersSpec(latent_channels=16, width=12, kernel_size=3, gate_channels=12),
    hyper_channels=4,
    lambda_min=0.0008,
    lambda_max=0.3,
    pad_multiple_px=64,
    tiling="halo",
    weights_licence="Apache-2.0",
)
GOLDEN = Path(__file__).parent / "golden"
TINY_WEIGHTS = GOLDEN / TINY.weights
TRAINING_STEPS = 600


def crops(seed: int, count: int, size_px: int) -> Tensor:
    """(count, 3, size, size) float32 in [0, 1], cut from scikit-image's photographs."""
    random = np.random.default_rng(seed)
    photos = (data.astronaut(), data.coffee(), data.chelsea())
    cut = []
    for photo in (photos[choice] for choice in random.integers(len(photos), size=count)):
        row, column = (random.integers(side - size_px + 1) for side in photo.shape[:2])
        cut.append(photo[row : row + size_px, column : column + size_px])
    return torch.from_numpy(np.stack(cut)).permute(0, 3, 1, 2).float().div(255)


def started(spec: CodecSpec) -> LearnedImageCodec:
    """A fresh codec that has seen pictures; the same whenever it is made."""
    torch.manual_seed(1)
    codec = LearnedImageCodec(spec)
    spec.transform.start(codec.analysis, codec.synthesis, crops(0, 16, 128))
    return codec


@torch.no_grad()
def rouse(module: nn.Module) -> None:
    """Wakes what starts as zero, so that no layer may be left out unnoticed."""
    generator = torch.Generator().manual_seed(2)
    for parameter in module.parameters():
        if not parameter.any():
            parameter.normal_(0, 0.01, generator=generator)


@torch.no_grad()
def finished(codec: LearnedImageCodec, *, nodes: Iterable[int] = range(NODES)) -> bytes:
    """The weights file of a codec in float: ranges observed, frozen, packed."""
    codec.eval()
    with grid.watching(codec.parsing_path):
        for x in crops(1, 4, 128).split(1):
            for node in nodes:
                codec(x, torch.tensor([node * QUALITY_MAX / (NODES - 1)]))
    codec.freeze()
    return store.pack(codec, {})


def untrained(spec: CodecSpec) -> bytes:
    """A weights file of any codec: every layer does something, nothing of it useful."""
    codec = started(spec)
    rouse(codec)
    with torch.no_grad():  # or all hyper-latents might be rounded to zero
        codec.hyper_analysis.reduce[-1].bias.normal_(0, 3)
    return finished(codec, nodes=(NODES - 1,))  # where latents are largest


def train(codec: LearnedImageCodec) -> Iterator[Tensor]:
    """Yields the loss of each step."""
    from corelic.training.recipe import Loss
    from corelic.training.trainer import Objective

    objective = Objective(codec, Loss(pivot_lambda=0.012, exponent=0.4))
    adam = torch.optim.Adam(codec.parameters(), lr=2e-3)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(adam, TRAINING_STEPS)
    for step in range(TRAINING_STEPS):
        adam.zero_grad()
        loss = objective(crops(100 + step, 4, 128), torch.rand(4) * QUALITY_MAX)[0]
        loss.backward()
        nn.utils.clip_grad_norm_(codec.parameters(), 2.0)
        adam.step()
        schedule.step()
        yield loss.detach()


def make_tiny() -> bytes:
    """The weights file of tiny, trained just enough to have sensible rates."""
    codec = started(TINY)
    for _ in train(codec):
        pass
    return finished(codec)
