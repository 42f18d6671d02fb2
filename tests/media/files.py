"""Files that tests read: as Pillow writes them, and such as it does not write."""

import struct
import zlib
from io import BytesIO

import numpy as np
from PIL import Image
from PIL.PngImagePlugin import putchunk

COLOUR_TYPES = {1: 0, 2: 4, 3: 2, 4: 6}  # of PNG, by channels


def file_bytes(image: Image.Image, format: str = "PNG", **options: object) -> bytes:
    file = BytesIO()
    image.save(file, format, **options)
    return file.getvalue()


def deep_png(values: np.ndarray, transparent: np.ndarray | None = None) -> bytes:
    """A PNG of 16 bits a sample, by hand; (H, W, C) uint16, and (C,) of the clear colour."""
    height, width, channels = values.shape
    header = struct.pack(">IIBBBBB", width, height, 16, COLOUR_TYPES[channels], 0, 0, 0)
    rows = b"".join(b"\0" + row.astype(">u2").tobytes() for row in values)
    file = BytesIO(b"\x89PNG\r\n\x1a\n")
    file.seek(8)
    putchunk(file, b"IHDR", header)
    if transparent is not None:
        putchunk(file, b"tRNS", transparent.astype(">u2").tobytes())
    putchunk(file, b"IDAT", zlib.compress(rows))
    putchunk(file, b"IEND")
    return file.getvalue()
