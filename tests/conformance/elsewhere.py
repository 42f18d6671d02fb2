"""Encodes and decodes given latents; as a program, in a process with other settings.

    python -m tests.conformance.elsewhere FOLDER...

A folder holds weights.safetensors and latents.safetensors, and gets file.clc, y_hat.safetensors.
"""

import sys
from pathlib import Path
from unittest import mock

import numpy as np
import torch
from safetensors.torch import load_file, save_file
from torch import Tensor

from corelic.codecs import store
from corelic.codecs.files import FileCodec, exact_arithmetic
from corelic.codecs.learned import Latents, pad
from corelic.entropy import container
from corelic.media import Picture

QUALITY = 60


def latents_of(codec: FileCodec, picture: Picture) -> tuple[Tensor, Tensor]:
    """y and z: they come out of float32 networks, and may differ from machine to machine."""
    with exact_arithmetic():
        x = pad(codec.to_tensor(picture), codec.spec.pad_multiple_px)
        y = codec.codec.latents_of(x, codec.quality_tensor(QUALITY))
        return y, codec.codec.hyper_latents_of(y)


def encode_latents(codec: FileCodec, y: Tensor, z: Tensor) -> bytes:
    """A file with these latents: from here on, everything has to be exact."""
    stride_px = codec.spec.transform.stride_px
    height_px, width_px = (side * stride_px for side in y.shape[2:])
    given = {"gained": lambda *_: y, "hyper_latents_of": lambda *_: z}
    exact = FileCodec(codec.weights, codec.device, fast=True)  # a filter is fitted in floats
    with mock.patch.multiple(exact.codec, **given):
        return exact.encode(Picture(np.zeros((height_px, width_px), np.uint8)), QUALITY)


def parse(codec: FileCodec, encoded: bytes) -> Latents:
    with exact_arithmetic():
        return codec.parse(container.read(encoded))


def main(folders: list[str]) -> None:
    for folder in map(Path, folders):
        weights = store.unpack((folder / "weights.safetensors").read_bytes(), str(folder))
        codec = FileCodec(weights, torch.device("cpu"))
        given = load_file(folder / "latents.safetensors")
        encoded = encode_latents(codec, given["y"], given["z"])
        (folder / "file.clc").write_bytes(encoded)
        save_file({"y_hat": parse(codec, encoded).y_hat}, folder / "y_hat.safetensors")


if __name__ == "__main__":
    main(sys.argv[1:])
