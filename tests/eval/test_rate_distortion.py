"""BD-rate, and curves as files."""

import json
import math
import pickle
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from numpy.polynomial import Polynomial

from corelic.eval import published, results
from corelic.eval.rate_distortion import (
    Curve,
    CurveError,
    Point,
    bd_rate,
    bd_rates_by_picture,
    read_curve,
    to_json,
)

VTM = published.find("kodak/cai-vtm")
BPG = published.find("kodak/cai-bpg-444-x265-ycbcr")


def scaled(curve: Curve, factor: float, name: str = "scaled") -> Curve:
    points = (replace(point, rate_bpp=factor * point.rate_bpp) for point in curve.points)
    return Curve(name, tuple(points))


def line(*points: tuple[float, float], name: str = "line") -> Curve:
    """From (quality in dB, log2 of the rate)."""
    return Curve(name, tuple(Point(2.0**rate, quality) for quality, rate in points))


# BD-rate


@pytest.mark.parametrize(
    ("name", "percent"),
    # Known before this module was there, from another implementation.
    [
        ("dcae", -16.98),
        ("mlicplusplus", -15.02),
        ("tcm-large", -11.73),
        ("cai-paper-elic2022-mse", -7.02),
        ("cai-compressai-cheng2020-anchor-mse-cuda", 3.68),
        ("cai-compressai-mbt2018-mse-cuda", 11.0),
        ("cai-bpg-444-x265-ycbcr", 22.0),
        ("cai-jpeg", 208.5),
        ("cai-vtm", 0),
    ],
)
def test_published_curves_have_their_known_distance(name: str, percent: float) -> None:
    found = bd_rate(VTM, published.find(f"kodak/{name}"))
    assert found.percent == pytest.approx(percent, abs=0.05)


@pytest.mark.parametrize("metric", ["psnr", "ms-ssim"])
def test_a_scaled_rate_is_its_factor(metric: str) -> None:
    for factor, percent in ((2, 100), (1, 0), (0.5, -50)):
        assert bd_rate(VTM, scaled(VTM, factor), metric=metric).percent == pytest.approx(percent)


def test_both_ways_cancel() -> None:
    there, back = bd_rate(VTM, BPG), bd_rate(BPG, VTM)
    assert (1 + there.percent / 100) * (1 + back.percent / 100) == pytest.approx(1)
    assert (there.low_db, there.high_db) == (back.low_db, back.high_db)


def test_the_integral_is_exact() -> None:
    # Straight lines: log2 of the rate differs by 1 + d / 4, d dB above 30; by 1.5 on average.
    anchor = line((28, 0), (30, 0.5), (32, 1), (40, 3))
    curve = line((30, 1.5), (32, 2.5), (34, 3.5), (36, 4.5))
    found = bd_rate(anchor, curve, interval_db=(30, 34))
    assert found.percent == pytest.approx(100 * (2**1.5 - 1))
    assert (found.low_db, found.high_db) == (30, 34)


def test_without_an_interval_all_of_the_overlap_counts() -> None:
    found = bd_rate(VTM, line((30, 0), (32, 1), (40, 3), (60, 6)))
    assert (found.low_db, found.high_db) == (30, VTM.points[-1].psnr_db)


def test_four_points_agree_with_the_polynomial_of_the_original_method() -> None:
    curves = [Curve(curve.name, curve.points[2:6]) for curve in (VTM, BPG)]
    found = bd_rate(curves[0], curves[1])
    means = []
    for curve in curves:
        quality = [point.psnr_db for point in curve.points]
        integral = Polynomial.fit(
            quality, np.log([point.rate_bpp for point in curve.points]), 3
        ).integ()
        span = found.high_db - found.low_db
        means.append((integral(found.high_db) - integral(found.low_db)) / span)
    # Two interpolations of the same points: close, not equal.
    assert found.percent == pytest.approx(100 * math.expm1(means[1] - means[0]), abs=0.5)


def test_the_order_of_points_does_not_matter() -> None:
    assert bd_rate(VTM, Curve("reversed", VTM.points[::-1])).percent == pytest.approx(0)


@pytest.mark.parametrize("name", ["dcae", "cai-jpeg", "cai-webp", "mlicplusplus"])
def test_another_implementation_agrees(name: str) -> None:
    bjontegaard = pytest.importorskip("bjontegaard", reason="needs pip install bjontegaard")
    curve = published.find(f"kodak/{name}")
    columns = [
        column
        for one in (VTM, curve)
        for column in ([p.rate_bpp for p in one.points], [p.psnr_db for p in one.points])
    ]
    expected = bjontegaard.bd_rate(
        *columns, method="pchip", require_matching_points=False, min_overlap=0
    )
    assert bd_rate(VTM, curve).percent == pytest.approx(expected, abs=0.01)


# Picture by picture


def with_pictures(curve: Curve, **factors: float) -> Curve:
    pictures = tuple(scaled(curve, factor, name) for name, factor in factors.items())
    return replace(curve, pictures=pictures)


