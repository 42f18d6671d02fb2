import csv
import math
import os
import re
import shutil
import subprocess
import sys
import time
from collections import deque
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from lightning.fabric import Fabric
from lightning.fabric.utilities.exceptions import MisconfigurationException
from skimage import data
from torch import Tensor, nn
from torch._dynamo.exc import TorchRuntimeError
from torch._dynamo.utils import counters

from corelic.codecs import registry, store
from corelic.codecs.base import CodecSpec
from corelic.codecs.files import open_codec
from corelic.codecs.learned import LearnedImageCodec
from corelic.codecs.rate import NODES, QUALITY_MAX, lambda_of
from corelic.codecs.transforms.residual import ResidualSpec
from corelic.entropy.distributions import gaussian_tables
from corelic.entropy.grid import Snap, grid_layers
from corelic.errors import (
    BadWeightsError,
    OutputError,
    PictureError,
    PluginError,
    RecipeError,
    TrainingError,
)
from corelic.eval import metrics
from corelic.media import Picture, read_picture
from corelic.training import checkpoint, logs
from corelic.training import export as of_export
from corelic.training import fabric as of_fabric
from corelic.training.averaged import averaged_codec, exponential_average
from corelic.training.checkpoint import Position, load
from corelic.training.data import as_float
from corelic.training.export import export
from corelic.training.loss import Objective, ms_ssim
from corelic.training.recipe import Attacked, Stage
from corelic.training.setup import Setup
from corelic.training.trainer import (
    MAX_SKIPPED_STEPS,
    Trainer,
    learning_rate_share,
)
from corelic.training.warm_start import start_from
from tests.conftest import needs
from tests.tiny import TINY, TINY_WEIGHTS, crops, untrained
from tests.training.conftest import RECIPE, TinyTrainer

ROOT = Path(__file__).parents[2]
NOTHING_YET = Position(step=0, elapsed_s=0.0, crops=0, pixels=0, skipped_steps=0)
SHORT = replace(RECIPE, stages=tuple(replace(stage, steps=3) for stage in RECIPE.stages))


def loss_now(trainer: Trainer) -> float:
    """On one batch, at fixed qualities, without noise."""
    x = trainer.crops.batch(10**6, range(8), 64)
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
        trainer.next_step()
    assert loss_now(trainer) < 0.9 * before
    assert trainer.position.step == 40
    assert trainer.position.crops == 40 * 4
    assert trainer.position.pixels == 40 * 4 * 64**2
    assert trainer.position.skipped_steps == 0


class NamelessSpec(ResidualSpec):
    """Of no entry point and no file of ours."""


def test_what_no_file_could_name_is_not_trained(tiny_trainer: type[TinyTrainer]) -> None:
    transform = NamelessSpec.sized(TINY.transform.latent_channels)
    registry.register(replace(TINY, name="nameless", transform=transform))
    with pytest.raises(PluginError, match="NamelessSpec cannot be used: files cannot name it"):
        tiny_trainer(replace(RECIPE, codec="nameless"))


def test_where_weights_cannot_be_written_is_said_first(tmp_path: Path) -> None:
    with pytest.raises(OutputError, match="there is no folder"):
        export(tmp_path / "no run", tmp_path / "no folder" / "mine.safetensors")


DENSE = replace(TINY, name="dense", transform=ResidualSpec.sized(16))  # convolutions over channels


@pytest.mark.parametrize("spec", [TINY, DENSE], ids=lambda spec: spec.name)
def test_a_resumed_run_sees_what_an_uninterrupted_one_sees(
    tiny_trainer: type[TinyTrainer], spec: CodecSpec
) -> None:
    if spec is not TINY:
        registry.register(spec)
    recipe = replace(RECIPE, codec=spec.full_name, precision="32-true")
    trainer = tiny_trainer(recipe)
    for _ in range(3):
        trainer.next_step()
    trainer.save()
    resumed = tiny_trainer(recipe)
    assert resumed.position == trainer.position
    assert same(weights_of(resumed), weights_of(trainer))
    for _ in range(2):
        assert resumed.next_step().equal(trainer.next_step())
    # The very bits: weights, momenta and averages all came back.
    assert same(weights_of(resumed), weights_of(trainer))
    for ours, theirs in zip(resumed.averages, trainer.averages, strict=True):
        assert ours.equal(theirs)


def test_a_step_without_a_finite_gradient_is_skipped_and_counted(
    tiny_trainer: type[TinyTrainer], monkeypatch: pytest.MonkeyPatch
) -> None:
    trainer = tiny_trainer()
    trainer.next_step()
    before, averages = weights_of(trainer), [average.clone() for average in trainer.averages]
    of_trainer = "corelic.training.trainer.as_float"
    monkeypatch.setattr(of_trainer, lambda crops: as_float(crops) * math.nan)
    trainer.next_step()
    assert same(weights_of(trainer), before)
    assert all(ours.equal(theirs) for ours, theirs in zip(trainer.averages, averages, strict=True))
    assert (trainer.position.step, trainer.position.skipped_steps) == (2, 1)
    monkeypatch.setattr(of_trainer, as_float)
    assert trainer.next_step().isfinite().all()
    assert not same(weights_of(trainer), before)
    assert trainer.position.skipped_steps == 1
    trainer.skipped_in_a_row = MAX_SKIPPED_STEPS
    monkeypatch.setattr(of_trainer, lambda crops: as_float(crops) * math.nan)
    with pytest.raises(TrainingError, match="not finite"):
        trainer.next_step()


