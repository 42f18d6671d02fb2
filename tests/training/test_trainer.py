import csv
import math
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor

from corelic.codecs.files import open_codec
from corelic.entropy.grid import Snap, grid_layers
from corelic.errors import BadWeightsError
from corelic.media import read_picture
from corelic.training.checkpoint import Position, exponential_average, load
from corelic.training.export import export
from corelic.training.trainer import (
    MAX_SKIPPED_STEPS,
    Trainer,
    averaged_codec,
    lambda_of,
    learning_rate_share,
    write_log,
)
from tests.tiny import TINY
from tests.training.conftest import RECIPE, TinyTrainer

ROOT = Path(__file__).parents[2]
NOTHING_YET = Position(step=0, elapsed_s=0.0, crops=0, pixels=0, skipped_steps=0)


def loss_now(trainer: Trainer) -> float:
    """On one batch, at fixed qualities, without noise."""
    x = trainer.crops.batch(10**6, 8, 64)
    trainer.codec.eval()
    with torch.no_grad():
        loss = trainer.objective(x, torch.linspace(0, 100, 8))[0].item()
    trainer.codec.train()
    return loss


def weights_of(trainer: Trainer) -> dict[str, Tensor]:
    return {name: tensor.clone() for name, tensor in trainer.codec.state_dict().items()}


def same(a: dict[str, Tensor], b: dict[str, Tensor]) -> bool:
    return a.keys() == b.keys() and all(a[name].equal(b[name]) for name in a)


def test_training_lowers_the_loss(tiny_trainer: type[TinyTrainer]) -> None:
    trainer = tiny_trainer()
    before = loss_now(trainer)
    for _ in range(40):
        trainer.step()
    assert loss_now(trainer) < 0.9 * before
    assert trainer.position.step == 40
    assert trainer.position.crops == 40 * 4
    assert trainer.position.pixels == 40 * 4 * 64**2
    assert trainer.position.skipped_steps == 0


def test_a_resumed_run_sees_what_an_uninterrupted_one_sees(
    tiny_trainer: type[TinyTrainer],
) -> None:
    trainer = tiny_trainer()
    for _ in range(3):
        trainer.step()
    trainer.save()
    resumed = tiny_trainer()
    assert resumed.position == trainer.position
    assert same(weights_of(resumed), weights_of(trainer))
    for _ in range(2):
        assert resumed.step().equal(trainer.step())
    # The very bits: weights, momenta and averages all came back.
    assert same(weights_of(resumed), weights_of(trainer))
    for ours, theirs in zip(resumed.averages, trainer.averages, strict=True):
        assert ours.equal(theirs)


def test_a_step_without_a_finite_gradient_is_skipped_and_counted(
    tiny_trainer: type[TinyTrainer], monkeypatch: pytest.MonkeyPatch
) -> None:
    trainer = tiny_trainer()
    trainer.step()
    before, averages = weights_of(trainer), [average.clone() for average in trainer.averages]
    sound = trainer.crops.batch
    monkeypatch.setattr(trainer.crops, "batch", lambda *size: sound(*size) * math.nan)
    trainer.step()
    assert same(weights_of(trainer), before)
    assert all(ours.equal(theirs) for ours, theirs in zip(trainer.averages, averages, strict=True))
    assert (trainer.position.step, trainer.position.skipped_steps) == (2, 1)
    monkeypatch.setattr(trainer.crops, "batch", sound)
    assert trainer.step().isfinite().all()
    assert not same(weights_of(trainer), before)
    assert trainer.position.skipped_steps == 1
    trainer.position = replace(trainer.position, skipped_steps=MAX_SKIPPED_STEPS)
    monkeypatch.setattr(trainer.crops, "batch", lambda *size: sound(*size) * math.nan)
    with pytest.raises(FloatingPointError, match="not finite"):
        trainer.step()


def test_a_run_ends_in_time_with_a_checkpoint_and_a_log(
    tiny_trainer: type[TinyTrainer], tmp_path: Path
) -> None:
    trainer = tiny_trainer(replace(RECIPE, minutes=0.3 / 60))
    (last,) = write_log(tmp_path / "log.csv", trainer.run())
    assert last.share == 1
    assert last.position.elapsed_s >= 0.3
    assert math.isfinite(last.loss) and last.rate_bpp > 0 and last.psnr_db > 0
    assert load(trainer.folder).position == last.position
    (row,) = csv.DictReader((tmp_path / "log.csv").read_text().splitlines())
    assert int(row["step"]) == last.position.step
    assert float(row["loss"]) == last.loss
    assert list(tiny_trainer(trainer.recipe).run()) == []  # resumed at its end


