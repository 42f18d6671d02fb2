"""corelic compare"""

import math
from pathlib import Path
from typing import Annotated

import numpy as np
from typer import Argument, Option

import corelic
from corelic.cli import options
from corelic.cli.show import print_json
from corelic.disk import read_file
from corelic.errors import CorelicError, PictureError
from corelic.media import Picture


def compare(
    reference: Annotated[Path, Argument(help="The original picture.")],
    distorted: Annotated[Path, Argument(help="What became of it.")],
    codec: Annotated[
        str | None,
        Option(help="Path of weights that are not shipped, or the classical codec of DISTORTED."),
    ] = None,
    max_pixels: options.MaxPixels = corelic.MAX_PIXELS,
    as_json: options.Json = False,
) -> None:
    """Measure how far one picture is from another: PSNR and MS-SSIM, over 8-bit samples.

    Colours that the reference hides under an alpha of 0 do not count, but in MS-SSIM, where they
    count as equal. Alpha has a PSNR of its own, where one of the two has any; the other is opaque.

    \b
    Examples:
      corelic compare photo.png decoded.png
      corelic compare photo.png decoded.png --json
      corelic compare photo.png photo.clc --codec my-model.safetensors
    """
    from corelic.eval.metrics import ms_ssim, psnr_db

    # The original is not in a classical codec's own format; it may be a .clc file.
    weights = None if codec is None or corelic.native_suffix(codec) else codec
    one = _read(reference, weights, max_pixels).in_8_bits()
    other = _read(distorted, codec, max_pixels).in_8_bits()
    if one.pixels.shape != other.pixels.shape:
        raise PictureError(
            str(distorted),
            f"is {other.width_px} × {other.height_px} {other.colour} where {reference} is "
            f"{one.width_px} × {one.height_px} {one.colour}; compare pictures of one kind and size",
        )
    alpha = None
    if one.alpha is not None or other.alpha is not None:
        opaque = np.full(one.pixels.shape[:2], 255, np.uint8)
        alpha = psnr_db(*(opaque if each.alpha is None else each.alpha for each in (one, other)))
    seen = np.ones(one.pixels.shape[:2], np.bool_) if one.alpha is None else one.alpha != 0
    visible = (one.pixels[None, seen], other.pixels[None, seen])
    psnr = psnr_db(*visible) if seen.any() else math.inf
    other.pixels[~seen] = one.pixels[~seen]
    similarity = ms_ssim(one.pixels, other.pixels)
    if as_json:
        print_json({"psnr_db": psnr, "ms_ssim": similarity, "alpha_psnr_db": alpha})
        return
    print(f"PSNR     {psnr:.2f} dB")
    if alpha is not None:
        print(f"alpha    {alpha:.2f} dB")
    if similarity is None:
        print("MS-SSIM  none, for a side has less than 161 pixels")
    else:
        print(f"MS-SSIM  {similarity:.4f}")


def _read(path: Path, codec: str | None, max_pixels: int) -> Picture:
    from corelic.codecs.within import read_within

    try:
        if codec is not None:  # weights do no harm to a file of another kind
            return corelic.decode_picture(path, codec=codec, max_pixels=max_pixels)
        return read_within(read_file(path), str(path), max_pixels=max_pixels)
    except CorelicError as error:
        # Of two files, one wants to know which.
        if str(path) in str(error):
            raise
        raise PictureError(str(path), str(error)) from error
