"""Photographs for training: decoded once into a memory-mapped cache, then cropped at random.

pictures, tar shards, clips ──► cache.bin (uint8 RGB, one after another) + cache.json ──► crops
"""

from __future__ import annotations

import hashlib
import json
import os
import secrets
import shutil
import tarfile
import warnings
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
import torch
from PIL import Image
from torch import Tensor

from corelic.errors import CorelicError, PictureError, PictureWarning
from corelic.media import Picture, read_picture

SUFFIXES = {".jpg", ".jpeg", ".png", ".webp"}
CLIP_SUFFIXES = {".mp4", ".mkv", ".mov", ".webm"}
FRAME_EVERY_S = 0.5  # of a clip: nearer ones show the same
FRAME_MARK = "#"  # between the name of a clip and the number of its frame
HELD_OUT_EVERY = 20


def is_held_out(name: str) -> bool:
    """One picture in 20, by the hash of its name, is for validation and never trained on.

    Frames go with their clip.
    """
    file = name.partition(FRAME_MARK)[0]
    return int(hashlib.sha1(file.encode()).hexdigest(), 16) % HELD_OUT_EVERY == 0


def read_pictures(source: Path) -> Iterator[tuple[str, Image.Image]]:
    """(name, RGB picture) of every picture in a folder, its tar shards and its clips.

    Sorted by name of file. One that cannot be read is left out, with a warning.
    """
    for path in sorted(source.iterdir()):
        suffix = path.suffix.lower()
        if suffix == ".tar":
            yield from _shard(path)
        elif suffix in SUFFIXES:
            yield from _picture(path.name, path)
        elif suffix in CLIP_SUFFIXES:
            yield from _frames(path)


def _shard(path: Path) -> Iterator[tuple[str, Image.Image]]:
    try:
        with tarfile.open(path) as shard:
            for member in shard:
                if member.isfile() and Path(member.name).suffix.lower() in SUFFIXES:
                    content = shard.extractfile(member)
                    assert content is not None  # a regular file
                    yield from _picture(Path(member.name).name, content.read())
    except (tarfile.TarError, EOFError) as error:
        _warn_of_the_rest(path, error)


def _warn_of_the_rest(path: Path, error: Exception) -> None:
    text = f"{path.name} is left out from here on: {error}"
    warnings.warn(text, PictureWarning, stacklevel=3)


def _picture(name: str, file: Path | bytes) -> Iterator[tuple[str, Image.Image]]:
    """As a codec is given it: upright, 16 bits rounded to 8; colours under alpha as they are."""
    try:
        picture = read_picture(file, name=name).in_8_bits()
    except CorelicError as error:
        reason = error.reason if isinstance(error, PictureError) else error
        warnings.warn(f"{name} is left out of training: {reason}", PictureWarning, stacklevel=2)
        return
    yield name, Picture(picture.pixels).to_image().convert("RGB")


def _frames(path: Path) -> Iterator[tuple[str, Image.Image]]:
    import av  # needed for clips alone

    try:
        with av.open(path) as clip:
            if not clip.streams.video:
                raise ValueError("it has no pictures")
            due_s = 0.0
            for number, frame in enumerate(clip.decode(video=0)):
                if frame.time is None or frame.time >= due_s:
                    picture = Image.fromarray(frame.to_ndarray(format="rgb24"))
                    yield f"{path.name}{FRAME_MARK}{number}", picture
                    due_s = (frame.time or due_s) + FRAME_EVERY_S
    except (av.FFmpegError, ValueError) as error:
        _warn_of_the_rest(path, error)


def listing(source: Path) -> str:
    """Names, sizes and times of what `read_pictures` reads: what a cache follows from.

    Of nothing else: a run in a folder of pictures must not change what it is.
    """
    taken = {".tar", *SUFFIXES, *CLIP_SUFFIXES}
    paths = (path for path in sorted(source.iterdir()) if path.suffix.lower() in taken)
    files = [(path.name, path.stat()) for path in paths if path.is_file()]
    return json.dumps([(name, stat.st_size, stat.st_mtime_ns) for name, stat in files])


@dataclass(frozen=True)
class Entry:
    """One picture in the cache: where its first byte is, and its size."""

    name: str
    offset_bytes: int
    height_px: int
    width_px: int


