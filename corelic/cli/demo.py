"""corelic demo"""

from dataclasses import asdict, dataclass
from pathlib import Path
from time import perf_counter
from typing import Annotated

from PIL import Image, ImageDraw, ImageFont
from rich.console import Console
from rich.table import Table
from typer import Argument, Option

import corelic
from corelic.cli import options
from corelic.cli.show import print_json
from corelic.disk import atomic_write
from corelic.errors import PictureError
from corelic.media import Picture, read_picture, write_image

QUALITIES = (20, 50, 80)
SHOWN = 50  # the quality of the files that are left


@dataclass(frozen=True, slots=True)
class Figures:
    quality: float
    file_bytes: int
    rate_bpp: float
    psnr_db: float
    ms_ssim: float | None  # None where the picture is too small for it
    encode_s: float
    decode_s: float


def demo(
    picture: Annotated[
        Path | None, Argument(help="A picture of yours; default: one of scikit-image.")
    ] = None,
    output: Annotated[Path, Option("--output", "-o", help="Folder for what it makes.")] = Path(),
    device: options.Device = "auto",
    overwrite: options.Overwrite = False,
    as_json: options.Json = False,
) -> None:
    """Encode and decode one picture at three qualities, and show what came of it.

    Leaves demo.clc, demo-decoded.png and demo-side-by-side.png.

    \b
    Examples:
      corelic demo
      corelic demo photo.jpg -o results --overwrite
    """
    from corelic.eval.metrics import ms_ssim, psnr_db

    # What it shows is colour: that of any picture, in the 8 bits that its figures are about.
    original = Picture(read_picture(picture).in_8_bits().pixels) if picture else _astronaut()
    output.mkdir(parents=True, exist_ok=True)
    load_s = _load(device)
    figures = []
    for quality in QUALITIES:
        start = perf_counter()
        data = corelic.encode(original, quality=quality, device=device)
        middle = perf_counter()
        image = corelic.decode(data, device=device)
        end = perf_counter()
        decoded = Picture.from_image(image)
        found = Figures(
            quality=quality,
            file_bytes=len(data),
            rate_bpp=corelic.info(data).rate_bpp,
            psnr_db=psnr_db(original.pixels, decoded.pixels),
            ms_ssim=ms_ssim(original.pixels, decoded.pixels),
            encode_s=middle - start,
            decode_s=end - middle,
        )
        figures.append(found)
        if quality == SHOWN:
            labels = f"original, {original.pixels.nbytes:,} bytes", f"decoded, {len(data):,} bytes"
            pair = _side_by_side(original.to_image(), image, labels)
            atomic_write(output / "demo.clc", data, overwrite=overwrite)
            write_image(image, output / "demo-decoded.png", overwrite=overwrite)
            write_image(pair, output / "demo-side-by-side.png", overwrite=overwrite)
    if as_json:
        print_json([asdict(found) for found in figures])
        return
    title = f"{original.width_px} × {original.height_px} pixels; loading took {load_s:.1f} s"
    Console().print(_table(figures, title))
    print(f"At quality {SHOWN}, in {output.resolve()}:")
    print("demo.clc, demo-decoded.png, demo-side-by-side.png")


def _astronaut() -> Picture:
    try:
        from skimage import data
    except ImportError:
        reason = "none was given, and scikit-image, which has one, is not installed"
        raise PictureError("picture", f"{reason}; run corelic demo photo.jpg") from None
    return Picture(data.astronaut())  # type: ignore[no-untyped-call]  # theirs to annotate


def _load(device: options.Device) -> float:
    """Seconds to import and to load the codec, paid once here so that no figure includes it."""
    start = perf_counter()
    corelic.decode(corelic.encode(Image.new("RGB", (64, 64)), device=device), device=device)
    return perf_counter() - start


def _side_by_side(
    left: Image.Image, right: Image.Image, labels: tuple[str, str], strip_px: int = 28
) -> Image.Image:
    both = Image.new("RGB", (left.width + right.width, left.height + strip_px), "white")
    for x_px, image, label in zip((0, left.width), (left, right), labels, strict=True):
        both.paste(image, (x_px, strip_px))
        font = ImageFont.load_default(size=16)
        ImageDraw.Draw(both).text((x_px + 6, 4), label, fill="black", font=font)
    return both


def _table(figures: list[Figures], title: str) -> Table:
    table = Table("quality", "bytes", "bpp", "PSNR", "MS-SSIM", "encode", "decode", title=title)
    for column in table.columns:
        column.justify = "right"
    for found in figures:
        table.add_row(
            f"{found.quality:g}",
            f"{found.file_bytes:,}",
            f"{found.rate_bpp:.3f}",
            f"{found.psnr_db:.2f} dB",
            "none" if found.ms_ssim is None else f"{found.ms_ssim:.4f}",
            f"{found.encode_s:.2f} s",
            f"{found.decode_s:.2f} s",
        )
    return table