def test_mixed_precision_rounds_no_pixels_and_no_qualities(
    tiny_trainer: type[TinyTrainer],
) -> None:
    trainer = tiny_trainer(replace(RECIPE, precision="bf16-mixed"))
    seen: list[Tensor] = []
    trainer.codec.register_forward_pre_hook(lambda _, inputs: seen.extend(inputs))
    x, quality = trainer.samples_of(0)
    trainer.step(x, quality)
    assert seen[0].equal(as_float(x)) and seen[1].equal(quality)


@pytest.mark.filterwarnings("ignore:.*should not be instantiated:DeprecationWarning")  # torch's
def test_compiled_steps_are_those_that_are_not(
    tiny_trainer: type[TinyTrainer], monkeypatch: pytest.MonkeyPatch
) -> None:
    """By a compiler that makes graphs and no code; with noise, and one graph for all steps."""
    stage = RECIPE.stages[0]
    compile_module = torch.compile

    def without_code(module: nn.Module, **options: Any) -> nn.Module:
        options.pop("options", None)  # are of the other compiler
        return compile_module(module, **options | {"backend": "aot_eager"})

    monkeypatch.setattr(torch, "compile", without_code)
    found: dict[bool, list[Tensor]] = {}
    for asked in (False, True):
        torch.compiler.reset()
        counters.clear()
        trainer = tiny_trainer(replace(RECIPE, precision="32-true", compiled=asked))
        found[asked] = []
        for number in range(2):
            x, quality = trainer.samples(number, stage)
            figures = trainer.gradients(number, stage, x, quality)
            gradients = [one.grad for one in trainer.codec.parameters() if one.grad is not None]
            found[asked] += [figures, *(gradient.clone() for gradient in gradients)]
            trainer.adam.zero_grad()
        assert counters["stats"]["unique_graphs"] == int(asked)
    assert all(one.equal(other) for one, other in zip(*found.values(), strict=True))


def test_compiled_steps_are_of_one_process(
    tiny_trainer: type[TinyTrainer], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Fabric, "world_size", 2)
    with pytest.raises(TrainingError, match="set compiled: false"):
        tiny_trainer(replace(RECIPE, compiled=True))


@pytest.mark.parametrize(("passes", "replayed"), [(1, True), (2, False)])
def test_passes_that_share_a_step_share_no_graph(
    monkeypatch: pytest.MonkeyPatch, passes: int, replayed: bool
) -> None:
    """On a GPU, whose memory of a graph the next pass would overwrite."""
    asked: list[bool] = []
    monkeypatch.setattr(
        torch, "compile", lambda module, options, **_: asked.append(options["triton.cudagraphs"])
    )
    stages = (*RECIPE.stages, replace(RECIPE.stages[0], passes=passes))
    gpu: Any = SimpleNamespace(world_size=1, device=torch.device("cuda"))
    of_fabric.compiled(nn.Identity(), replace(RECIPE, stages=stages), gpu)
    assert asked == [replayed]


@pytest.mark.filterwarnings("ignore:.*should not be instantiated:DeprecationWarning")  # torch's
@pytest.mark.parametrize("factor", [math.nan, 2.0, 0.0])
def test_wrong_compiled_gradients_are_found_before_a_step_is_taken(
    tiny_trainer: type[TinyTrainer], monkeypatch: pytest.MonkeyPatch, factor: float
) -> None:
    """Of a single parameter, as a fault of a compiler makes them."""
    monkeypatch.setattr(torch, "compile", lambda module, **_: module)
    trainer = tiny_trainer(replace(RECIPE, compiled=True))
    before = weights_of(trainer)
    name = "synthesis.extend.weight"
    parameter = dict(trainer.codec.named_parameters())[name]
    calls: list[Tensor] = []

    def faulty(gradient: Tensor) -> Tensor:
        calls.append(gradient)
        return gradient if len(calls) == 1 else gradient * factor  # the plain step comes first

    parameter.register_hook(faulty)
    with pytest.raises(TrainingError, match=f"wrong gradients here \\({re.escape(name)}: off by"):
        trainer.next_step()
    assert same(weights_of(trainer), before) and trainer.position.step == 0


