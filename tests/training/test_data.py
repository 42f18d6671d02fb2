import tarfile
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from corelic.errors import PictureError, PictureWarning
from corelic.training import data
from corelic.training.data import Crops, PhotoCache, is_held_out, listing, read_pictures
from tests.training.conftest import write_pictures


def test_a_folder_and_a_tar_shard_are_the_same_cache(pictures: Path, tmp_path: Path) -> None:
    source = tmp_path / "shards"
    source.mkdir()
    with tarfile.open(source / "one.tar", "w") as shard:
        for path in sorted(pictures.iterdir()):
            shard.add(path, f"some/where/{path.name}")
        shard.add(__file__, "notes.py")  # shards may hold an index beside the pictures
    from_folder = PhotoCache.build(pictures, tmp_path / "a")
    from_shard = PhotoCache.build(source, tmp_path / "b")
    assert from_folder.entries == from_shard.entries
    assert np.array_equal(from_folder.bytes, from_shard.bytes)


def test_the_cache_holds_the_pictures(pictures: Path, tmp_path: Path) -> None:
    cache = PhotoCache.build(pictures, tmp_path / "cache")
    assert [entry.name for entry in cache.entries] == [
        path.name for path in sorted(pictures.iterdir())
    ]
    for entry, path in zip(cache.entries, sorted(pictures.iterdir()), strict=True):
        assert np.array_equal(cache.picture(entry), np.asarray(Image.open(path)))


