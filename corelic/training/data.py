"""Photographs for training: decoded once into a memory-mapped cache, then cropped at random.

folder or tar shards ──► cache.bin (uint8 RGB, one picture after another) + cache.json ──► crops
"""

from __future__ import annotations

import hashlib
import io
import json
import os
import tarfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
import torch
from PIL import Image
from torch import Tensor

from corelic.errors import PictureError

SUFFIXES = {".jpg", ".jpeg", ".png", ".webp"}
HELD_OUT_EVERY = 20


def is_held_out(name: str) -> bool:
    """One photograph in 20, by the hash of its name, is for validation and never trained on."""
    return int(hashlib.sha1(name.encode()).hexdigest(), 16) % HELD_OUT_EVERY == 0


def read_pictures(source: Path) -> Iterator[tuple[str, Image.Image]]:
    """(name, RGB picture) of every picture in a folder and in its tar shards, sorted by name."""
    for path in sorted(source.iterdir()):
        if path.suffix == ".tar":
            with tarfile.open(path) as shard:
                for member in shard:
                    if Path(member.name).suffix.lower() in SUFFIXES:
                        content = shard.extractfile(member)
                        assert content is not None  # a regular file: it has a picture's suffix
                        with Image.open(io.BytesIO(content.read())) as image:
                            yield Path(member.name).name, image.convert("RGB")
        elif path.suffix.lower() in SUFFIXES:
            with Image.open(path) as image:
                yield path.name, image.convert("RGB")


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
            folder.mkdir(parents=True, exist_ok=True)
            entries: list[Entry] = []
            with open(folder / "cache.bin", "wb") as cache:
                for name, image in read_pictures(source):
                    entries.append(Entry(name, cache.tell(), image.height, image.width))
                    cache.write(np.asarray(image).tobytes())
            if not entries:
                raise PictureError(str(source), "there are no pictures in this folder")
            # Written last: a cache with an index is complete.
            temporary = folder / "cache.json.tmp"
            temporary.write_text(json.dumps([vars(entry) for entry in entries]))
            os.replace(temporary, folder / "cache.json")
        return cls(folder)

    def picture(self, entry: Entry) -> npt.NDArray[np.uint8]:
        """(H, W, 3) uint8, a view of the cache."""
        shape = (entry.height_px, entry.width_px, 3)
        end = entry.offset_bytes + int(np.prod(shape))
        return np.asarray(self.bytes[entry.offset_bytes : end]).reshape(shape)

    def split(self, held_out: bool) -> tuple[Entry, ...]:
        return tuple(entry for entry in self.entries if is_held_out(entry.name) == held_out)


class Crops:
    """Random square crops, flipped at random; batch number `step` is the same in every run."""

    def __init__(self, cache: PhotoCache, seed: int) -> None:
        self.cache, self.seed = cache, seed
        self.entries = cache.split(held_out=False)
        if not self.entries:
            raise PictureError("the training data", "has only held-out pictures; add more")
        areas = np.array([entry.height_px * entry.width_px for entry in self.entries], float)
        self.odds = areas / areas.sum()

    def batch(self, step: int, count: int, size_px: int) -> Tensor:
        """(count, 3, size, size) float32 in [0, 1], channels last."""
        random = np.random.default_rng((self.seed, step))
        crops = np.empty((count, size_px, size_px, 3), dtype=np.uint8)
        for position, choice in enumerate(random.choice(len(self.entries), count, p=self.odds)):
            crops[position] = self.crop(self.entries[choice], size_px, random)
        return torch.from_numpy(crops).permute(0, 3, 1, 2).float().div_(255)

    def crop(
        self, entry: Entry, size_px: int, random: np.random.Generator
    ) -> npt.NDArray[np.uint8]:
        picture = self.cache.picture(entry)
        short = size_px - np.minimum(picture.shape[:2], size_px)
        if short.any():
            picture = np.pad(picture, ((0, short[0]), (0, short[1]), (0, 0)), mode="symmetric")
        row = random.integers(picture.shape[0] - size_px + 1)
        column = random.integers(picture.shape[1] - size_px + 1)
        crop = picture[row : row + size_px, column : column + size_px]
        if random.random() < 0.5:
            crop = crop[:, ::-1]
        return crop
