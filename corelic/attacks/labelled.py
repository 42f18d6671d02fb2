"""Labelled pictures of one size: what a classifier behind a codec is trained and judged on.

    cifar10.zip or its folder ─► SPLIT/CLASS/*.jpg ─► pixels (N, 3, H, W), labels (N,)

The pictures of CIFAR-10 as they are shared were JPEG files before: a JPEG codec, or a JPEG defence,
finds its own grid in them and looks better than it is on pictures that never were.
"""

from __future__ import annotations

import io
import zipfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
import torch
import torch.nn.functional as F
from PIL import Image
from torch import Tensor

from corelic.errors import PictureError

Split = Literal["train", "test"]


@dataclass(frozen=True, slots=True, eq=False)  # eq: tensors do not compare to one bool
class Labelled:
    """pixels (N, 3, H, W) uint8; labels (N,) int64, each the place of its class in `classes`."""

    pixels: Tensor
    labels: Tensor
    classes: tuple[str, ...]

    def __len__(self) -> int:
        return len(self.labels)

    def every(self, stride: int) -> Labelled:
        """One in `stride`, in order: files come class by class, so each class keeps its share."""
        return Labelled(self.pixels[::stride], self.labels[::stride], self.classes)

    def floats(self) -> Tensor:
        """(N, 3, H, W) float32 in [0, 1]."""
        return self.pixels.float().div(255)


def read_labelled(source: Path, split: Split) -> Labelled:
    """From a zip file or a folder with SPLIT/CLASS/FILE, sorted; PictureError where it has none."""
    try:
        root: Any = zipfile.Path(source) if source.is_file() else source  # alike, but for a name
        folders = sorted(
            (folder for folder in (root / split).iterdir() if folder.is_dir()),
            key=lambda folder: folder.name,
        )
        pixels: list[Tensor] = []
        labels: list[int] = []
        for label, folder in enumerate(folders):
            for file in sorted(folder.iterdir(), key=lambda file: file.name):
                with Image.open(io.BytesIO(file.read_bytes())) as image:
                    pixels.append(torch.from_numpy(np.array(image.convert("RGB"))))
                labels.append(label)
        stacked = torch.stack(pixels).permute(0, 3, 1, 2).contiguous()
    except (OSError, zipfile.BadZipFile, RuntimeError, KeyError, ValueError) as error:
        reason = f"has no pictures of one size in {split}/CLASS/ ({error}); name such a folder"
        raise PictureError(str(source), reason) from error
    return Labelled(stacked, torch.tensor(labels), tuple(folder.name for folder in folders))


def enlarged(x: Tensor, factor: int) -> Tensor:
    """(N, 3, H, W) in [0, 1] -> sides times `factor`, bicubic.

    A codec pads 32 × 32 to its own unit, and any file's header dwarfs the payload of so small a
    picture; both are milder when it is larger.
    """
    larger = F.interpolate(x, scale_factor=factor, mode="bicubic", align_corners=False)
    return larger.clamp(0, 1)