def test_a_cache_is_built_once(
    pictures: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    built = PhotoCache.build(pictures, tmp_path / "cache")
    monkeypatch.setattr(data, "read_pictures", None)
    assert PhotoCache.build(pictures, tmp_path / "cache").entries == built.entries


def test_a_picture_that_cannot_be_read_is_left_out(tmp_path: Path) -> None:
    broken = tmp_path / "source"
    write_pictures(broken, 3)
    (broken / "02.png").write_bytes(b"not a picture")
    # Of a kind that the command line shows.
    with pytest.warns(PictureWarning, match=r"02\.png is left out"):
        cache = PhotoCache.build(broken, tmp_path / "cache")
    assert [entry.name for entry in cache.entries] == ["00.png", "01.png"]


def test_pictures_are_read_as_a_codec_is_given_them(tmp_path: Path) -> None:
    source = tmp_path / "source"
    source.mkdir()
    grey = np.arange(20 * 30, dtype=np.uint16).reshape(20, 30) * 100
    Image.fromarray(grey).save(source / "deep.png")
    upright = np.random.default_rng(0).integers(0, 256, (20, 30, 3), np.uint8)
    turned = Image.fromarray(np.rot90(upright))
    turned.getexif()[0x112] = 6  # turn it clockwise to look at it
    turned.save(source / "turned.png", exif=turned.getexif())
    cache = PhotoCache.build(source, tmp_path / "cache")
    deep, found = (cache.picture(entry) for entry in cache.entries)
    assert np.abs(deep - grey[:, :, None] / 257).max() <= 0.5
    assert np.array_equal(found, upright)


def test_a_folder_without_pictures_is_refused(tmp_path: Path) -> None:
    (tmp_path / "source").mkdir()
    (tmp_path / "source" / "index.csv").write_text("name,licence\n")
    with pytest.raises(PictureError, match="no pictures"):
        PhotoCache.build(tmp_path / "source", tmp_path / "cache")


def test_one_in_twenty_is_held_out_by_name() -> None:
    names = [f"{number}.jpg" for number in range(4000)]
    held_out = {name for name in names if is_held_out(name)}
    assert 0.04 < len(held_out) / len(names) < 0.06
    # The split may not change, or validation would see what was trained on before.
    assert [name for name in names[:40] if name in held_out] == ["7.jpg", "18.jpg"]


def test_held_out_pictures_are_never_cropped(tmp_path: Path) -> None:
    """Each picture is of one grey, which tells it."""
    source = tmp_path / "source"
    source.mkdir()
    names = [f"{number}.png" for number in range(60)]
    for grey, name in enumerate(names):
        Image.new("RGB", (40, 40), (grey, grey, grey)).save(source / name)
    cache = PhotoCache.build(source, tmp_path / "cache")
    crops = Crops(cache, seed=1)
    seen = {
        names[round(255 * crop[0, 0, 0].item())]
        for step in range(20)
        for crop in crops.batch(step, range(32), 8)
    }
    expected = {name for name in names if not is_held_out(name)}
    assert seen == expected
    held_out = {entry.name for entry in cache.split(held_out=True)}
    assert held_out == set(names) - expected
    assert held_out


def test_crops_follow_from_seed_and_step_alone(pictures: Path, tmp_path: Path) -> None:
    cache = PhotoCache.build(pictures, tmp_path / "cache")
    batch = Crops(cache, seed=1).batch(5, range(4), 64)
    later = Crops(cache, seed=1)
    later.batch(9, range(4), 64)
    assert later.batch(5, range(4), 64).equal(batch)
    assert not later.batch(6, range(4), 64).equal(batch)
    assert not Crops(cache, seed=2).batch(5, range(4), 64).equal(batch)


def test_crops_are_pieces_of_pictures(pictures: Path, tmp_path: Path) -> None:
    cache = PhotoCache.build(pictures, tmp_path / "cache")
    crops = Crops(cache, seed=3)
    batch = crops.batch(0, range(8), 32)
    assert (batch.shape, batch.dtype) == ((8, 3, 32, 32), torch.float32)
    wholes = [cache.picture(entry) for entry in crops.entries]
    flipped = 0
    for crop in (batch * 255).round().byte().permute(0, 2, 3, 1).numpy():
        found = [is_piece(crop, whole) for whole in wholes]
        mirrored = [is_piece(crop[:, ::-1], whole) for whole in wholes]
        assert any(found) or any(mirrored)
        flipped += any(mirrored)
    assert 0 < flipped < 8


def is_piece(crop: np.ndarray, whole: np.ndarray) -> bool:
    height, width = crop.shape[:2]
    windows = np.lib.stride_tricks.sliding_window_view(whole, (height, width, 3))[:, :, 0]
    candidates = np.argwhere((windows[:, :, 0, 0] == crop[0, 0]).all(-1))
    return any(np.array_equal(windows[row, column], crop) for row, column in candidates)


def test_processes_that_share_a_step_see_its_crops(pictures: Path, tmp_path: Path) -> None:
    crops = Crops(PhotoCache.build(pictures, tmp_path / "cache"), seed=1)
    shares = [crops.batch(3, range(first, first + 2), 64) for first in (0, 2)]
    assert torch.cat(shares).equal(crops.batch(3, range(4), 64))


def test_crops_at_random_scales_show_more_than_their_side(tmp_path: Path) -> None:
    """Of a ramp, whose slope tells the scale."""
    source = tmp_path / "source"
    source.mkdir()
    ramp = np.broadcast_to(np.arange(200, dtype=np.uint8)[None, :, None], (200, 200, 3))
    Image.fromarray(ramp.copy()).save(source / "a.png")
    crops = Crops(PhotoCache.build(source, tmp_path / "cache"), seed=1, scale_max=3.0)
    batch = crops.batch(0, range(40), 32) * 255
    slopes = (batch[:, 0, 16, 24] - batch[:, 0, 16, 8]).abs() / 16
    assert slopes.min() < 1.2 and 2.5 < slopes.max() < 3.1
    assert len(slopes.round(decimals=1).unique()) > 10


def test_frames_of_clips_are_pictures(tmp_path: Path) -> None:
    av = pytest.importorskip("av")
    source = tmp_path / "source"
    source.mkdir()
    with av.open(str(source / "clip.mp4"), "w") as clip:
        stream = clip.add_stream("libx264", rate=10)
        stream.width, stream.height, stream.pix_fmt = 64, 48, "yuv420p"
        for number in range(20):
            grey = np.full((48, 64, 3), 10 * number, dtype=np.uint8)
            clip.mux(stream.encode(av.VideoFrame.from_ndarray(grey, format="rgb24")))
        clip.mux(stream.encode())
    cache = PhotoCache.build(source, tmp_path / "cache")
    names = [entry.name for entry in cache.entries]
    assert names == ["clip.mp4#0", "clip.mp4#5", "clip.mp4#10", "clip.mp4#15"]
    greys = [int(cache.picture(entry).mean()) for entry in cache.entries]
    assert np.abs(np.array(greys) - [0, 50, 100, 150]).max() <= 3
    # All frames of a clip are on one side of the split.
    assert len({is_held_out(name) for name in names}) == 1


def test_a_changed_folder_has_another_cache(pictures: Path, tmp_path: Path) -> None:
    source = tmp_path / "source"
    write_pictures(source, 2)
    before = listing(source)
    assert listing(source) == before
    (source / "runs" / "tiny").mkdir(parents=True)  # what nobody reads
    (source / "index.csv").write_text("name")
    assert listing(source) == before
    write_pictures(source, 3)
    assert listing(source) != before


def test_pictures_smaller_than_a_crop_are_mirrored(tmp_path: Path) -> None:
    source = tmp_path / "source"
    source.mkdir()
    row = np.arange(6, dtype=np.uint8)
    Image.fromarray(np.broadcast_to(row[None, :, None], (5, 6, 3)).copy()).save(source / "a.png")
    crops = Crops(PhotoCache.build(source, tmp_path / "cache"), seed=1)
    (crop,) = (crops.batch(0, range(1), 10) * 255).round()
    expected = [0, 1, 2, 3, 4, 5, 5, 4, 3, 2]
    assert crop[0, 7].tolist() in (expected, expected[::-1])


def test_two_runs_that_build_one_cache_do_not_disturb_each_other(
    pictures: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A second one begins while the first is at its pictures."""
    others: list[PhotoCache] = []

    def interrupted(source: Path) -> Iterator[tuple[str, Image.Image]]:
        for number, found in enumerate(read_pictures(source)):
            if number == 3:
                monkeypatch.setattr(data, "read_pictures", read_pictures)
                others.append(PhotoCache.build(source, tmp_path / "cache"))
            yield found

    monkeypatch.setattr(data, "read_pictures", interrupted)
    cache = PhotoCache.build(pictures, tmp_path / "cache")
    alone = PhotoCache.build(pictures, tmp_path / "alone")
    for found in (cache, *others):
        assert found.entries == alone.entries and np.array_equal(found.bytes, alone.bytes)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["alone", "cache"]


@pytest.mark.parametrize("kept_bytes", [0, 30_000])
def test_a_shard_that_is_cut_is_left_out_from_there_on(
    pictures: Path, tmp_path: Path, kept_bytes: int
) -> None:
    whole = tmp_path / "whole.tar"
    with tarfile.open(whole, "w") as shard:
        for path in sorted(pictures.iterdir()):
            shard.add(path, path.name)
    source = tmp_path / "shards"
    write_pictures(source, 2)
    (source / "cut.tar").write_bytes(whole.read_bytes()[:kept_bytes])
    with pytest.warns(PictureWarning, match=r"cut\.tar is left out"):
        cache = PhotoCache.build(source, tmp_path / "cache")
    assert {"00.png", "01.png"} <= {entry.name for entry in cache.entries}
