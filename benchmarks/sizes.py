"""Codecs by size: parameters and operations, and a real file from untrained full-size networks.

    python benchmarks/sizes.py                        the table of docs/context-models.md
    python benchmarks/sizes.py --round-trip photo.png encodes and decodes it with each

Random weights make useless files, but the same work: the networks see the picture, move to the
grid, and what the file decodes to is what the encoder saw, or its checksum says so.
"""

import argparse
import sys
from pathlib import Path
from time import perf_counter

import numpy as np
import torch

from corelic.codecs import registry, store
from corelic.codecs.base import CodecSpec
from corelic.codecs.files import FileCodec
from corelic.codecs.learned import LearnedImageCodec
from corelic.disk import atomic_write
from corelic.entropy import grid
from corelic.eval.complexity import codec_cost
from corelic.media import Picture, read_picture

PAGE = Path(__file__).parents[1] / "docs" / "context-models.md"
BEGIN, END = "<!-- sizes: python benchmarks/sizes.py -->", "<!-- end of sizes -->"
# What the papers or those who compare them say; beside ours, which share hyperprior and gains.
PUBLISHED = {
    "checkerboard": "ELIC, whose transform it has: 36.9 M, 574 kMAC/pixel (as counted for HPCM)",
    "c3m": "none that we know",
    "s2lic": "none that we know; 0.31 s to encode, 0.38 s to decode on the authors' machine",
}
QUALITY = 50.0
CALIBRATION_PX = 256
ROUSED = 0.01  # standard deviation of layers that would start as zero


def table() -> str:
    lines = [
        "| codec | parameters | of them context | kMAC/pixel to encode | to decode | published |",
        "|---|---|---|---|---|---|",
    ]
    newest = {spec.name: spec for spec in registry.list_own_specs()}  # generations ascend
    for spec in newest.values():
        cost = codec_cost(spec)
        lines.append(
            f"| `{spec.name}` | {cost.parameters / 1e6:.1f} M | "
            f"{cost.context.parameters / 1e6:.1f} M | {cost.encode_kmac_per_pixel:.0f} | "
            f"{cost.decode_kmac_per_pixel:.0f} | {PUBLISHED.get(spec.name, '')} |"
        )
    return "\n".join(lines)


@torch.no_grad()
def untrained(spec: CodecSpec, picture: Picture) -> FileCodec:
    """Random weights, ranges from a part of the picture, on the grid, packed and read back."""
    torch.manual_seed(0)
    codec = LearnedImageCodec(spec).eval()
    for parameter in codec.parameters():
        if not parameter.any():
            parameter.normal_(0, ROUSED)
    codec.hyper_analysis.reduce[-1].bias.normal_(0, 3)  # or hyper-latents might all be zero
    part = torch.from_numpy(np.ascontiguousarray(picture.pixels[:CALIBRATION_PX, :CALIBRATION_PX]))
    x = part.permute(2, 0, 1)[None].float() / 255
    spec.transform.start(codec.analysis, codec.synthesis, x)
    with grid.watching(codec.parsing_path):
        codec(x, torch.tensor([100.0]))  # where latents are largest
    codec.freeze()
    return FileCodec(store.unpack(store.pack(codec, {}), spec.full_name), torch.device("cpu"))


def round_trip(spec: CodecSpec, picture: Picture) -> str:
    codec = untrained(spec, picture)
    unfiltered = FileCodec(codec.weights, codec.device, fast=True)  # an estimate knows no filter
    started = perf_counter()
    data = unfiltered.encode(picture, QUALITY)
    encoded = perf_counter()
    decoded = codec.decode(data)
    finished = perf_counter()
    seen = codec.estimate(picture, QUALITY).picture
    apart = int(np.abs(decoded.pixels.astype(int) - seen.pixels).max())
    return (
        f"{spec.name}: {len(data):,} bytes, encoded in {encoded - started:.1f} s, decoded in "
        f"{finished - encoded:.1f} s, at most {apart} of 255 from what the encoder saw"
    )


def main() -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--round-trip", type=Path, metavar="PICTURE")
    parser.add_argument("--codecs", default="", help="names; default: all without weights")
    given = parser.parse_args()
    if given.round_trip is None:
        before, _, rest = PAGE.read_text().partition(BEGIN)
        page = f"{before}{BEGIN}\n{table()}\n{END}{rest.partition(END)[2]}"
        atomic_write(PAGE, page.encode(), overwrite=True)
        return 0
    picture = read_picture(given.round_trip)
    names = given.codecs.split(",") if given.codecs else None
    for spec in registry.list_own_specs():
        if spec.name in names if names else store.shipped(spec) is None:
            print(round_trip(spec, picture), flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
