"""From a finished run to a weights file: average, calibrate, move to the grid, pack.

checkpoint ─► averaged weights ─► ranges of activations on training photographs ─► grid ─► file
"""

from __future__ import annotations

from dataclasses import asdict, dataclass, replace
from pathlib import Path

import torch

from corelic.codecs import store
from corelic.codecs.learned import LearnedImageCodec
from corelic.codecs.rate import NODES, QUALITY_MAX
from corelic.codecs.registry import find_spec
from corelic.entropy import grid
from corelic.entropy.grid import AccumulatorBound
from corelic.jobs import atomic_write
from corelic.training import checkpoint
from corelic.training.data import Crops
from corelic.training.setup import Setup
from corelic.training.trainer import averaged_codec

CALIBRATION_CROPS = 4  # per rate node
CALIBRATION_CROP_PX = 512


@dataclass(frozen=True, slots=True)
class Exported:
    """A weights file as written, and how close its sums come to what float64 holds."""

    path: Path
    file_bytes: int
    fingerprint: str
    tightest: AccumulatorBound


@torch.no_grad()
def calibrate(codec: LearnedImageCodec, crops: Crops) -> None:
    """Lets every snap of the parsing path see the activations of training photographs."""
    grid.watch(codec.parsing_path, True)
    for node in range(NODES):
        # A step number that training never reaches.
        x = crops.batch(2**32 + node, CALIBRATION_CROPS, CALIBRATION_CROP_PX)
        codec(x, torch.full((len(x),), node * QUALITY_MAX / (NODES - 1)))
    grid.watch(codec.parsing_path, False)


def export(run: Path, output: Path, *, generation: int = 0, overwrite: bool = False) -> Exported:
    """Writes the weights file of a training run's latest checkpoint.

    generation  0: your own; from 1: published with this package, and immutable from then on
    """
    setup = Setup.load(run)
    spec = replace(find_spec(setup.recipe.codec), generation=generation)
    codec = averaged_codec(run, spec)
    calibrate(codec, Crops(setup.open_cache(run), setup.recipe.seed))
    bounds = codec.freeze()
    position = asdict(checkpoint.load(run).position)
    card = {"recipe": asdict(setup.recipe), "position": position, "device": setup.device}
    data = store.pack(codec, card)
    # Read back before it is written: what cannot be loaded is not published.
    weights = store.unpack(data, str(output))
    atomic_write(output, data, overwrite=overwrite)
    tightest = max(bounds, key=lambda bound: bound.bits)
    return Exported(output, len(data), weights.fingerprint.hex(), tightest)
