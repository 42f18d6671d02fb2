"""Stored attacks among training crops: their share, their place on the grid, and who gets them."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from corelic.errors import PictureError, RecipeError
from corelic.training.attacked import GRID_PX, MixedCrops
from corelic.training.data import Crops, PhotoCache
from corelic.training.recipe import Attacked, recipe_of
from corelic.training.setup import Setup, find_attacked
from corelic.training.trainer import Trainer
from tests.training.conftest import RECIPE, TinyTrainer

MIXED = replace(
    RECIPE,
    attacked=Attacked("attacked", 0.5),
    stages=tuple(replace(stage, steps=2) for stage in RECIPE.stages),
)


def stored(folder: Path, size_px: int = 192, count: int = 3) -> Path:
    """Pictures whose samples say which they are, and where: number, row / 4, column / 4."""
    folder.mkdir()
    for number in range(count):
        rows, columns = np.mgrid[:size_px, :size_px] // 4
        planes = [np.full_like(rows, 200 + number), rows, columns]
        Image.fromarray(np.dstack(planes).astype(np.uint8)).save(folder / f"{number}.png")
    return folder


@pytest.fixture
def mixed(pictures: Path, tmp_path: Path) -> MixedCrops:
    photographs = Crops(PhotoCache.build(pictures, tmp_path / "photographs"), 7)
    attacked = PhotoCache.build(stored(tmp_path / "attacked"), tmp_path / "cache")
    return MixedCrops(photographs, attacked, 0.25)


def is_stored(crop: np.ndarray) -> bool:
    return bool((crop[0] >= 200 / 255 - 1e-6).all() and (crop[0] == crop[0, 0, 0]).all())


def test_so_many_are_attacks_and_the_rest_is_as_without(mixed: MixedCrops) -> None:
    batch = mixed.batch(0, range(200), 64)
    plain = Crops(mixed.cache, 7).batch(0, range(200), 64)
    found = [is_stored(crop) for crop in batch.numpy()]
    assert 30 <= sum(found) <= 70  # 50 ± 3 standard deviations
    for crop, same, attack in zip(batch, plain, found, strict=True):
        assert crop.equal(same) != attack


def test_attacks_are_cut_on_the_grid_and_never_turned(mixed: MixedCrops) -> None:
    places = set()
    for crop in mixed.batch(1, range(200), 64):
        if is_stored(crop.numpy()):
            row, column = (round(float(crop[plane, 0, 0]) * 255) * 4 for plane in (1, 2))
            assert row % GRID_PX == 0 and column % GRID_PX == 0
            assert (crop[2, :, 1:] >= crop[2, :, :-1]).all()  # a flip would fall
            places.add((row, column))
    assert len(places) > 5
    whole = mixed.batch(2, range(50), 192)
    assert any(is_stored(crop.numpy()) for crop in whole)


def test_a_sample_is_the_same_whoever_asks(mixed: MixedCrops) -> None:
    together = mixed.batch(3, range(16), 64)
    assert together[4:].equal(mixed.batch(3, range(4, 16), 64))
    assert not together.equal(mixed.batch(4, range(16), 64))


def test_small_attacks_are_refused(mixed: MixedCrops) -> None:
    mixed.check(192)
    with pytest.raises(PictureError, match=r"0\.png: is 192 × 192, and crops have 256"):
        mixed.check(256)


def test_a_run_trains_on_them_and_resumes(tiny_trainer: type[TinyTrainer], tmp_path: Path) -> None:
    setup = Setup(MIXED, tiny_trainer.pictures, attacked=stored(tmp_path / "attacked"))
    trainer = Trainer(setup, tiny_trainer.folder_of_run, device="cpu")
    # What the trainer really asks for, in whatever type its crops travel.
    seen = [crop / 255 for step in range(2) for crop in trainer.samples_of(step)[0].numpy()]
    assert 0 < sum(map(is_stored, seen)) < len(seen)
    list(trainer.run(stop_after_s=0))
    again = Setup.load(tiny_trainer.folder_of_run)
    assert again.attacked == (tmp_path / "attacked").resolve()
    resumed = Trainer(again, tiny_trainer.folder_of_run, device="cpu")
    assert resumed.samples_of(1)[0].equal(trainer.samples_of(1)[0])
    assert [row.position.step for row in resumed.run()] == [4]


def test_a_run_without_them_is_as_it_was(tiny_trainer: type[TinyTrainer]) -> None:
    trainer = tiny_trainer()
    trainer.remember_setup()
    assert type(trainer.crops) is Crops
    assert Setup.load(tiny_trainer.folder_of_run).attacked is None


def test_a_run_says_what_it_misses(tiny_trainer: type[TinyTrainer], tmp_path: Path) -> None:
    with pytest.raises(PictureError, match="--attacked FOLDER"):
        tiny_trainer(MIXED)
    small = Setup(MIXED, tiny_trainer.pictures, attacked=stored(tmp_path / "small", size_px=64))
    with pytest.raises(PictureError, match="store larger attacks"):
        Trainer(small, tmp_path / "other", device="cpu")


def test_their_folder_is_found(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("CORELIC_DATA", raising=False)
    assert find_attacked(RECIPE, None) is None
    with pytest.raises(RecipeError, match="no part `attacked`"):
        find_attacked(RECIPE, tmp_path)
    with pytest.raises(PictureError, match="--attacked FOLDER"):
        find_attacked(MIXED, None)
    assert find_attacked(MIXED, tmp_path) == tmp_path
    (tmp_path / "attacked").mkdir()
    monkeypatch.setenv("CORELIC_DATA", str(tmp_path))
    assert find_attacked(MIXED, None) == tmp_path / "attacked"


def test_a_share_is_a_share() -> None:
    plain = {**vars(RECIPE), "attacked": {"data": "attacked", "share": 1.0}}
    with pytest.raises(RecipeError, match="attacked"):
        recipe_of(plain, "recipe")
