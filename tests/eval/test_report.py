"""The report's figures: those of the run, whatever its anchor is."""

import shutil
from dataclasses import replace
from pathlib import Path

from corelic.eval import bench, report, results
from tests.eval.conftest import PLAN


def test_figures_against_a_file_are_those_of_the_run(
    finished: Path, photos: Path, tmp_path: Path
) -> None:
    anchor = tmp_path / "own.json"
    shutil.copy(finished / "curves" / "jpeg.json", anchor)
    plan = replace(PLAN, codecs=("webp",), anchor=str(anchor), sample=0)
    bench.run(plan, [photos], tmp_path / "out")
    for changed in (False, True):
        if changed:
            shutil.copy(finished / "curves" / "webp.json", anchor)
        found = results.read(tmp_path / "out")
        data = report._data(tmp_path / "out", found, report.labelled(found, ()))
        [wanted] = [row for row in found.run.bd_rates if row.metric == "psnr"]
        own, beside = (row["bd"]["psnr"] for row in data["rows"])
        assert wanted.rate is not None and own["percent"] == wanted.rate.percent < -10
        assert own["quartiles"] == wanted.pictures.quartiles
        assert beside["percent"] == 0 and beside["quartiles"] == (0,) * 5
