"""corelic train and corelic export, on a codec and a recipe that take seconds."""

import json
import math
from pathlib import Path

import pytest
from PIL import Image

from corelic.codecs import registry
from corelic.errors import PictureError
from corelic.training import export, trainer
from tests.cli.conftest import Program
from tests.tiny import TINY, TINY_WEIGHTS
from tests.training.conftest import write_pictures

RECIPE = """
codec: tiny-1
seed: 3
data: pictures
stages: [{steps: 3000, batch: 2, crop_px: 64}]
optimiser:
  learning_rate: 1.0e-3
  beta1: 0.9
  beta2: 0.99
  warmup_steps: 5
  constant_share: 0.5
  final_share: 0.01
  clip_grad_norm: 2.0
  ema_decay: 0.9
loss: {pivot_lambda: 0.012, exponent: 0.4}
"""


@pytest.fixture
def recipe(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """A recipe beside a folder of pictures, for a codec that is registered meanwhile."""
    monkeypatch.setattr(trainer, "START_CROPS", 4)
    monkeypatch.setattr(trainer, "START_CROP_PX", 64)
    monkeypatch.setattr(export, "CALIBRATION_CROPS", 1)
    monkeypatch.setattr(export, "CALIBRATION_CROP_PX", 64)
    registry.list_specs()  # the zoo registers itself once, and not in what is restored below
    monkeypatch.setattr(registry, "_specs", {**registry._specs})
    monkeypatch.delenv("CORELIC_DATA", raising=False)
    registry.register(TINY)
    write_pictures(tmp_path / "pictures", 24)
    (tmp_path / "short.yaml").write_text(RECIPE)
    return "short.yaml"


def test_a_run_from_recipe_to_picture(
    corelic: Program, recipe: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    ran = corelic("train", recipe, "--data", "pictures", "--minutes", "0.03", "--json")
    assert ran.exit_code == 0, ran.stderr
    found = json.loads(ran.stdout)
    rates = [row["rate_bpp"] for row in found["validation"]]
    assert rates == sorted(rates) and rates[0] < rates[-1]
    assert Path("runs/short/log.csv").read_text().startswith("step,elapsed_s,")
    again = corelic("export", "runs/short", "-o", "mine.safetensors", "--json")
    assert again.exit_code == 0, again.stderr
    # The same checkpoint is the same weights, hence the same files.
    assert json.loads(again.stdout)["fingerprint"] == found["fingerprint"]
    assert corelic("encode", "photo.png", "--codec", "mine.safetensors").exit_code == 0
    # Not the published generation 1: one codec name and generation are one set of weights.
    assert json.loads(corelic("info", "photo.clc", "--json").stdout)[0]["generation"] == 0
    lost = corelic("decode", "photo.clc", "-o", "lost.png")
    assert lost.exit_code == 1 and found["fingerprint"] in lost.stderr
    assert (
        corelic("decode", "photo.clc", "--codec", "mine.safetensors", "-o", "x.png").exit_code == 0
    )
    # Elsewhere, whatever the file is called there: the picture's file names its fingerprint.
    Path("elsewhere").mkdir()
    Path("mine.safetensors").rename("elsewhere/theirs.safetensors")
    monkeypatch.setenv("CORELIC_MODELS", "elsewhere")
    assert corelic("decode", "photo.clc", "-o", "y.png").exit_code == 0
    assert Path("y.png").read_bytes() == Path("x.png").read_bytes()
    with Image.open("x.png") as decoded, Image.open("photo.png") as original:
        assert decoded.size == original.size


def test_a_run_is_where_and_as_long_as_asked(
    corelic: Program, recipe: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked = []

    def stop(self: trainer.Trainer, *, stop_after_s: float) -> None:
        asked.append((self.folder, self.setup.source, stop_after_s))
        raise PictureError("the run", "stops here")

    monkeypatch.setattr(trainer.Trainer, "run", stop)
    ran = corelic("train", recipe, "--data", "pictures", "--run", "there", "--stop-after", "1.5")
    assert ran.exit_code == 1 and "stops here" in ran.stderr
    assert asked == [(Path("there"), Path("pictures"), 90)]
    corelic("train", recipe, "--data", "pictures")
    assert asked[1] == (Path("runs/short"), Path("pictures"), math.inf)


def test_a_finished_run_is_not_run_over(corelic: Program, recipe: str) -> None:
    arguments = ("train", recipe, "--data", "pictures", "--minutes", "0.02")
    assert corelic(*arguments).exit_code == 0
    refused = corelic(*arguments)
    assert refused.exit_code == 1 and "--resume" in refused.stderr
    assert corelic(*arguments, "--resume").exit_code == 0
    late = corelic(*arguments, "--resume", "--start", "swift")
    assert late.exit_code == 0 and "for a run that begins" in late.stderr


def test_a_recipe_that_has_changed_is_told_to_be_ignored(corelic: Program, recipe: str) -> None:
    arguments = ("train", recipe, "--data", "pictures", "--minutes", "0.02")
    assert corelic(*arguments, "--start", str(TINY_WEIGHTS)).exit_code == 0
    warning = "short.yaml is not what the run in"
    for text, told in (
        (f"# a comment\n{RECIPE}", False),
        (RECIPE.replace("steps: 3000", "steps: 4000"), True),
        ("codec: [", True),
        (None, True),
    ):
        Path(recipe).unlink() if text is None else Path(recipe).write_text(text)
        ran = corelic("train", recipe, "--resume")
        assert ran.exit_code == 0 and (warning in ran.stderr) == told


def test_a_run_that_was_killed_before_its_first_checkpoint_keeps_its_plan(
    corelic: Program, recipe: str
) -> None:
    arguments = ("train", recipe, "--data", "pictures", "--minutes", "0.02")
    assert corelic(*arguments).exit_code == 0
    plan, log = (Path("runs/short", name).read_text() for name in ("run.json", "log.csv"))
    Path("runs/short/checkpoint.json").unlink()
    refused = corelic("train", recipe)
    assert refused.exit_code == 1 and "--resume" in refused.stderr
    assert corelic("train", recipe, "--resume").exit_code == 0
    assert Path("runs/short/run.json").read_text() == plan
    steps = [line.split(",")[0] for line in Path("runs/short/log.csv").read_text().splitlines()]
    assert steps == [line.split(",")[0] for line in log.splitlines()]


def test_a_curve_of_other_pictures_is_compared_with_a_warning(
    corelic: Program, recipe: str
) -> None:
    ran = corelic("train", recipe, "--data", "pictures", "--minutes", "0.02",
                  "--validate", "pictures", "--anchor", "kodak/cai-vtm")  # fmt: skip
    assert ran.exit_code == 0, ran.stderr
    assert "warning: BD-rate: " in ran.stderr
    assert "24 pictures, from file bytes" in ran.stdout.decode()


def test_data_that_is_nowhere(corelic: Program, recipe: str) -> None:
    ran = corelic("train", recipe)
    assert ran.exit_code == 1 and "CORELIC_DATA" in ran.stderr
    ran = corelic("train", recipe, "--data", "photo.png")
    assert ran.exit_code == 1 and "not a folder" in ran.stderr


def test_a_folder_that_is_no_run(corelic: Program, recipe: str) -> None:
    ran = corelic("export", "pictures")
    assert ran.exit_code == 1 and "not the folder of a training run" in ran.stderr
