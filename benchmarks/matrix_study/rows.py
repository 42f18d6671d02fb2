"""What is measured of a context on a transform, and how it is shown."""

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from statistics import fmean

from corelic.eval.rate_distortion import Curve, CurveError, Point, bd_rate

BASELINE = "hyperprior_only"


@dataclass(frozen=True, slots=True)
class Row:
    """One context on one transform, trained once.

    points    (quality, bits per pixel of files, PSNR in dB), means over pictures
    encode_s  per megapixel, as decode_s: median over pictures and qualities
    """

    transform: str
    context: str
    seed: int
    context_parameters: int
    context_kmac_per_pixel: float
    passes: int
    loss: float
    points: tuple[tuple[float, float, float], ...]
    encode_s: float
    decode_s: float

    @property
    def curve(self) -> Curve:
        name = f"{self.transform}, {self.context}, seed {self.seed}"
        return Curve(name, tuple(Point(rate_bpp, db) for _, rate_bpp, db in self.points))


def table(rows: list[Row]) -> Iterable[str]:
    """Markdown: a context a line, bits at equal distortion against no context."""
    names = "transform", "context", "bits at equal PSNR", "parameters", "kMAC/pixel", "passes"
    yield f"| {' | '.join((*names, 'encode', 'decode'))} |"
    yield "|---|---|---|---|---|---|---|---|"
    for transform, context in dict.fromkeys((row.transform, row.context) for row in rows):
        own = [row for row in rows if (row.transform, row.context) == (transform, context)]
        first = own[0]
        yield (
            f"| {transform} | {context} | {against_baseline(own, rows)} | "
            f"{first.context_parameters / 1e6:.2f} M | {first.context_kmac_per_pixel:.1f} | "
            f"{first.passes} | {fmean(row.encode_s for row in own):.2f} s | "
            f"{fmean(row.decode_s for row in own):.2f} s |"
        )


def conditions(options: dict[str, str]) -> str:
    """In words, of the run whose `options` these are."""
    middle = "" if options["centre"] == "None" else f"the middle {options['centre']}² of "
    count = "the" if options["limit"] == "None" else f"the first {options['limit']}"
    if options["frozen"] == "None":
        transforms = f"{options['channels']} latent channels. Transforms had "
        transforms += f"{options['transform_steps']} steps"
    else:
        transforms = f"Transforms are those of {options['frozen']}, as published"
    return (
        f"{transforms}; contexts had {options['steps']} steps of {options['batch']} crops of "
        f"{options['crop']}². Files are of {middle}{count} pictures in "
        f"`{Path(options['pictures']).name}`; "
        "times are per megapixel, with what a file costs whatever its size."
    )


def without_places(options: dict[str, str]) -> dict[str, str]:
    """As others may read them: sets have names, and where they are is this machine's business."""
    known = {
        name: text for name, text in options.items() if name not in ("work", "out", "page", "show")
    }
    return known | {name: Path(known[name]).name for name in ("data", "pictures")}


def against_baseline(own: list[Row], rows: list[Row]) -> str:
    if own[0].context == BASELINE:
        return "0"
    found = []
    for row in own:
        for other in rows:
            if (other.transform, other.context, other.seed) == (row.transform, BASELINE, row.seed):
                try:
                    found.append(bd_rate(other.curve, row.curve).percent)
                except CurveError as error:
                    return str(error)
    return " / ".join(f"{percent:+.1f} %" for percent in found)
