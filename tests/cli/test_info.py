"""corelic info and corelic codecs."""

import json
from pathlib import Path

from PIL import Image

from corelic.codecs.peers import PEERS
from corelic.codecs.registry import list_specs
from tests.cli.conftest import Program


def test_info_says_what_the_file_holds(corelic: Program) -> None:
    corelic("encode", "photo.png", "-q", "75")
    size_bytes = Path("photo.clc").stat().st_size
    ran = corelic("info", "photo.clc", "--json")
    [found] = json.loads(ran.stdout)
    assert (found["source"], found["codec"], found["quality"]) == ("photo.clc", "swift", 75)
    assert (found["width_px"], found["height_px"], found["colour"]) == (240, 176, "rgb")
    assert found["file_bytes"] == size_bytes
    shown = corelic("info", "photo.clc").stdout.decode()
    assert "240 × 176, rgb" in shown
    assert f"{size_bytes:,} bytes" in shown


def test_info_names_each_chunk_with_its_size(corelic: Program, photo: Image.Image) -> None:
    photo.convert("LA").save("rich.png", icc_profile=b"a profile")
    corelic("encode", "rich.png")
    [found] = json.loads(corelic("info", "rich.clc", "--json").stdout)
    assert found["bit_depth"] == 8
    assert found["chunks"][1:] == [
        {"name": "alpha", "payload_bytes": 2},
        {"name": "icc", "payload_bytes": 9},
    ]
    shown = corelic("info", "rich.clc").stdout.decode()
    assert "grey, 8 bits" in shown
    assert ", alpha 2, icc 9\n" in shown


def test_info_reads_a_pipe_and_goes_past_a_bad_file(corelic: Program) -> None:
    data = corelic("encode", "photo.png", "-o", "-").stdout
    ran = corelic("info", "photo.png", "-", "--json", stdin=data)
    assert ran.exit_code == 1
    assert "error: photo.png: " in ran.stderr
    assert [found["source"] for found in json.loads(ran.stdout)] == ["standard input"]


def test_codecs_lists_the_default(corelic: Program) -> None:
    listed = {
        (found["name"], found["generation"]): found
        for found in json.loads(corelic("codecs", "--json").stdout)
    }
    steps = [listed["swift", generation]["training_steps"] for generation in range(1, 10)]
    # Each on top of the one before.
    assert steps == [20_050, 6_660, 6_200, 7_500, 9_800, 7_000, 7_800, 8_300, 33_613]
    small = {name: listed[f"{name}_small", 1] for name in ("checkerboard", "c3m", "s2lic")}
    assert all(found["weights"] and found["training_steps"] > 2000 for found in small.values())
    large = listed["s2lic", 1]
    assert large["weights"] is None and large["training_steps"] is None
    shown = corelic("codecs").stdout.decode()
    rows = [f"{spec.name}-{spec.generation}" for spec in list_specs()]
    assert all(row in shown for row in [*rows, *PEERS]) and "…" not in shown
    assert "speed 0 to 10" in shown
