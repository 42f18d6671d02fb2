"""A run that takes no time: the tiny codec, a handful of pictures, a short recipe."""

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from torch import Tensor

from corelic.codecs import registry
from corelic.training import export, trainer
from corelic.training.recipe import Loss, Optimiser, Recipe, Stage
from corelic.training.setup import Setup
from corelic.training.trainer import Trainer
from tests.tiny import TINY

RECIPE = Recipe(
    codec=TINY.full_name,
    seed=7,
    data="pictures",
    stages=(Stage(steps=50, batch=4, crop_px=64), Stage(steps=10, batch=2, crop_px=128)),
    optimiser=Optimiser(
        learning_rate=2e-3,
        beta1=0.9,
        beta2=0.99,
        warmup_steps=5,
        constant_share=0.5,
        final_share=0.01,
        clip_grad_norm=2.0,
        ema_decay=0.9,
    ),
    loss=Loss(pivot_lambda=0.012, exponent=0.4),
)


def write_pictures(folder: Path, count: int) -> None:
    """Smooth waves in colour with some noise: pictures that a codec can learn."""
    folder.mkdir(exist_ok=True)
    random = np.random.default_rng(count)
    for number in range(count):
        height, width = 90 + 10 * (number % 3), 100 + 7 * number
        rows, columns = np.ogrid[:height, :width]
        phase = random.uniform(0, 6, 3)
        angle = rows / random.uniform(5, 30) + columns / random.uniform(5, 30)
        waves = np.sin(angle[:, :, None] + phase)
        pixels = 128 + 90 * waves + random.normal(0, 4, waves.shape)
        image = Image.fromarray(pixels.clip(0, 255).astype(np.uint8))
        image.save(folder / f"{number:02}.png")


@pytest.fixture(scope="session")
def pictures(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("training") / "pictures"
    write_pictures(folder, 12)
    return folder


@pytest.fixture
def tiny_trainer(
    pictures: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[type["TinyTrainer"]]:
    """Makes trainers of the run in `tmp_path / "run"`; tiny is in the registry meanwhile."""
    monkeypatch.setattr(trainer, "START_CROPS", 8)
    monkeypatch.setattr(trainer, "START_CROP_PX", 64)
    monkeypatch.setattr(export, "CALIBRATION_CROPS", 1)
    monkeypatch.setattr(export, "CALIBRATION_CROP_PX", 64)
    registry.list_specs()  # the zoo registers itself once, and not in what is restored below
    monkeypatch.setattr(registry, "_specs", {**registry._specs})
    registry.register(TINY)
    monkeypatch.setattr(TinyTrainer, "pictures", pictures, raising=False)
    monkeypatch.setattr(TinyTrainer, "folder_of_run", tmp_path / "run", raising=False)
    yield TinyTrainer


class TinyTrainer(Trainer):
    """Of `pictures`, in `folder_of_run`."""

    pictures: Path
    folder_of_run: Path

    def __init__(self, recipe: Recipe = RECIPE) -> None:
        super().__init__(Setup(recipe, self.pictures), self.folder_of_run, device="cpu")

    def next_step(self) -> Tensor:
        """The step that comes, as `run` does it."""
        return self.step(*self.samples_of(self.position.step))