def test_each_picture_has_a_bd_rate_of_its_own() -> None:
    anchor = with_pictures(VTM, boat=1, cat=1, dog=2, extra=1)
    found = bd_rates_by_picture(anchor, with_pictures(VTM, boat=2, cat=0.5, dog=2, other=7))
    assert [name for name, _ in found.percents] == ["boat", "cat", "dog"]
    assert [percent for _, percent in found.percents] == pytest.approx([100, -50, 0])
    assert found.quartiles == pytest.approx((-50, -25, 0, 50, 100))


def test_a_picture_that_cannot_be_compared_is_named() -> None:
    hard = Curve("hard", (Point(1, 60), Point(2, 61)))
    found = bd_rates_by_picture(
        replace(VTM, pictures=(replace(VTM, name="hard"),)), replace(VTM, pictures=(hard,))
    )
    assert found.percents == () and found.left_out[0][0] == "hard"
    assert all(math.isnan(value) for value in found.quartiles)


# What makes a figure doubtful, and what forbids it


def test_a_sound_comparison_has_no_warnings() -> None:
    assert bd_rate(VTM, scaled(VTM, 2)).warnings == ()


def test_few_points_are_warned_of() -> None:
    found = bd_rate(VTM, Curve("three", VTM.points[::3]))
    assert found.warnings == ("three has only 3 points",)


def test_a_small_overlap_is_warned_of() -> None:
    found = bd_rate(VTM, Curve("low", VTM.points[:4]))
    assert found.warnings == ("the comparison covers only 40% of the range of VTM",)


LOSSLESS = Point(30, math.inf)


def test_a_lossless_point_is_left_out_with_a_warning() -> None:
    found = bd_rate(VTM, replace(VTM, name="odd", points=(*VTM.points, LOSSLESS)))
    assert found.percent == pytest.approx(0)
    count = f"1 of {len(VTM.points) + 1} points"
    assert found.warnings == (f"{count} of odd are lossless or not measured, and left out",)


def test_pictures_without_an_error_are_named() -> None:
    pictures = [Curve(name, VTM.points) for name in "abc"]
    blank = [Curve(name, (*VTM.points[1:], LOSSLESS)) for name in "defgh"]
    odd = replace(VTM, points=(*VTM.points, LOSSLESS), pictures=(*pictures, *blank))
    [warning] = bd_rate(VTM, odd).warnings
    assert "not measured, because of d, e, f, 2 others, and left out" in warning
    odd = replace(odd, points=(LOSSLESS, LOSSLESS), pictures=(*pictures, blank[0]))
    with pytest.raises(CurveError, match="needs 2; leave out d, which have none"):
        bd_rate(VTM, odd)


def test_bounds_may_be_rounded_as_they_are_shown() -> None:
    one, other = line((30.004, 1), (40.004, 2)), line((29.0, 1), (44, 3), name="other")
    found = bd_rate(one, other, interval_db=(30.0, 40.0))
    assert (found.low_db, found.high_db) == (30.004, 40.0)
    found = bd_rate(one, other, interval_db=(30.0, 40.008))
    assert (found.low_db, found.high_db) == (30.004, 40.004)
    with pytest.raises(CurveError, match="cannot be compared"):
        bd_rate(one, other, interval_db=(29.99, 40))


def test_lossless_points_count_alike_in_memory_and_from_a_file(tmp_path: Path) -> None:
    """In JSON they are null: `corelic report` reads what `corelic bench` has written."""
    curves = [
        with_pictures(replace(curve, points=(*curve.points, LOSSLESS)), boat=1, cat=factor)
        for curve, factor in ((VTM, 1), (BPG, 2))
    ]
    again = []
    for curve in curves:
        path = tmp_path / "curve.json"
        path.write_text(json.dumps(to_json(curve)))
        again.append(read_curve(path))
    rows, same = (results.bd_rows(VTM.name, tuple(each), 2) for each in (curves, again))
    assert rows == same
    assert all(row.rate is not None for row in rows if row.metric == "psnr")
    found = bd_rates_by_picture(*curves)
    assert [name for name, _ in found.percents] == ["boat", "cat"]


def test_a_rate_that_falls_is_warned_of() -> None:
    odd = line((28, 0), (30, 1), (32, 0.9), (34, 2), name="odd")
    assert "odd" in bd_rate(VTM, odd, interval_db=(28.5, 33)).warnings[-1]


