"""What attacks are worth: figures from real files, and the rows beside them."""

from __future__ import annotations

import json
import math
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from corelic.attacks.constraints import Linf, MeanSquare
from corelic.attacks.evaluation import (
    CleanSide,
    Pipeline,
    attacked_bd_rate,
    equal_noise,
    matched,
    sweep,
    with_controls,
)
from corelic.attacks.evaluation.damage import Damage, Row, joined
from corelic.attacks.evaluation.figures import from_json, save_rows, to_json
from corelic.attacks.objectives import (
    Distortion,
    LowBandPenalty,
    Objective,
    Rate,
    Region,
    TaskLoss,
)
from corelic.attacks.optimisers import PGD, Noise
from corelic.attacks.victim import ClassicalVictim, LearnedVictim
from corelic.codecs.classical import Jpeg
from corelic.codecs.files import open_codec
from corelic.eval.metrics import ms_ssim, psnr_db
from corelic.media import Picture
from tests import tiny
from tests.attacks.toys import SHAPE, Constant, Linear, Masked, grey, linear, photos, weights

CUBE = Linf(8 / 255)


def side_of(pictures: list, quality: float = 50) -> CleanSide:
    codec = open_codec(tiny.TINY_WEIGHTS, "cpu")
    return CleanSide(
        LearnedVictim(codec, quality), pictures, [f"{n}" for n in range(len(pictures))]
    )


def picture(side_px: int = 64, seed: int = 3) -> Picture:
    pixels = tiny.crops(seed, 1, side_px)[0].permute(1, 2, 0) * 255
    return Picture(pixels.round().to(torch.uint8).numpy())


def test_damage_is_that_of_files_and_decoded_pictures() -> None:
    clean = picture(192)
    attacked = Picture(np.clip(clean.pixels.astype(int) + 5, 0, 255).astype(np.uint8))
    side = side_of([clean])
    (found,) = side.damages([attacked])
    codec = side.victim.codec
    files = [codec.encode(one, 50) for one in (clean, attacked)]
    before, after = (codec.decode(file).pixels for file in files)
    assert (found.clean_bytes, found.attacked_bytes) == tuple(map(len, files))
    assert found.bytes_ratio == len(files[1]) / len(files[0])
    assert found.input_psnr_db == psnr_db(clean.pixels, attacked.pixels)
    assert found.output_psnr_db == psnr_db(before, after)
    assert found.source_psnr_db == psnr_db(clean.pixels, after)
    assert found.psnr_loss_db == pytest.approx(
        psnr_db(clean.pixels, before) - psnr_db(attacked.pixels, after)
    )
    assert found.ms_ssim_loss == pytest.approx(
        ms_ssim(clean.pixels, before) - ms_ssim(attacked.pixels, after)
    )
    assert found.linf_levels == 5 and found.high_share < 0.2
    errors = [
        np.square(a.astype(float) - b).mean()
        for a, b in ((after, before), (attacked.pixels, clean.pixels))
    ]
    assert found.vi_db == pytest.approx(10 * math.log10(errors[0] / errors[1]))


def test_nothing_done_is_no_amplification() -> None:
    clean = picture()
    (found,) = side_of([clean]).damages([clean])
    assert found.vi_db is None and found.bytes_ratio == 1 and found.linf_levels == 0
    assert math.isinf(found.input_psnr_db) and found.clean_ms_ssim is None


def test_rows_are_means_and_survive_json(tmp_path: Path) -> None:
    clean = [picture(seed=1), picture(seed=2)]
    side = side_of(clean)
    result = Noise(side.victim, objective=Rate(), constraint=CUBE)(clean)
    row = side.row(result)
    assert row.bytes_ratio == pytest.approx(np.mean([one.bytes_ratio for one in row.damages]))
    assert row.vi_db == pytest.approx(np.mean([one.vi_db for one in row.damages]))
    assert row.ms_ssim_loss is None and row.linf_levels == 8
    still = replace(row, damages=(*row.damages, *side.damages(clean)))
    save_rows(tmp_path / "rows.json", [row, still])
    content = json.loads((tmp_path / "rows.json").read_text())
    assert [from_json(one) for one in content] == [row, still]
    assert content[0]["mean"]["bytes_ratio"] == row.bytes_ratio
    assert content[1]["damages"][2]["input_psnr_db"] is None  # infinite
    assert to_json(joined([row, row]))["passes"] == 2 * row.passes
    assert joined([row, still]).damages == row.damages + still.damages


