"""Plots for papers: legible, and the same bytes always."""

import re

import pytest

from corelic.eval import published
from corelic.eval.plots import MANY, plot
from tests.conftest import needs

CURVES = [(name, published.find(name)) for name in published.names() if name.startswith("kodak/")]


def width_pt(data: bytes) -> float:
    found = re.search(rb'width="([\d.]+)pt"', data)
    assert found
    return float(found[1])


@pytest.fixture(autouse=True)
def _matplotlib() -> None:
    needs("matplotlib")


def test_every_curve_is_named() -> None:
    data = plot(CURVES[:5], "psnr", "svg", title="five").decode()
    assert all(name in data for name, _ in CURVES[:5])
    assert "PSNR (dB)" in data and "five" in data


def test_the_legend_of_many_curves_stands_beside_them() -> None:
    few, many = (plot(CURVES[:count], "psnr", "svg", title="") for count in (MANY, MANY + 1))
    assert width_pt(many) > width_pt(few)
    # Its names are to the right of every point.
    before, _, legend = many.decode().partition("legend_1")
    points = re.findall(r'<use xlink:href="#m\w+" x="([\d.]+)"', before)
    names = re.findall(r'<text [^>]*x="([\d.]+)"', legend)
    assert len(names) == MANY + 1
    assert min(map(float, names)) > max(map(float, points))


def test_the_same_curves_give_the_same_bytes() -> None:
    for kind in ("png", "svg"):
        assert plot(CURVES[:2], "psnr", kind, title="") == plot(CURVES[:2], "psnr", kind, title="")