@pytest.mark.parametrize(
    ("curve", "found"),
    [
        (Curve("none", ()), "0 points"),
        (Curve("one", VTM.points[:1]), "1 points"),
        (Curve("rates", (Point(1, None), Point(2, None))), "0 points"),
        (line((50, 5), (52, 6)), r"50\.00 … 52\.00"),
        (line((30, 5), (30, 6)), "two points of 30 dB"),
        (Curve("lossless", (Point(1, 40), Point(9, math.inf))), "1 points with a finite psnr"),
        (Curve("free", (Point(0, 30), Point(1, 40))), "logarithm"),
        (Curve("broken", (Point(1, 30), Point(1, math.nan), Point(2, 40))), "logarithm"),
    ],
    ids=lambda value: value.name if isinstance(value, Curve) else "",
)
def test_what_cannot_be_compared_is_refused(curve: Curve, found: str) -> None:
    for pair in ((VTM, curve), (curve, VTM)):
        with pytest.raises(CurveError, match=found) as error:
            bd_rate(*pair)
        assert str(pickle.loads(pickle.dumps(error.value))) == str(error.value)


@pytest.mark.parametrize("interval_db", [(20, 40), (30, 50), (40, 30), (30, 30), (30, math.nan)])
def test_nothing_is_extrapolated(interval_db: tuple[float, float]) -> None:
    with pytest.raises(CurveError, match=r"26\.14 … 46\.59"):
        bd_rate(VTM, scaled(VTM, 2), interval_db=interval_db)


def test_averages_over_other_pictures_are_warned_of() -> None:
    kodak, phone = with_pictures(VTM, a=1, b=1, c=1), with_pictures(BPG, c=1, d=1)
    [warning] = bd_rate(kodak, replace(phone, name="mine")).warnings
    assert "mine is over 2 pictures" in warning and "over 3, of which 1 are the same" in warning
    same = with_pictures(BPG, c=1, b=1, a=1)
    for other in (same, BPG):  # of which one does not know its pictures
        assert bd_rate(kodak, other).warnings == ()


def test_two_qualities_of_one_file_are_one_point() -> None:
    twice = replace(VTM, points=(*VTM.points, VTM.points[3]))
    assert bd_rate(BPG, twice) == bd_rate(BPG, VTM)


# Files


def test_a_curve_survives_its_file(tmp_path: Path) -> None:
    for curve in (
        VTM,
        with_pictures(BPG, a=1, b=2),
        line((30, 0), (31, 1)),
        Curve("mixed", (Point(1, None, 0.9), Point(2, 30))),
    ):
        path = tmp_path / "curve.json"
        path.write_text(json.dumps(to_json(curve)))
        assert read_curve(path) == curve


def test_what_was_not_measured_is_left_out() -> None:
    assert to_json(line((30, 0)))["results"] == {"bpp": [1.0], "psnr-rgb": [30]}


def test_a_lossless_point_has_no_number_in_json() -> None:
    content = to_json(Curve("both", (Point(1, 40), Point(9, math.inf))))
    assert content["results"]["psnr-rgb"] == [40, None]


@pytest.mark.parametrize("name", published.names())
def test_a_published_curve_says_where_it_is_from(name: str) -> None:
    assert len(published.find(name).points) >= 2
    path = Path(published.__file__).parent / "curves" / f"{name}.json"
    meta = json.loads(path.read_text())["meta"]
    assert meta["dataset"] == name.split("/")[0] and "github.com/" in meta["source"]
    assert meta["licence"].partition(",")[0] in {"MIT", "Apache-2.0", "BSD-3-Clause-Clear"}


def test_a_misspelt_curve_gets_a_hint() -> None:
    with pytest.raises(CurveError, match="did you mean 'kodak/dcae'"):
        published.find("kodak/dcea")


@pytest.mark.parametrize(
    "text",
    ["", "[]", "{}", "not JSON", '{"name": "a"}', '{"name": "a", "results": {"psnr-rgb": [1]}}',
     '{"name": "a", "results": {"bpp": ["x"]}}', '{"name": "a", "results": {"bpp": 3}}',
     '{"name": "a", "results": {"bpp": [1], "psnr-rgb": ["30"]}}',
     '{"name": "a", "results": {"bpp": [1, 2], "psnr-rgb": [30]}}', "\x89",
     '{"name": "a", "results": {"bpp": [1, NaN], "psnr-rgb": [30, 31]}}',
     '{"name": "a", "results": {"bpp": [1, null], "psnr-rgb": [30, 31]}}',
     '{"name": "a", "results": {"bpp": [1, 1' + 400 * "0" + '], "psnr-rgb": [30, 31]}}',
     100_000 * "["],
    ids=lambda text: text[:50],
)  # fmt: skip
def test_another_file_is_refused(text: str, tmp_path: Path) -> None:
    path = tmp_path / "curve.json"
    path.write_bytes(text.encode("latin-1"))
    with pytest.raises(CurveError, match=r"curve\.json: .* layout"):
        read_curve(path)


def test_a_binary_file_is_not_quoted(tmp_path: Path) -> None:
    path = tmp_path / "picture.png"
    path.write_bytes(b"\x89PNG" + bytes(range(256)) * 100)
    with pytest.raises(CurveError, match="is not JSON") as caught:
        read_curve(path)
    assert len(str(caught.value)) < 300
