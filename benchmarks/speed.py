"""Time to encode and decode, beside compressai's `mbt2018-mean` at quality 4, in one process.

    for every picture, k rounds:  change a pixel
                                  ours    encode ─► file ─► decode ─► 8-bit picture
                                  theirs  compress ─► strings ─► decompress ─► x_hat

    python3.11 -m venv build/bench && . build/bench/bin/activate
    pip install torch==2.13.0 -c constraints.txt -e .
    pip install --no-deps compressai==1.2.8 einops pytorch-msssim
    python benchmarks/speed.py

Everything is loaded before the clock starts. Theirs gets a tensor and stops at one; ours
starts and ends with 8-bit pixels and makes a whole file. What else compressai requires is for its
data sets and transforms, which are not used here; `stand_in` lends empty modules for them.
"""

import argparse
import os
import sys
import types
import warnings
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from statistics import fmean, median
from time import perf_counter
from typing import Any

import torch
from keeping import keep, place_of
from rich.console import Console
from rich.progress import track
from rich.table import Table

from corelic.codecs.files import FileCodec, open_codec
from corelic.eval.machine import machine
from corelic.media import Picture, read_picture

QUALITY = 50.0
PEER_QUALITY = 4
PEER_CHANNELS = 128, 192  # N and M of that quality
LIMITS = {"encode": 0.7, "decode": 0.5}  # of the peer's time


@dataclass(frozen=True, slots=True)
class Times:
    """One picture: medians over the rounds, and the last round's rates."""

    picture: str
    encode_s: float
    decode_s: float
    peer_encode_s: float
    peer_decode_s: float
    rate_bpp: float
    peer_rate_bpp: float


def stand_in() -> None:
    """Lets `import compressai.models` do without torchvision, torch_geometric and data sets."""
    for package in ("torchvision", "torch_geometric"):
        module = types.ModuleType(package)
        module.transforms = types.ModuleType(f"{package}.transforms")  # type: ignore[attr-defined]  # a module takes any attribute; its stub has none
        sys.modules |= {package: module, f"{package}.transforms": module.transforms}
    for name in ("compressai.datasets", "compressai.transforms"):
        sys.modules[name] = types.ModuleType(name)


def peer(pretrained: bool) -> Any:
    stand_in()
    warnings.filterwarnings("ignore", category=FutureWarning, module="compressai")
    torch.manual_seed(0)
    if pretrained:
        from compressai.zoo import mbt2018_mean

        model = mbt2018_mean(PEER_QUALITY, pretrained=True)
    else:
        from compressai.models import MeanScaleHyperprior

        model = MeanScaleHyperprior(*PEER_CHANNELS)
    model.eval().update(force=True)
    return model


def timed(work: Callable[..., Any], *given: Any, **named: Any) -> tuple[float, Any]:
    start = perf_counter()
    result = work(*given, **named)
    return perf_counter() - start, result


@torch.no_grad()
def measure(
    codec: FileCodec, model: Any, name: str, picture: Picture, *, quality: float, rounds: int
) -> Times:
    """The first round warms up and does not count."""
    taken: list[tuple[float, ...]] = []
    for turn in range(rounds + 1):
        pixels = picture.pixels.copy()
        pixels[turn % picture.height_px, 7 * turn % picture.width_px] ^= 128
        changed = Picture(pixels)
        x = codec.to_tensor(changed).contiguous()
        encode_s, data = timed(codec.encode, changed, quality)
        peer_encode_s, strings = timed(model.compress, x)
        decode_s, _ = timed(codec.decode, data)
        peer_decode_s, _ = timed(model.decompress, **strings)
        taken.append((encode_s, decode_s, peer_encode_s, peer_decode_s))
    encode_s, decode_s, peer_encode_s, peer_decode_s = (
        median(column) for column in zip(*taken[1:], strict=True)
    )
    count = picture.width_px * picture.height_px
    peer_bytes = sum(len(string) for stream in strings["strings"] for string in stream)
    return Times(
        picture=name,
        encode_s=encode_s,
        decode_s=decode_s,
        peer_encode_s=peer_encode_s,
        peer_decode_s=peer_decode_s,
        rate_bpp=8 * len(data) / count,
        peer_rate_bpp=8 * peer_bytes / count,
    )


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    data = os.environ.get("CORELIC_DATA")
    pictures = Path(data) / "kodak" if data else None
    parser.add_argument("--codec", default="swift", help="name or weights file (%(default)s)")
    parser.add_argument("--pictures", type=Path, default=pictures, required=pictures is None)
    parser.add_argument("--quality", type=float, default=QUALITY)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--limit", type=int, help="only so many pictures, for a quick look")
    parser.add_argument("--fast", action="store_true", help="ours without filters, in bfloat16")
    parser.add_argument("--pretrained", action="store_true", help="fetch the peer's weights")
    parser.add_argument("--out", type=Path, help="default: results/speed-CODEC[-fast].json")
    return parser.parse_args()


def main() -> int:
    given = arguments()
    torch.set_num_threads(given.threads)
    codec = open_codec(given.codec, "cpu", fast=given.fast)
    model = peer(given.pretrained)
    variant = "-fast" if given.fast else ""
    name = codec.facts.name + variant
    paths = sorted(given.pictures.glob("*.png"))[: given.limit]
    if not paths:
        print(f"error: no .png in {given.pictures}", file=sys.stderr)
        return 1
    partial = given.limit is not None or given.quality != QUALITY
    out = place_of("speed", codec, given.out, partial=partial, variant=variant)
    times = [
        measure(
            codec, model, path.name, read_picture(path), quality=given.quality, rounds=given.rounds
        )
        for path in track(paths, description=f"{name} and mbt2018-mean")
    ]
    mean = {
        field: fmean(getattr(each, field) for each in times)
        for field in Times.__slots__
        if field != "picture"
    }
    ratios = {
        "encode": mean["encode_s"] / mean["peer_encode_s"],
        "decode": mean["decode_s"] / mean["peer_decode_s"],
    }
    weights = "trained" if given.pretrained else "random"

    title = f"means of {len(times)} pictures, {given.threads} threads"
    table = Table("", name, "mbt2018-mean", "ratio", title=title)
    for work, ratio in ratios.items():
        ours_s, theirs_s = mean[f"{work}_s"], mean[f"peer_{work}_s"]
        table.add_row(work, f"{ours_s:.3f} s", f"{theirs_s:.3f} s", f"{ratio:.3f}")
    table.add_row("bpp", f"{mean['rate_bpp']:.3f}", f"{mean['peer_rate_bpp']:.3f}", "")
    Console().print(table)
    if not given.pretrained:
        # Weights scaled to give 1.2 bpp in place of 0.17 changed its times by less than noise.
        print("mbt2018-mean has random weights: its rate means nothing, its times hardly differ")
    result = {
        "codec": name,
        "quality": given.quality,
        "weights_fingerprint": codec.weights.fingerprint.hex(),
        "peer": f"compressai mbt2018-mean, quality {PEER_QUALITY}, {weights} weights",
        "rounds": given.rounds,
        "machine": machine(),
        "ratios": ratios,
        "means": mean,
        "pictures": [asdict(each) for each in times],
    }
    keep(result, out)
    return 0 if all(ratios[work] <= limit for work, limit in LIMITS.items()) else 1


if __name__ == "__main__":
    sys.exit(main())
