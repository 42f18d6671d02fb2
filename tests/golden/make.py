"""Adds golden streams, and never rewrites one.

    python tests/golden/make.py            the tiny codec's weights and streams, where missing
    python tests/golden/make.py swift-1    one stream of a codec whose weights ship

Each stream is three files: .clc as encoded now, .png as it decodes now, .json with the SHA-256 of
its symbols. Whatever the encoder becomes, the decoder has to give these for ever.
"""

import hashlib
import json
import sys
from pathlib import Path

import numpy as np
import torch
from skimage import data

sys.path.insert(0, str(Path(__file__).parents[2]))  # run as a script, from anywhere

from corelic.codecs import store
from corelic.codecs.files import FileCodec, exact_arithmetic
from corelic.codecs.learned import Latents
from corelic.codecs.registry import find_spec
from corelic.entropy import container
from corelic.media import Picture, picture_bytes
from tests import tiny

FORMAT = f"format-{container.VERSION}"
CPU = torch.device("cpu")


def picture(width_px: int, height_px: int, colour: str) -> Picture:
    """A piece of the portrait of Eileen Collins in scikit-image, a work of NASA."""
    row, column = 100, 170  # so that the smallest piece is skin, the largest a face
    pixels = data.astronaut()[row : row + height_px, column : column + width_px]
    return Picture(pixels if colour == "rgb" else pixels[:, :, 1])


def rich(source: Picture, bit_depth: int) -> Picture:
    """With alpha, ICC profile, EXIF and XMP; in 16 bits with something in the lower byte."""
    height, width = source.height_px, source.width_px
    rows, columns = np.mgrid[:height, :width]
    alpha = np.clip(20 * (0.6 * height - np.hypot(rows - height / 2, columns - width / 2)), 0, 255)
    pixels, alpha = source.pixels, alpha.astype(np.uint8)
    if bit_depth == 16:
        pixels, alpha = (plane.astype(np.uint16) * np.uint16(256) for plane in (pixels, alpha))
    return Picture(pixels, alpha, b"for a reader to hand on", b"II*\0\x08\0\0\0\0\0", b"<x/>")


TINY_STREAMS = {
    "rgb-70x33": (picture(70, 33, "rgb"), 50),
    "rgb-1x1": (picture(1, 1, "rgb"), 50),
    "grey-64x48": (picture(64, 48, "grey"), 30),
    "rgb-129x100": (picture(129, 100, "rgb"), 97.5),
    "rgb-alpha-metadata-70x33": (rich(picture(70, 33, "rgb"), 8), 50),
    "rgb-alpha-metadata-16bit-70x33": (rich(picture(70, 33, "rgb"), 16), 50),
    "grey-alpha-metadata-64x48": (rich(picture(64, 48, "grey"), 8), 30),
    "grey-16bit-64x48": (Picture(rich(picture(64, 48, "grey"), 16).pixels), 30),
}
# Quality 80 of a picture this large is worth a filter.
TINY_STREAMS |= {
    "rgb-filter-190x150": (picture(190, 150, "rgb"), 80),
    "grey-filter-190x150": (picture(190, 150, "grey"), 80),
    # Made when there was a form that clips.
    "rgb-clipping-filter-190x150": (picture(190, 150, "rgb"), 100),
    "grey-clipping-filter-190x150": (picture(190, 150, "grey"), 100),
}
PUBLISHED_STREAMS = {"rgb-129x100": (picture(129, 100, "rgb"), 50)}


def symbols_sha256(latents: Latents) -> str:
    """Of hyper-latents, then ŷ in units of 1/64, as little-endian int32, as the format has them."""
    digest = hashlib.sha256()
    for part in (latents.hyper, latents.y_hat * 64):
        digest.update(part.numpy().astype("<i4", order="C").tobytes())
    return digest.hexdigest()


def add(path: Path, content: bytes) -> None:
    """Writes a new file; FileExistsError if there is one."""
    with open(path, "xb") as file:
        file.write(content)
    print(f"{path.name}: {len(content):,} bytes")


def add_streams(codec: FileCodec, streams: dict[str, tuple[Picture, float]], folder: Path) -> None:
    """Adds those that are missing."""
    folder.mkdir(exist_ok=True)
    for name, (source, quality) in streams.items():
        stem = folder / f"{codec.spec.full_name}-{name}"
        if stem.with_suffix(".clc").exists():
            print(f"{stem.name} stays as it is")
            continue
        encoded = codec.encode(source, quality)
        with exact_arithmetic():
            latents = codec.parse(container.read(encoded))
        decoded = picture_bytes(codec.decode(encoded), Path("decoded.png"))
        facts = json.dumps({"symbols_sha256": symbols_sha256(latents)}) + "\n"
        add(stem.with_suffix(".png"), decoded)
        add(stem.with_suffix(".json"), facts.encode())
        add(stem.with_suffix(".clc"), encoded)  # last: a stream is complete


def main(names: list[str]) -> None:
    folder = tiny.GOLDEN / FORMAT
    if not names:
        if not tiny.TINY_WEIGHTS.exists():
            add(tiny.TINY_WEIGHTS, tiny.make_tiny())
        add_streams(FileCodec(store.from_file(tiny.TINY_WEIGHTS), CPU), TINY_STREAMS, folder)
    for name in names:
        weights = store.by_name(find_spec(name).full_name)
        add_streams(FileCodec(weights, CPU), PUBLISHED_STREAMS, folder)


if __name__ == "__main__":
    main(sys.argv[1:])