class PhotoCache:
    """Decoded photographs, split into training and held-out ones."""

    def __init__(self, folder: Path) -> None:
        entries = json.loads((folder / "cache.json").read_text())
        self.entries = tuple(Entry(**entry) for entry in entries)
        self.bytes = np.memmap(folder / "cache.bin", dtype=np.uint8, mode="r")

    @classmethod
    def build(cls, source: Path, folder: Path) -> PhotoCache:
        """Opens the cache of `source` in `folder`, decoding the pictures if it is not there."""
        if not (folder / "cache.json").exists():
            # Of a name of its own: another run may be at the same.
            new = folder.with_name(f"{folder.name}-{secrets.token_hex(4)}.part")
            try:
                cls._decode(source, new)
                try:
                    os.rename(new, folder)
                except OSError:
                    if not (folder / "cache.json").exists():  # half of one, of an older corelic
                        shutil.rmtree(folder)
                        os.rename(new, folder)
            finally:
                shutil.rmtree(new, ignore_errors=True)
        return cls(folder)

    @staticmethod
    def _decode(source: Path, folder: Path) -> None:
        folder.mkdir(parents=True)
        entries: list[Entry] = []
        with open(folder / "cache.bin", "wb") as cache:
            for name, image in read_pictures(source):
                entries.append(Entry(name, cache.tell(), image.height, image.width))
                cache.write(np.asarray(image).tobytes())
        if not entries:
            raise PictureError(str(source), "there are no pictures in this folder itself")
        (folder / "cache.json").write_text(json.dumps([vars(entry) for entry in entries]))

    @property
    def digest(self) -> str:
        """Of names and sizes, in order: what crops follow from."""
        facts = [(entry.name, entry.height_px, entry.width_px) for entry in self.entries]
        return hashlib.sha1(json.dumps(facts).encode()).hexdigest()

    def picture(self, entry: Entry) -> npt.NDArray[np.uint8]:
        """(H, W, 3) uint8, a view of the cache."""
        shape = (entry.height_px, entry.width_px, 3)
        end = entry.offset_bytes + int(np.prod(shape))
        return np.asarray(self.bytes[entry.offset_bytes : end]).reshape(shape)

    def split(self, held_out: bool) -> tuple[Entry, ...]:
        return tuple(entry for entry in self.entries if is_held_out(entry.name) == held_out)


def as_float(crops: Tensor) -> Tensor:
    """uint8 -> float32 in [0, 1], the same on every device, laid out as before."""
    return crops.float().div_(255)


class Crops:
    """Random square crops, flipped at random; sample i of step n is the same in every run.

    scale_max  a crop shows up to so many times its side, reduced: sharper than the photograph
    """

    def __init__(self, cache: PhotoCache, seed: int, scale_max: float = 1.0) -> None:
        self.cache, self.seed, self.scale_max = cache, seed, scale_max
        self.entries = cache.split(held_out=False)
        if not self.entries:
            raise PictureError("the training data", "has only held-out pictures; add more")
        areas = np.array([entry.height_px * entry.width_px for entry in self.entries], float)
        self.odds = areas.cumsum() / areas.sum()

    def batch(self, step: int, samples: range, size_px: int) -> Tensor:
        """(samples, 3, size, size) float32 in [0, 1], channels last."""
        return as_float(self.batch_of_bytes(step, samples, size_px))

    def batch_of_bytes(self, step: int, samples: range, size_px: int) -> Tensor:
        """(samples, 3, size, size) uint8, channels last: a quarter of what has to travel."""
        crops = np.empty((len(samples), size_px, size_px, 3), dtype=np.uint8)
        for place, sample in enumerate(samples):
            # By sample: however many processes share a step, together they see the same crops.
            crops[place] = self.crop(np.random.default_rng((self.seed, step, sample)), size_px)
        return torch.from_numpy(crops).permute(0, 3, 1, 2)

    def crop(self, random: np.random.Generator, size_px: int) -> npt.NDArray[np.uint8]:
        """(size, size, 3) of a photograph chosen by its area."""
        choice = np.searchsorted(self.odds, random.random(), side="right")
        picture = self.cache.picture(self.entries[choice])
        shown_px = round(size_px * self.scale_max ** random.random())
        shown_px = max(size_px, min(shown_px, *picture.shape[:2]))
        short = shown_px - np.minimum(picture.shape[:2], shown_px)
        if short.any():
            picture = np.pad(picture, ((0, short[0]), (0, short[1]), (0, 0)), mode="symmetric")
        row = random.integers(picture.shape[0] - shown_px + 1)
        column = random.integers(picture.shape[1] - shown_px + 1)
        crop = picture[row : row + shown_px, column : column + shown_px]
        if shown_px > size_px:
            reduced = Image.fromarray(crop).resize((size_px, size_px), Image.Resampling.LANCZOS)
            crop = np.asarray(reduced)
        if random.random() < 0.5:
            crop = crop[:, ::-1]
        return crop