def test_a_lossless_picture_has_no_decibels() -> None:
    lossy = row((10, 20), (30.0, 28.0)).damages[0]
    lossless = replace(lossy, clean_psnr_db=math.inf, attacked_psnr_db=math.inf)
    still = replace(lossy, output_psnr_db=math.inf)
    found = replace(row((1, 1), (1.0, 1.0)), damages=(lossy, lossless, still))
    assert lossless.psnr_loss_db is None and lossless.source_loss_db is None
    assert found.psnr_loss_db == 2 and found.source_loss_db == 0
    assert found.output_psnr_db == 30 and found.infinite == 2
    assert found.left_out == "infinite PSNR of 2 of 3 left out"
    assert to_json(found)["mean"]["infinite"] == 2
    assert replace(found, damages=(still,)).output_psnr_db is None
    assert replace(found, damages=(lossy,)).left_out == ""


def test_scores_are_those_of_the_files() -> None:
    clean = [picture(seed=1), picture(seed=2)]
    side = side_of(clean)
    attack = PGD(side.victim, objective=Rate(), constraint=CUBE, steps=5)
    found = side.row(attack(clean))
    for one in found.damages:
        assert one.score_before == pytest.approx(8 * one.clean_bytes / 64**2)
        assert one.score_after == pytest.approx(8 * one.attacked_bytes / 64**2)
        assert one.class_before is one.class_after is None
    assert found.score_before is not None and found.score_after is not None
    assert found.score_after > found.score_before and found.reclassified is None
    assert side.damages(clean)[0].score_before is None


@pytest.mark.parametrize("wrapped", [False, True])
def test_a_task_says_what_it_sees_in_the_files(wrapped: bool) -> None:
    pictures = [*grey(120), *grey(200)]
    labels, mask = torch.tensor([0, 0, 1, 1]), torch.ones(SHAPE[2:], dtype=torch.bool)
    objective: Objective = TaskLoss(Brightness(), labels, "margin")
    if wrapped:
        objective = LowBandPenalty(Region(objective, mask), 1e-6)
    attack = PGD(linear(), objective=objective, constraint=Linf(20 / 255), steps=3)
    found = CleanSide(linear(), pictures, "abcd").row(attack(pictures))
    seen = [(one.class_before, one.class_after) for one in found.damages]
    assert seen == [(0, 1), (0, 1), (1, 1), (1, 1)] and found.reclassified == 2
    for (before, after), one in zip(seen, found.damages, strict=True):
        assert one.score_before is not None and one.score_after is not None
        assert one.score_before < 0 and (one.score_after > 0) == (before != after)
    assert from_json(to_json(found)) == found


def test_noise_and_a_classical_codec_stand_beside_every_attack() -> None:
    clean = [picture()]
    side = side_of(clean)
    attack = PGD(side.victim, objective=Rate(), constraint=CUBE, steps=5)
    beside = side.beside(Jpeg())
    rows = with_controls(attack, attack(clean), [side, beside])
    assert [row.victim for row in rows] == ["tiny-1 at 50"] * 2 + [beside.victim.title] * 2
    assert ["PGD" in row.attack for row in rows] == [True, False, True, False]
    attacked, noise, *_ = rows
    assert attacked.bytes_ratio > noise.bytes_ratio
    assert attacked.linf_levels == noise.linf_levels == 8
    assert noise.attack == "noise, rate, L∞ 8/255" and noise.passes == 0


