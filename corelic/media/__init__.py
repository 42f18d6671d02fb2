"""Pictures, in and out: what a camera, a scanner or a designer made, and what is done with it.

    file, bytes or PIL.Image ─► reading ─► Picture ─► writing ─► file bytes or PIL.Image
                                 │   └ deep: 16 bits in colour, through PyAV ┘
                                 └ metadata: upright, ICC, EXIF, XMP

`docs/pictures.md` says for each kind of picture what is kept and what is lost.
"""

from corelic.media.picture import Colour, Picture, Samples
from corelic.media.reading import read_picture
from corelic.media.writing import image_bytes, picture_bytes, write_image

__all__ = [
    "Colour",
    "Picture",
    "Samples",
    "image_bytes",
    "picture_bytes",
    "read_picture",
    "write_image",
]
