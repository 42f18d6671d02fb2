"""From a finished run to a weights file: average, calibrate, move to the grid, pack.

checkpoint ─► averaged weights ─► ranges of activations on training photographs ─► grid
           ─► frequencies of symbols on more of them ─► file
"""

from __future__ import annotations

from dataclasses import asdict, dataclass, replace
from pathlib import Path

import numpy as np
import torch

from corelic.codecs import store
from corelic.codecs.learned import LearnedImageCodec, straight_through_round
from corelic.codecs.rate import NODES, QUALITY_MAX, nearest_node
from corelic.codecs.registry import find_spec
from corelic.disk import atomic_write, check_output
from corelic.entropy import grid
from corelic.entropy.coder import FrequencyTables
from corelic.entropy.distributions import MAX_COUNTED, SCALES, fitted_tables
from corelic.entropy.grid import AccumulatorBound
from corelic.training import checkpoint
from corelic.training.averaged import averaged_codec
from corelic.training.data import Crops
from corelic.training.setup import Setup

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
    with grid.watching(codec.parsing_path):
        for node in range(NODES):
            # A step number that training never reaches.
            x = crops.batch(2**32 + node, range(CALIBRATION_CROPS), CALIBRATION_CROP_PX)
            codec(x, torch.full((len(x),), node * QUALITY_MAX / (NODES - 1)))


@torch.no_grad()
def fit_tables(codec: LearnedImageCodec, crops: Crops) -> FrequencyTables:
    """Frequencies of the symbols that an exact codec gives for training photographs."""
    counts = np.zeros((SCALES, 2 * MAX_COUNTED + 1), dtype=np.int64)
    for node in range(NODES):
        # Neither training nor `calibrate` reaches this step number.
        x = crops.batch(2**32 + NODES + node, range(CALIBRATION_CROPS), CALIBRATION_CROP_PX)
        quality = torch.full((len(x),), node * QUALITY_MAX / (NODES - 1))
        y = codec.latents_of(x, quality)
        z_hat = straight_through_round(codec.hyper_latents_of(y))
        hyper = codec.hyper_synthesis(codec.for_parsing(z_hat), nearest_node(quality))
        found = codec.predict(codec.for_parsing(y), hyper)
        symbols = (found.coded - found.parameters.mean).long()
        symbols = symbols.clamp(-MAX_COUNTED, MAX_COUNTED) + MAX_COUNTED
        place = found.parameters.scale_index.long() * counts.shape[1] + symbols
        counts += place.flatten().bincount(minlength=counts.size).numpy().reshape(counts.shape)
    return fitted_tables(counts)


def export(run: Path, output: Path, *, generation: int = 0, overwrite: bool = False) -> Exported:
    """Writes the weights file of a training run's latest checkpoint.

    generation  0: your own; from 1: published with this package, and immutable from then on
    """
    check_output(output, overwrite=overwrite)  # not after half a minute
    setup = Setup.load(run)
    spec = replace(find_spec(setup.recipe.codec), generation=generation)
    codec = averaged_codec(run, spec)
    crops = Crops(setup.open_cache(run), setup.recipe.seed)
    calibrate(codec, crops)
    bounds = codec.freeze()
    position = asdict(checkpoint.load(run).position)
    recipe = asdict(setup.recipe)
    if recipe["start"] is not None:  # where weights lay is nobody's business
        recipe["start"] = Path(recipe["start"]).name
    card = {"recipe": recipe, "position": position, "device": setup.device}
    data = store.pack(codec, card, latent_tables=fit_tables(codec, crops))
    # Read back before it is written: what cannot be loaded is not published.
    weights = store.unpack(data, str(output))
    atomic_write(output, data, overwrite=overwrite)
    tightest = max(bounds, key=lambda bound: bound.bits)
    return Exported(output, len(data), weights.fingerprint.hex(), tightest)