def test_equal_noise_spends_the_whole_budget() -> None:
    attack = PGD(linear(), objective=Rate(), constraint=MeanSquare.of_psnr(38))
    side = CleanSide(linear(), grey(), ["a", "b"])
    row = side.row(equal_noise(attack)(grey()))
    assert row.input_psnr_db == pytest.approx(38, abs=0.1) and row.input_psnr_db >= 38


def test_a_control_has_the_same_psnr() -> None:
    clean = [picture(128)]
    victim = matched(Jpeg(), clean, 33)
    found = psnr_db(clean[0].pixels, victim.code(clean[0]).picture.pixels)
    lower = ClassicalVictim(Jpeg(), victim.quality - 4).code(clean[0])
    assert found >= 33 > psnr_db(clean[0].pixels, lower.picture.pixels)
    assert matched(Jpeg(), clean, 99).quality == 100


def row(rates: tuple[float, float], psnrs: tuple[float, float]) -> Row:
    """clean, attacked: bytes and PSNR of one picture of 8 × 8 pixels."""
    damage = Damage(
        *("p", 8, 8, 1, 40.0, None, 0.5, rates[0], rates[1], psnrs[0], psnrs[1]),
        *(30.0, 30.0, None, None),
    )
    return Row("a", "v", (damage,), 1, 0, 1, 0, 0.0)


def test_bd_rate_compares_attacked_pictures_with_clean_ones() -> None:
    rows = [row((size, 2 * size), (psnr, psnr)) for size, psnr in ((10, 30), (20, 33), (40, 36))]
    assert attacked_bd_rate(rows).percent == pytest.approx(100)
    assert attacked_bd_rate([row((s, s), (p, p)) for s, p in ((10, 30), (20, 33))]).percent == 0


def test_a_sweep_of_a_sound_attack_has_no_symptom() -> None:
    attack = PGD(linear(), objective=Rate(), constraint=CUBE)
    found = sweep(attack, photos(), (2, 8, 32))
    assert not found.verdict.masked
    assert found.strengths("iterative") == pytest.approx(
        [found.strengths("iterative")[0] * factor for factor in (1, 4, 16)], rel=0.05
    )
    assert found.strengths("noise")[2] < found.strengths("iterative")[2] / 4


@pytest.mark.parametrize("shattered", [False, True])
def test_a_defence_that_masks_gradients_is_caught(shattered: bool) -> None:
    attack = PGD(Masked(linear(), shattered), objective=Rate(), constraint=CUBE, steps=10)
    found = sweep(attack, photos(), (2, 8, 32), tolerance=5.0)
    assert found.verdict.masked and "gradients masked or attack broken" in str(found.verdict)


def test_a_constant_codec_is_not_called_robust() -> None:
    attack = PGD(Constant(), objective=Distortion(), constraint=CUBE, steps=3)
    assert sweep(attack, photos(), (8, 255)).verdict.masked


class Brightness(torch.nn.Module):
    """Dark or bright: logits of two classes."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        mean = x.mean(dim=(1, 2, 3)) * 100
        return torch.stack([50 - mean, mean - 50], dim=1)


def test_robust_accuracy_is_that_of_decoded_pictures() -> None:
    pictures = [*grey(110), *grey(145)]
    labels = torch.tensor([0, 0, 1, 1])
    victim = Linear(torch.eye(3), weights())
    pipeline = Pipeline(victim, Brightness())
    assert pipeline.share(pictures, labels).value == 1
    assert pipeline.share(pictures, 1 - labels).value == 0
    attack = PGD(victim, objective=pipeline.loss(labels), constraint=CUBE)
    judge = pipeline.error_rate(labels)
    found = sweep(attack, pictures, (4, 16, 255), judge=judge, full_strength=0.5)
    # 17 levels on either side of one half: 16 are not enough.
    assert found.strengths("iterative") == (0, 0, 1) and not found.verdict.masked
    short = sweep(attack, pictures, (4, 16), judge=judge, full_strength=0.5)
    assert short.verdict.masked
