"""corelic compare."""

import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from tests.cli.conftest import Program
from tests.tiny import TINY_WEIGHTS


def test_the_figures_are_those_of_8_bit_samples(corelic: Program, photo: Image.Image) -> None:
    pixels = np.array(photo)
    pixels[0, 0] ^= 255
    Image.fromarray(pixels).save("other.png")
    error = pixels.astype(float) - np.array(photo)
    found = json.loads(corelic("compare", "photo.png", "other.png", "--json").stdout)
    assert found["psnr_db"] == pytest.approx(10 * np.log10(255**2 / (error**2).mean()))
    assert 0.9 <= found["ms_ssim"] < 1
    shown = corelic("compare", "photo.png", "other.png").stdout.decode()
    assert f"{found['psnr_db']:.2f} dB" in shown


def test_a_picture_is_like_itself(corelic: Program) -> None:
    found = json.loads(corelic("compare", "photo.png", "photo.png", "--json").stdout)
    assert found["psnr_db"] is None  # infinite, for which JSON has no number
    assert "inf dB" in corelic("compare", "photo.png", "photo.png").stdout.decode()


def test_a_small_picture_has_no_ms_ssim(corelic: Program) -> None:
    Image.new("L", (160, 160)).save("small.png")
    found = json.loads(corelic("compare", "small.png", "small.png", "--json").stdout)
    assert found["ms_ssim"] is None
    assert "none" in corelic("compare", "small.png", "small.png").stdout.decode()


def test_unlike_pictures_are_one_sentence(corelic: Program, photo: Image.Image) -> None:
    photo.convert("L").save("grey.png")
    photo.crop((0, 0, 99, 99)).save("small.png")
    Path("bad.png").write_text("not a picture")
    for other in ("grey.png", "small.png", "bad.png", "missing.png"):
        ran = corelic("compare", "photo.png", other)
        assert (ran.exit_code, ran.stdout) == (1, b"")
        assert ran.stderr.startswith(f"error: {other}: ")
        assert ran.stderr.count("\n") == 1


def test_hidden_colours_do_not_count(corelic: Program, photo: Image.Image) -> None:
    alpha = Image.new("L", photo.size, 0)
    alpha.paste(255, (0, 0, 100, 100))
    for name, colours in (("one.png", photo), ("other.png", photo.rotate(180))):
        colours.paste(photo.crop((0, 0, 100, 100)), (0, 0))
        colours.putalpha(alpha)
        colours.save(name)
    found = json.loads(corelic("compare", "one.png", "other.png", "--json").stdout)
    assert found["psnr_db"] is None
    assert found["ms_ssim"] == pytest.approx(1)


def test_16_bits_are_rounded_to_8(corelic: Program, photo: Image.Image) -> None:
    photo.convert("L").save("grey.png")
    Image.fromarray(np.asarray(photo.convert("L")).astype(np.uint16) * 257).save("deep.png")
    found = json.loads(corelic("compare", "grey.png", "deep.png", "--json").stdout)
    assert found["psnr_db"] is None


def test_psnr_is_over_what_is_seen(corelic: Program, photo: Image.Image) -> None:
    seen = np.zeros((photo.height, photo.width), np.uint8)
    seen[:10, :10] = 255
    pixels = np.array(photo)
    for name, error in (("one.png", 0), ("other.png", 4)):
        shifted = Image.fromarray(np.where(pixels < 128, pixels + error, pixels - error))
        shifted.putalpha(Image.fromarray(seen))
        shifted.save(name)
    found = json.loads(corelic("compare", "one.png", "other.png", "--json").stdout)
    assert found["psnr_db"] == pytest.approx(20 * np.log10(255 / 4))


def test_alpha_has_a_figure_of_its_own(corelic: Program, photo: Image.Image) -> None:
    for name, alpha in (("half.png", 128), ("other.png", 118), ("opaque.png", 255)):
        seen = photo.convert("RGBA")
        seen.putalpha(alpha)
        seen.save(name)
    found = json.loads(corelic("compare", "half.png", "other.png", "--json").stdout)
    assert found["psnr_db"] is None
    assert found["alpha_psnr_db"] == pytest.approx(20 * np.log10(255 / 10))
    assert "alpha    28.13 dB" in corelic("compare", "half.png", "other.png").stdout.decode()
    both = json.loads(corelic("compare", "photo.png", "half.png", "--json").stdout)
    assert both["alpha_psnr_db"] == pytest.approx(20 * np.log10(255 / 127))
    assert b"alpha" not in corelic("compare", "photo.png", "photo.png").stdout


def test_the_limit_is_the_callers(corelic: Program) -> None:
    ran = corelic("compare", "photo.png", "photo.png", "--max-pixels", "10")
    assert ran.exit_code == 1
    assert "--max-pixels" in ran.stderr


def test_the_file_that_is_bad_is_named(corelic: Program) -> None:
    assert corelic("encode", "photo.png", "--codec", str(TINY_WEIGHTS)).exit_code == 0
    data = Path("photo.clc").read_bytes()
    Path("cut.clc").write_bytes(data[:-9])
    ran = corelic("compare", "photo.png", "cut.clc")
    assert ran.exit_code == 1 and ran.stderr.startswith("error: cut.clc: ")


def test_files_of_ones_own_weights_are_read_with_them(corelic: Program) -> None:
    weights = ("--codec", str(TINY_WEIGHTS))
    assert corelic("encode", "photo.png", *weights).exit_code == 0
    ran = corelic("compare", "photo.png", "photo.clc", *weights, "--json")
    assert ran.exit_code == 0, ran.stderr
    assert corelic("decode", "photo.clc", *weights, "-o", "decoded.png").exit_code == 0
    assert ran.stdout == corelic("compare", "photo.png", "decoded.png", "--json").stdout
    found = json.loads(corelic("compare", "photo.clc", "photo.clc", *weights, "--json").stdout)
    assert found["psnr_db"] is None


def test_a_classical_codec_is_that_of_the_second(corelic: Program, photo: Image.Image) -> None:
    photo.save("photo.jpg")
    ran = corelic("compare", "photo.png", "photo.jpg", "--codec", "jpeg", "--json")
    assert ran.exit_code == 0, ran.stderr
    assert ran.stdout == corelic("compare", "photo.png", "photo.jpg", "--json").stdout
    ran = corelic("compare", "photo.png", "photo.jpg", "--codec", "webp")
    assert ran.exit_code == 1 and "no sound WEBP file" in ran.stderr