def test_each_stage_is_checked_once_where_steps_are_compiled(
    tiny_trainer: type[TinyTrainer], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(torch, "compile", lambda module, **_: module)
    stages = tuple(replace(RECIPE.stages[0], steps=steps) for steps in (2, 3))
    trainer = tiny_trainer(replace(RECIPE, stages=stages, compiled=True))
    plain, checked = trainer.named_gradients, []

    def counted(step: int, *rest: Any) -> dict[str, Tensor]:
        checked.append(step)
        return plain(step, *rest)

    monkeypatch.setattr(trainer, "named_gradients", counted)
    for _ in range(5):
        trainer.next_step()
    assert checked == [0, 0, 2, 2]


def test_a_step_that_is_skipped_says_nothing_of_a_compiler(
    tiny_trainer: type[TinyTrainer], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where plain gradients are not finite either, the next step is checked."""
    monkeypatch.setattr(torch, "compile", lambda module, **_: module)
    trainer = tiny_trainer(replace(RECIPE, compiled=True))
    of_trainer = "corelic.training.trainer.as_float"
    monkeypatch.setattr(of_trainer, lambda crops: as_float(crops) * math.nan)
    trainer.next_step()
    assert trainer.position.skipped_steps == 1 and not trainer.checked
    monkeypatch.setattr(of_trainer, as_float)
    trainer.next_step()
    assert trainer.position.skipped_steps == 1 and len(trainer.checked) == 1


@pytest.mark.parametrize(
    ("error", "said"),
    [
        (torch.OutOfMemoryError("CUDA out of memory"), "more passes, or a smaller batch"),
        (RuntimeError("DefaultCPUAllocator: can't allocate"), "more passes, or a smaller batch"),
        (TorchRuntimeError("no g++"), "set compiled: false"),
    ],
)
def test_what_a_step_fails_for_is_said(
    tiny_trainer: type[TinyTrainer],
    monkeypatch: pytest.MonkeyPatch,
    error: Exception,
    said: str,
) -> None:
    def fails(*_: object) -> None:
        raise error

    monkeypatch.setattr(torch, "compile", lambda module, **_: module)
    trainer = tiny_trainer(replace(RECIPE, compiled=True))
    monkeypatch.setattr(trainer, "objective", fails)
    with pytest.raises(TrainingError, match=said):
        trainer.next_step()


def test_two_processes_do_not_train_in_one_folder(tiny_trainer: type[TinyTrainer]) -> None:
    """Each would remove the other's checkpoints."""
    first, second = tiny_trainer(), tiny_trainer()
    run = first.run()
    next(run)
    with pytest.raises(TrainingError, match="is being trained in already; wait for it"):
        next(second.run())
    run.close()
    assert list(tiny_trainer().run())


def test_processes_that_begin_elsewhere_do_not_train(
    tiny_trainer: type[TinyTrainer], monkeypatch: pytest.MonkeyPatch
) -> None:
    """A machine that does not see the run's folder would begin anew beside one that goes on."""
    monkeypatch.setattr(Fabric, "broadcast", lambda self, mine: (500, mine[1]))
    with pytest.raises(TrainingError, match="on a disk that they share"):
        tiny_trainer()


def test_more_processes_than_gpus_are_a_sentence(monkeypatch: pytest.MonkeyPatch) -> None:
    def too_many(**_: object) -> None:
        raise MisconfigurationException("You requested gpu: [0, 1]")

    monkeypatch.setattr(of_fabric, "Fabric", too_many)
    with pytest.raises(TrainingError, match=r"cannot train here \(You requested"):
        of_fabric.make_fabric(RECIPE, "cpu")


def test_a_stage_that_cannot_be_shared_is_told_before_the_first(
    tiny_trainer: type[TinyTrainer], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Fabric, "world_size", 4)
    with pytest.raises(TrainingError, match="2 crops cannot be shared by 4"):
        tiny_trainer()


def test_a_run_goes_on_with_the_same_pictures_wherever_they_are(
    tiny_trainer: type[TinyTrainer], tmp_path: Path
) -> None:
    trainer = tiny_trainer()
    trainer.remember_setup()
    setup, moved = Setup.load(trainer.folder), tmp_path / "moved"
    shutil.copytree(setup.source, moved)
    Trainer(replace(setup, source=moved), trainer.folder, device="cpu")
    (moved / "00.png").unlink()
    with pytest.raises(PictureError, match="not those"):
        Trainer(replace(setup, source=moved), trainer.folder, device="cpu")


def test_export_looks_at_the_pictures_of_the_run(
    tiny_trainer: type[TinyTrainer], tmp_path: Path
) -> None:
    trainer = tiny_trainer()
    trainer.remember_setup()
    trainer.save()
    other = tmp_path / "other"
    shutil.copytree(trainer.setup.source, other)
    (other / "00.png").unlink()
    replace(Setup.load(trainer.folder), source=other).save(trainer.folder)
    with pytest.raises(PictureError, match=r"not those .* with --data and"):
        export(trainer.folder, tmp_path / "own.safetensors")


def test_stored_attacks_are_those_of_the_run(pictures: Path, tmp_path: Path) -> None:
    run, other = tmp_path / "run", tmp_path / "other"
    recipe = replace(RECIPE, attacked=Attacked("attacked", 0.5))
    setup = Setup(recipe, pictures, attacked=pictures)
    digest = setup.open_cache(run).digest
    shutil.copytree(pictures, other)
    (other / "00.png").unlink()
    assert replace(setup, pictures=f"{digest} {digest}").open_attacked(run) is not None
    with pytest.raises(PictureError, match=r"not those .* with --attacked and"):
        replace(setup, pictures=f"{digest} {digest}", attacked=other).open_attacked(run)


def test_a_plan_keeps_its_generation(tiny_trainer: type[TinyTrainer]) -> None:
    """What `tiny` means may be another codec when the run goes on."""
    trainer = tiny_trainer(replace(RECIPE, codec=TINY.name))
    trainer.remember_setup()
    assert Setup.load(trainer.folder).recipe.codec == TINY.full_name


def test_a_plan_keeps_the_weights_it_starts_from(
    tiny_trainer: type[TinyTrainer], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(TINY_WEIGHTS.parent)
    monkeypatch.setattr(store, "shipped", lambda spec: TINY_WEIGHTS)
    pinned = {TINY.name: TINY.full_name, TINY_WEIGHTS.name: str(TINY_WEIGHTS.resolve())}
    for start, expected in pinned.items():
        trainer = tiny_trainer(replace(RECIPE, start=start))
        trainer.remember_setup()
        assert Setup.load(trainer.folder).recipe.start == expected
    # What an older run began with is not what the name means today.
    trainer.save()
    trainer = tiny_trainer(replace(RECIPE, start=TINY.name))
    assert trainer.recipe.start == TINY.name


def test_slow_steps_count_and_pauses_do_not(
    tiny_trainer: type[TinyTrainer], monkeypatch: pytest.MonkeyPatch
) -> None:
    trainer = tiny_trainer(SHORT)
    clock, took = [0.0], iter([10.0, 10.0, 10.0, 10.0, 1000.0, 10.0])

    def step(x: Tensor, quality: Tensor) -> Tensor:
        clock[0] += next(took)
        return Trainer.step(trainer, x, quality)

    monkeypatch.setattr(trainer, "step", step)
    monkeypatch.setattr("corelic.training.trainer.time.perf_counter", lambda: clock[0])
    list(trainer.run())
    assert trainer.position.elapsed_s == 3 + 10 + 10 + 10 + 40 + 10


def test_a_changed_plan_is_told_what_is_wrong_with_it(tiny_trainer: type[TinyTrainer]) -> None:
    trainer = tiny_trainer()
    trainer.remember_setup()
    plan = trainer.folder / "run.json"
    plan.write_text(plan.read_text().replace('"seed": 7', '"seed": "seven"'))
    with pytest.raises(RecipeError, match="seed"):
        Setup.load(trainer.folder)


def test_a_run_ends_with_a_checkpoint_and_logs(
    tiny_trainer: type[TinyTrainer], tmp_path: Path
) -> None:
    trainer = tiny_trainer(SHORT)
    (last,) = logs.write_logs(tmp_path, trainer.run())
    assert last.share == 1 and last.position.step == SHORT.steps
    assert math.isfinite(last.loss) and last.rate_bpp > 0 and last.psnr_db > 0
    assert load(trainer.folder).position == trainer.position
    (row,) = csv.DictReader((tmp_path / "log.csv").read_text().splitlines())
    assert int(row["step"]) == last.position.step
    assert float(row["loss"]) == last.loss
    assert 0 <= float(row["waiting_share"]) < 1
    assert list(tiny_trainer(trainer.recipe).run()) == []  # resumed at its end


def test_tensorboard_has_what_the_log_has(tiny_trainer: type[TinyTrainer], tmp_path: Path) -> None:
    needs("tensorboard")
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    (last,) = logs.write_logs(tmp_path, tiny_trainer(SHORT).run())
    events = EventAccumulator(str(tmp_path / "tensorboard"))
    events.Reload()
    for name in ("loss", "rate_bpp", "psnr_db", "steps_per_s", "waiting_share"):
        (scalar,) = events.Scalars(name)
        assert scalar.step == last.position.step
        assert scalar.value == pytest.approx(getattr(last, name), rel=1e-5)


def test_how_many_threads_cut_crops_is_all_the_same(
    tiny_trainer: type[TinyTrainer], monkeypatch: pytest.MonkeyPatch
) -> None:
    found = []
    for cutters in (1, 3):
        monkeypatch.setattr(TinyTrainer, "cutters", cutters)
        trainer = tiny_trainer(SHORT)
        list(trainer.run())
        assert trainer.position.step == SHORT.steps
        found.append(weights_of(trainer))
        shutil.rmtree(trainer.folder)
    assert same(*found)


def test_waiting_for_crops_is_measured(tiny_trainer: type[TinyTrainer]) -> None:
    trainer = tiny_trainer(SHORT)

    def slow() -> tuple[Tensor, Tensor]:
        time.sleep(0.2)
        return trainer.samples_of(0)

    with ThreadPoolExecutor(1) as background:
        ahead = deque([background.submit(slow)])
        trainer.next_samples(background, ahead)
        assert trainer.waited_s > 0.1  # the clock of some systems is coarse
        waited_s = trainer.waited_s
        ahead[0].result()
        trainer.next_samples(background, ahead)
    assert trainer.waited_s - waited_s < 0.1
    (last,) = trainer.run()
    assert 0 <= last.waiting_share < 1


def test_both_stages_are_trained(tiny_trainer: type[TinyTrainer]) -> None:
    trainer = tiny_trainer(SHORT)
    list(trainer.run())
    first, last = SHORT.stages
    assert trainer.position.crops == first.steps * first.batch + last.steps * last.batch
    assert trainer.position.pixels == (
        first.steps * first.batch * first.crop_px**2 + last.steps * last.batch * last.crop_px**2
    )


def test_a_run_can_pause_and_go_on(tiny_trainer: type[TinyTrainer]) -> None:
    trainer = tiny_trainer(SHORT)
    (paused,) = trainer.run(stop_after_s=0)
    assert paused.position.step == 1
    resumed = tiny_trainer(SHORT)
    assert resumed.position.step == 1
    assert next(iter(resumed.run())).position.step == SHORT.steps


def test_a_run_fits_into_minutes(tiny_trainer: type[TinyTrainer]) -> None:
    trainer = tiny_trainer(RECIPE)
    before = weights_of(trainer)
    trainer.fit_to(0.5)
    assert same(weights_of(trainer), before)
    assert all(parameter.grad is None for parameter in trainer.codec.parameters())
    proportion = RECIPE.stages[0].steps / RECIPE.stages[1].steps
    first, last = trainer.recipe.stages
    assert first.steps / last.steps == pytest.approx(proportion, rel=0.2)
    assert Setup.load(trainer.folder).recipe == trainer.recipe  # what a resumed run follows
    assert tiny_trainer(RECIPE).position.step == 0


def test_passes_share_a_step(tiny_trainer: type[TinyTrainer]) -> None:
    """In evaluation mode, where no noise tells one pass from another."""
    stage = RECIPE.stages[0]
    found = []
    for passes in (1, 2):
        trainer = tiny_trainer(replace(RECIPE, precision="32-true"))
        trainer.codec.eval()
        x, quality = trainer.samples(0, stage)
        figures = trainer.gradients(0, replace(stage, passes=passes), x, quality)
        gradients = [parameter.grad for parameter in trainer.codec.parameters()]
        found.append((figures, [one for one in gradients if one is not None]))
    assert torch.allclose(found[0][0], found[1][0], rtol=1e-5)
    for one, two in zip(found[0][1], found[1][1], strict=True):
        assert torch.allclose(one, two, rtol=1e-3, atol=1e-6 + 1e-4 * one.abs().max().item())


def test_each_part_of_the_scale_has_its_quality_in_a_step(tiny_trainer: type[TinyTrainer]) -> None:
    trainer = tiny_trainer(RECIPE)
    for step in range(5):
        for stage in RECIPE.stages:
            _, quality = trainer.samples(step, stage)
            places = torch.arange(stage.batch)
            assert quality.mul(stage.batch / QUALITY_MAX).floor().equal(places.float())
    assert not trainer.samples(0, stage)[1].equal(quality)


def test_a_warm_start_gives_the_codec_that_was_exported(tiny_trainer: type[TinyTrainer]) -> None:
    trainer = tiny_trainer(replace(RECIPE, start=str(TINY_WEIGHTS)))
    trainer.codec.eval()
    x = trainer.crops.batch(0, range(4), 128)
    published = store.from_file(TINY_WEIGHTS).codec
    with torch.no_grad():
        found = trainer.codec(x, torch.full((4,), 50.0))
        expected = published(x, torch.full((4,), 50.0))
    assert torch.allclose(found.bits, expected.bits, rtol=0.01)
    assert (found.x_hat - expected.x_hat).abs().max() < 0.05
    assert trainer.next_step().isfinite().all()


def test_a_deeper_codec_starts_as_the_one_that_was_exported() -> None:
    transform = replace(TINY.transform, analysis_blocks=(2, 1), synthesis_blocks=(1, 3))
    deeper = LearnedImageCodec(replace(TINY, transform=transform))
    same_depth = LearnedImageCodec(TINY)
    for codec in (deeper, same_depth):
        start_from(codec.eval(), str(TINY_WEIGHTS))
    x, quality = crops(7, 2, 128), torch.tensor([20.0, 90.0])
    with torch.no_grad():
        found, expected = deeper(x, quality), same_depth(x, quality)
    assert torch.allclose(found.bits, expected.bits, rtol=1e-5)
    assert torch.allclose(found.x_hat, expected.x_hat, atol=1e-5)


def test_a_warm_start_from_a_deeper_codec_is_refused(tmp_path: Path) -> None:
    deeper = replace(TINY, transform=replace(TINY.transform, analysis_blocks=(2, 1)))
    (tmp_path / "deeper.safetensors").write_bytes(untrained(deeper))
    with pytest.raises(BadWeightsError, match=r"no place for analysis\.fine\.blocks\.1"):
        start_from(LearnedImageCodec(TINY), str(tmp_path / "deeper.safetensors"))


def test_a_warm_start_from_another_architecture_is_refused(
    tiny_trainer: type[TinyTrainer],
) -> None:
    with pytest.raises(BadWeightsError, match="no start for a tiny"):
        swift = ROOT / "corelic" / "codecs" / "weights" / "swift-1.safetensors"
        tiny_trainer(replace(RECIPE, start=str(swift)))


def test_no_file_of_a_checkpoint_is_above_16_mib(tmp_path: Path) -> None:
    tensors = {f"{number}": torch.randn(2**20) for number in range(9)}  # 4 MiB each
    checkpoint.save(tmp_path, NOTHING_YET, tensors, tensors, {0: {"exp_avg": tensors["0"]}})
    files = list(tmp_path.rglob("*.safetensors"))
    assert len(files) == 7 and max(path.stat().st_size for path in files) < 16 * 2**20
    loaded = load(tmp_path)
    assert same(loaded.model, tensors) and same(loaded.average, tensors)
    assert loaded.optimiser[0]["exp_avg"].equal(tensors["0"])
    checkpoint.save(tmp_path, replace(NOTHING_YET, step=1), {}, {}, {})
    assert load(tmp_path).position.step == 1
    assert len(list(tmp_path.rglob("*.safetensors"))) == 1  # the old one is gone


def test_a_checkpoint_with_a_shard_missing_is_none(tmp_path: Path) -> None:
    tensors = {f"{number}": torch.randn(2**20) for number in range(9)}  # 4 MiB each
    checkpoint.save(tmp_path, NOTHING_YET, tensors, tensors, {})
    next(tmp_path.rglob("*.safetensors")).unlink()
    with pytest.raises(BadWeightsError, match="tensors are there, of 18"):
        load(tmp_path)


def test_only_old_checkpoints_are_removed(tmp_path: Path) -> None:
    (tmp_path / "checkpoint-best").mkdir()
    (tmp_path / "checkpoint-note.txt").touch()
    for step in (1, 2):
        checkpoint.save(tmp_path, replace(NOTHING_YET, step=step), {"a": torch.ones(1)}, {}, {})
    names = sorted(path.name[:15] for path in tmp_path.iterdir())
    assert names == ["checkpoint-0000", "checkpoint-best", "checkpoint-note", "checkpoint.json"]


def test_a_checkpoint_that_cannot_be_written_leaves_the_old_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    checkpoint.save(tmp_path, NOTHING_YET, {"a": torch.ones(1)}, {}, {})
    monkeypatch.setattr(checkpoint, "save_file", full_disk)
    with pytest.raises(OutputError, match="cannot be written"):
        checkpoint.save(tmp_path, replace(NOTHING_YET, step=1), {"a": torch.ones(2)}, {}, {})
    assert load(tmp_path).model["a"].equal(torch.ones(1))


def full_disk(*_: object) -> None:
    raise OSError(28, "No space left on device")


PROGRAM = """
import os, sys
from dataclasses import replace
from pathlib import Path
import torch
from corelic.codecs import registry
from corelic.training import trainer
from corelic.training.logs import write_logs
from corelic.training.recipe import Stage
from corelic.training.setup import Setup
from tests.tiny import TINY
from tests.training.conftest import RECIPE

torch.set_num_threads(1)
registry.register(TINY)
trainer.START_CROPS, trainer.START_CROP_PX, trainer.LOG_EVERY_STEPS = 8, 64, 1
recipe = replace(RECIPE, stages=(Stage(12, 8, 64),), precision="32-true", checkpoint_minutes=1e-9)
run, kill_at = Path(sys.argv[2]), int(sys.argv[3])
one = trainer.Trainer(Setup(recipe, Path(sys.argv[1])), run, device="cpu")
for row in one.run():
    if one.fabric.is_global_zero:
        print(f"{row.position.step} {row.loss!r}", flush=True)
    if row.position.step == kill_at:
        os.kill(os.getpid(), 9)
"""


def trained(pictures: Path, run: Path, *, kill_at: int = 0, processes: int = 1) -> dict[int, float]:
    """Losses by step, of a run in processes of its own."""
    program = run.parent / "program.py"
    program.write_text(PROGRAM)
    command = [sys.executable]
    if processes > 1:
        command += ["-m", "torch.distributed.run", "--nproc-per-node", str(processes)]
    command += [str(program), str(pictures), str(run), str(kill_at)]
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"}
    done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True)
    assert done.returncode == (-9 if kill_at else 0), done.stderr
    return {int(step): float(loss) for step, loss in map(str.split, done.stdout.splitlines())}


def test_a_killed_run_ends_with_the_weights_of_an_uninterrupted_one(
    pictures: Path, tmp_path: Path
) -> None:
    """Bit for bit, on a CPU in float32."""
    whole = trained(pictures, tmp_path / "whole")
    assert list(whole) == list(range(1, 13))
    trained(pictures, tmp_path / "killed", kill_at=7)
    assert load(tmp_path / "killed").position.step == 6
    rest = trained(pictures, tmp_path / "killed")
    assert rest == {step: loss for step, loss in whole.items() if step > 6}
    found, expected = load(tmp_path / "killed"), load(tmp_path / "whole")
    assert same(found.model, expected.model) and same(found.average, expected.average)
    for index, moments in expected.optimiser.items():
        assert same(found.optimiser[index], moments)


def test_two_processes_train_as_one_does(pictures: Path, tmp_path: Path) -> None:
    """The same crops and qualities at each step; noise differs, hence 2 %."""
    alone = trained(pictures, tmp_path / "alone")
    together = trained(pictures, tmp_path / "together", processes=2)
    assert list(together) == list(alone)
    for step, expected in alone.items():
        assert together[step] == pytest.approx(expected, rel=0.02)
    saved = load(tmp_path / "together").position
    assert (saved.step, saved.crops) == (12, 96)


def test_a_log_forgets_what_will_happen_again(tmp_path: Path) -> None:
    for step in (100, 200, 300):
        logs.append(tmp_path / logs.FILE, {"step": step, "loss": 1.0})
    list(logs.write_logs(tmp_path, [], step=200))
    rows = (tmp_path / logs.FILE).read_text().splitlines()
    assert [row.split(",")[0] for row in rows] == ["step", "100", "200"]


@pytest.mark.parametrize("cut", ["", "step,lo", "step,loss\n10"])
def test_a_log_that_a_kill_has_cut_goes_on(tmp_path: Path, cut: str) -> None:
    path = tmp_path / logs.FILE
    path.write_text(cut)
    list(logs.write_logs(tmp_path, [], step=200))
    logs.append(path, {"step": 300, "loss": 1.0})
    assert path.read_text().splitlines() == ["step,loss", "300,1.0"]


def test_a_setup_remembers_every_device(tmp_path: Path) -> None:
    setup = Setup(RECIPE, tmp_path)
    for device in ("2 CPU threads", "2 CPU threads", "NVIDIA H100"):
        setup.on(device).save(tmp_path)
        setup = Setup.load(tmp_path)
    assert setup.device == "2 CPU threads, then NVIDIA H100"


def test_a_device_that_had_nothing_to_do_is_not_remembered(
    tiny_trainer: type[TinyTrainer], monkeypatch: pytest.MonkeyPatch
) -> None:
    trainer = tiny_trainer(replace(RECIPE, stages=(Stage(1, 2, 64),)))
    list(trainer.run())
    trained_on = Setup.load(trainer.folder)
    monkeypatch.setattr("corelic.training.trainer.in_words", lambda *_: "another device")
    again = Trainer(trained_on, trainer.folder, device="cpu")
    assert list(again.run()) == [] and Setup.load(trainer.folder) == trained_on


def test_a_batch_that_processes_cannot_share(tiny_trainer: type[TinyTrainer]) -> None:
    trainer = tiny_trainer()
    with pytest.raises(TrainingError, match="cannot be shared by 1 process"):
        trainer.samples(0, SimpleNamespace(batch=5, passes=2, crop_px=64))


def test_export_gives_a_file_that_decodes(
    tiny_trainer: type[TinyTrainer], pictures: Path, tmp_path: Path
) -> None:
    trainer = tiny_trainer()
    for _ in range(3):
        trainer.next_step()
    trainer.remember_setup()
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


def test_exported_tables_are_of_the_symbols_of_photographs(
    tiny_trainer: type[TinyTrainer], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    trainer = tiny_trainer()
    trainer.next_step()
    trainer.remember_setup()
    trainer.save()
    fitted, counted = of_export.fitted_tables, []

    def watched(counts: Any) -> Any:
        counted.append(int(counts.sum()))
        return fitted(counts)

    def sizes(name: str) -> int:
        codec = open_codec(export(trainer.folder, tmp_path / name).path, "cpu")
        total = 0
        for node in range(NODES):  # the very crops that tables are fitted to
            [crop] = trainer.crops.batch_of_bytes(2**32 + NODES + node, range(1), 64)
            pixels = crop.permute(1, 2, 0).contiguous().numpy()
            total += len(codec.encode(Picture(pixels), 100 * node / (NODES - 1)))
        return total

    monkeypatch.setattr(of_export, "fitted_tables", watched)
    of_photographs = sizes("fitted.safetensors")
    assert counted == [NODES * TINY.transform.latent_channels * 4 * 4]
    monkeypatch.setattr(of_export, "fitted_tables", lambda counts: gaussian_tables())
    assert of_photographs < 0.98 * sizes("gaussian.safetensors")


def test_export_takes_the_averages(tiny_trainer: type[TinyTrainer]) -> None:
    trainer = tiny_trainer()
    for _ in range(3):
        trainer.next_step()
    trainer.save()
    found = dict(averaged_codec(trainer.folder, TINY).named_parameters())
    for name, average in zip(trainer.parameter_names, trainer.averages, strict=True):
        assert found[name].equal(average), name
    assert not found["gains.log_gain.rows"].equal(trainer.codec.gains.log_gain.rows)


@pytest.mark.parametrize("content", [None, "", "{}", '{"folder": "x", "position": {}}'])
def test_a_checkpoint_that_cannot_be_read_is_named(content: str | None, tmp_path: Path) -> None:
    if content is not None:
        (tmp_path / "checkpoint.json").write_text(content)
    with pytest.raises(BadWeightsError, match=r"checkpoint\.json"):
        load(tmp_path)


def test_lambda_is_log_linear_between_the_ends_of_the_spec() -> None:
    quality = torch.tensor([0.0, 25.0, 50.0, 75.0, 100.0], dtype=torch.float64)
    lambdas = lambda_of(TINY, quality)
    assert lambdas[0].item() == pytest.approx(TINY.lambda_min, rel=1e-12)
    assert lambdas[-1].item() == pytest.approx(TINY.lambda_max, rel=1e-12)
    assert lambdas.log().diff().std() < 1e-12


def test_the_learning_rate_warms_up_stays_and_falls() -> None:
    recipe = replace(RECIPE, stages=(Stage(steps=1000, batch=1, crop_px=64),))
    shares = [learning_rate_share(recipe, step) for step in range(1001)]
    assert shares[:6] == pytest.approx([0.2, 0.4, 0.6, 0.8, 1, 1])
    constant, final = recipe.optimiser.constant_share, recipe.optimiser.final_share
    assert shares[int(1000 * constant)] == 1
    assert shares[int(500 * (1 + constant))] == pytest.approx((1 + final) / 2)
    assert shares[500:] == sorted(shares[500:], reverse=True)
    assert shares[-1] == pytest.approx(final)


def test_ms_ssim_is_that_of_the_metrics() -> None:
    random = np.random.default_rng(0)
    original = data.astronaut()[:250, :199]
    noise = random.normal(0, 12, original.shape)
    other = (original + noise).clip(0, 255).round().astype(np.uint8)
    one, two = (torch.from_numpy(x.copy()).permute(2, 0, 1)[None] / 255 for x in (original, other))
    expected = metrics.ms_ssim(original, other)
    assert ms_ssim(one, two).item() == pytest.approx(expected, abs=1e-5)


@pytest.mark.parametrize("distortion", ["mse", "ms-ssim"])
def test_the_loss_is_rate_and_distortion_at_its_lambda(distortion: Any) -> None:
    loss = replace(RECIPE.loss, distortion=distortion)
    codec = start_from_nothing()
    x, quality = crops(3, 2, 192), torch.tensor([20.0, 90.0])
    with torch.no_grad():
        found, rate_bpp, psnr_db = Objective(codec, loss)(x, quality).tolist()
        result = codec(x, quality)
    bpp = (result.bits / 192**2).tolist()
    mse = (result.x_hat - x).square().mean(dim=(1, 2, 3)).tolist()
    distances = [255**2 * each for each in mse]
    if distortion == "ms-ssim":
        distances = [1250 * (1 - each) for each in ms_ssim(result.x_hat, x).tolist()]
    span = TINY.lambda_max / TINY.lambda_min
    lambdas = [TINY.lambda_min * span ** (each / 100) for each in quality.tolist()]
    terms = [
        (0.012 / each) ** 0.4 * (rate + each * distance)
        for each, rate, distance in zip(lambdas, bpp, distances, strict=True)
    ]
    assert found == pytest.approx(sum(terms) / 2, rel=1e-5)
    assert rate_bpp == pytest.approx(sum(bpp) / 2)
    assert psnr_db == pytest.approx(sum(-10 * math.log10(each) for each in mse) / 2)


def start_from_nothing() -> LearnedImageCodec:
    """Without noise."""
    torch.manual_seed(0)
    return LearnedImageCodec(TINY).eval()


def test_a_step_is_that_of_the_recipe(
    tiny_trainer: type[TinyTrainer], monkeypatch: pytest.MonkeyPatch
) -> None:
    trainer, clip = tiny_trainer(), torch.nn.utils.clip_grad_norm_
    clipped: list[float] = []

    def watched(parameters: Any, most: float) -> Tensor:
        clipped.append(most)
        return clip(parameters, most)

    monkeypatch.setattr(torch.nn.utils, "clip_grad_norm_", watched)
    before = [average.clone() for average in trainer.averages]
    trainer.next_step()
    assert clipped == [RECIPE.optimiser.clip_grad_norm]
    assert trainer.adam.param_groups[0]["lr"] == pytest.approx(2e-3 / 5)  # the first of 5
    for average, old, weight in zip(trainer.averages, before, trainer.weights, strict=True):
        assert torch.allclose(average, 0.1 * old + 0.9 * weight, atol=1e-6)  # 1/10 at first


def test_ms_ssim_can_be_trained_for(tiny_trainer: type[TinyTrainer]) -> None:
    stage = Stage(steps=2, batch=2, crop_px=192)
    trainer = tiny_trainer(
        replace(RECIPE, stages=(stage,), loss=replace(RECIPE.loss, distortion="ms-ssim"))
    )
    assert trainer.next_step().isfinite().all()
    assert trainer.position.skipped_steps == 0


def test_the_average_moves_by_one_minus_decay() -> None:
    average = [torch.tensor([1.0, 2.0])]
    exponential_average(average, [torch.tensor([2.0, 0.0])], decay=0.75)
    assert average[0].tolist() == [1.25, 1.5]


def test_training_imports_little() -> None:
    """It runs on machines that have no entropy coder, no command line and no scipy."""
    program = """
import builtins, sys
from unittest.mock import MagicMock

for part in ("plugins", "utilities", "utilities.exceptions", "wrappers"):
    sys.modules[f"lightning.fabric.{part}"] = MagicMock()  # it takes 6 s
sys.modules |= {"lightning": MagicMock(), "lightning.fabric": MagicMock()}
there = {"corelic", "torch", "numpy", "PIL", "safetensors", "lightning", "yaml"}
there.add("filelock")  # which torch requires
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
