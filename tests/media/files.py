"""Files that tests read: as Pillow writes them, and such as it does not write."""

import struct
import zlib
from io import BytesIO

import numpy as np
from PIL import Image
from PIL.PngImagePlugin import putchunk

SGI_DIMENSIONS = {1: 2, 3: 3, 4: 3}  # by channels
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


def deep_sgi(values: np.ndarray, *, run_length: bool = False) -> bytes:
    """An SGI file of 16 bits a sample, by hand; (H, W, C) uint16, W at most 127."""
    height, width, channels = values.shape
    shape = SGI_DIMENSIONS[channels], width, height, channels
    header = struct.pack(">hBB4H", 474, run_length, 2, *shape).ljust(512, b"\0")
    lines = [
        row.astype(">u2").tobytes() for row in np.moveaxis(values[::-1], 2, 0).reshape(-1, width)
    ]
    if not run_length:
        return header + b"".join(lines)
    literal = struct.pack(">H", 0x80 | width)
    lines = [literal + line + b"\0\0" for line in lines]
    count, size = len(lines), len(lines[0])
    offsets = [512 + 8 * count + size * at for at in range(count)]
    tables = struct.pack(f">{2 * count}I", *offsets, *[size] * count)
    return header + tables + b"".join(lines)


def grey_tiff(values: np.ndarray, *, bits: int, black: int) -> bytes:
    """A TIFF of one strip, by hand; (H, W) uint16, `black` 1 or, where that is white, 0."""
    height, width = values.shape
    if bits == 16:
        strip = values.astype("<u2").tobytes()
    else:
        each = np.unpackbits(values.astype(">u2").view(np.uint8)).reshape(height, width, 16)
        strip = np.packbits(each[:, :, 16 - bits :].reshape(height, -1), axis=1).tobytes()
    tags = {256: width, 257: height, 258: bits, 259: 1, 262: black, 277: 1, 278: height}
    tags |= {273: 8 + 2 + 12 * 9 + 4, 279: len(strip)}
    entries = b"".join(struct.pack("<HHII", tag, 4, 1, tags[tag]) for tag in sorted(tags))
    return b"II*\0\x08\0\0\0" + struct.pack("<H", len(tags)) + entries + bytes(4) + strip