def test_both_stages_are_trained(tiny_trainer: type[TinyTrainer]) -> None:
    trainer = tiny_trainer()
    trainer.position = replace(NOTHING_YET, elapsed_s=45.0)
    trainer.step()
    assert trainer.position.pixels == 2 * 128**2


def test_export_gives_a_file_that_decodes(
    tiny_trainer: type[TinyTrainer], pictures: Path, tmp_path: Path
) -> None:
    trainer = tiny_trainer()
    for _ in range(3):
        trainer.step()
    trainer.save()
    exported = export(trainer.folder, tmp_path / "own.safetensors")
    assert exported.file_bytes == exported.path.stat().st_size
    assert exported.tightest.bits < 53
    codec = open_codec(exported.path, "cpu")
    assert codec.weights.fingerprint.hex() == exported.fingerprint
    picture = read_picture(pictures / "00.png")
    decoded = codec.decode(codec.encode(picture, 50))
    assert np.abs(decoded.pixels.astype(int) - picture.pixels).mean() < 20  # a picture of it
    for name, layer in grid_layers(codec.codec.parsing_path):
        if isinstance(layer, Snap):  # 2^-34 is the grid of what never saw a number
            assert layer.fraction_bits is not None and layer.fraction_bits < 30, name
    in_float = averaged_codec(trainer.folder, TINY)
    with torch.no_grad():
        expected = in_float(codec.to_tensor(picture), torch.tensor([50.0])).bits.item()
    assert codec.estimate(picture, 50).bits == pytest.approx(expected, rel=0.01)


def test_export_takes_the_averages(tiny_trainer: type[TinyTrainer]) -> None:
    trainer = tiny_trainer()
    for _ in range(3):
        trainer.step()
    trainer.save()
    found = dict(averaged_codec(trainer.folder, TINY).named_parameters())
    for name, average in zip(trainer.parameter_names, trainer.averages, strict=True):
        assert found[name].equal(average), name
    assert not found["gains.log_gain.rows"].equal(trainer.codec.gains.log_gain.rows)


@pytest.mark.parametrize("content", [None, b"", b"\0" * 64])
def test_a_checkpoint_that_cannot_be_read_is_named(content: bytes | None, tmp_path: Path) -> None:
    if content is not None:
        (tmp_path / "checkpoint.safetensors").write_bytes(content)
    with pytest.raises(BadWeightsError, match=r"checkpoint\.safetensors"):
        load(tmp_path)


def test_lambda_is_log_linear_between_the_ends_of_the_spec() -> None:
    quality = torch.tensor([0.0, 25.0, 50.0, 75.0, 100.0], dtype=torch.float64)
    lambdas = lambda_of(TINY, quality)
    assert lambdas[0].item() == pytest.approx(TINY.lambda_min, rel=1e-12)
    assert lambdas[-1].item() == pytest.approx(TINY.lambda_max, rel=1e-12)
    assert lambdas.log().diff().std() < 1e-12


def test_the_learning_rate_warms_up_stays_and_falls() -> None:
    def share(step: int, progress: float) -> float:
        elapsed_s = progress * RECIPE.minutes * 60
        return learning_rate_share(RECIPE, replace(NOTHING_YET, step=step, elapsed_s=elapsed_s))

    assert [share(step, 0.0) for step in range(6)] == pytest.approx([0.2, 0.4, 0.6, 0.8, 1, 1])
    constant, final = RECIPE.optimiser.constant_share, RECIPE.optimiser.final_share
    assert share(1000, constant) == 1
    assert share(1000, (1 + constant) / 2) == pytest.approx((1 + final) / 2)
    falling = [share(1000, progress) for progress in np.linspace(constant, 1, 20)]
    assert falling == sorted(falling, reverse=True)
    assert share(1000, 1.0) == share(1000, 1.5) == pytest.approx(final)


def test_the_average_moves_by_one_minus_decay() -> None:
    average = [torch.tensor([1.0, 2.0])]
    exponential_average(average, [torch.tensor([2.0, 0.0])], decay=0.75)
    assert average[0].tolist() == [1.25, 1.5]


def test_training_imports_little() -> None:
    """It runs on machines that have no entropy coder, no command line and no scipy."""
    program = """
import builtins, sys
from unittest.mock import MagicMock

sys.modules["lightning"] = sys.modules["lightning.fabric"] = MagicMock()  # takes 6 s
there = {"corelic", "torch", "numpy", "PIL", "safetensors", "lightning", "yaml"}
genuine = builtins.__import__

def strict(name, globals=None, *rest):
    package = name.partition(".")[0]
    if (globals or {}).get("__name__", "").startswith("corelic") and package:
        if package not in there | sys.stdlib_module_names:
            raise ModuleNotFoundError(name)
    return genuine(name, globals, *rest)

builtins.__import__ = strict
import corelic.training.trainer
"""
    done = subprocess.run([sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
