"""What the transforms cost and how far they see, as docs/transforms.md shows it.

    python benchmarks/transforms.py

Parameters of analysis and synthesis together; thousands of multiply-accumulate operations per
pixel of a Kodak picture, without hyperprior and context; how many pixels each way a tile needs
around it, if that is finite.
"""

import sys
from pathlib import Path

from corelic.codecs.base import TransformSpec
from corelic.codecs.registry import find_spec
from corelic.codecs.transforms.lcam import LcamSpec
from corelic.codecs.transforms.residual import ResidualSpec
from corelic.codecs.transforms.swin import SwinSpec
from corelic.eval.complexity import SIZE_PX, transform_cost

PAGE = Path(__file__).parents[1] / "docs" / "transforms.md"
CHANNELS, LATENT_CHANNELS = 192, 320  # of ELIC and of S2LIC, and swift's
SPECS: dict[str, TransformSpec] = {
    "depthwise, as in `swift`": find_spec("swift").transform,
    "residual, as large as ELIC's": ResidualSpec(CHANNELS, LATENT_CHANNELS, blocks=3),
    "LCAM, windows of a tile's side": LcamSpec(
        CHANNELS,
        LATENT_CHANNELS,
        blocks=3,
        modules=(2, 2, 2),
        windows=(8, 4, 2),
        stretch=2,
        head_channels=32,
        shift=True,
    ),
    "LCAM, long windows": LcamSpec(
        CHANNELS,
        LATENT_CHANNELS,
        blocks=3,
        modules=(2, 2, 2),
        windows=(8, 8, 8),
        stretch=4,
        head_channels=32,
        shift=True,
    ),
    "Swin, as large as S2LIC's": SwinSpec(
        CHANNELS,
        LATENT_CHANNELS,
        dense_channels=64,
        depths=(1, 2, 3),
        heads=(4, 8, 16),
        window=8,
    ),
}


def table() -> str:
    """In Markdown."""
    lines = [
        "| transform | parameters | kMAC/pixel to analyse | to synthesise "
        "| analysis sees | synthesis sees |",
        "|---|---|---|---|---|---|",
    ]
    for name, spec in SPECS.items():
        cost = transform_cost(spec, SIZE_PX)
        halos_px = spec.analysis_halo_px, spec.synthesis_halo_px
        sees = ["the whole picture" if halo is None else f"{halo} px" for halo in halos_px]
        lines.append(
            f"| {name} | {cost.parameters / 1e6:.2f} M | {cost.analysis.kmac_per_pixel:.1f} "
            f"| {cost.synthesis.kmac_per_pixel:.1f} | {sees[0]} | {sees[1]} |"
        )
    return "\n".join(lines)


def main() -> int:
    print(table())
    return 0


if __name__ == "__main__":
    sys.exit(main())
