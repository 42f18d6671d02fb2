"""Clean pictures that a defender has: photographs of its own, never the ones that are attacked.

Latent clipping, for one, keeps latents to the range that they have on clean pictures. Shown the
clean version of the very picture that is attacked, it would only have to put things back.
"""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from corelic.attacks.errors import AttackError
from corelic.attacks.pixels import as_rgb
from corelic.errors import PictureWarning
from corelic.eval.bench import inventory
from corelic.media import Picture, read_picture


def shown_files(sources: Sequence[Path]) -> tuple[Path, ...]:
    """Files that are named, and all pictures in folders; PictureWarning of what is none there.

    PictureError where a file that is named is no picture.
    """
    pictures, failures = inventory(sources)
    for failure in failures:
        if Path(failure.name) in sources:
            raise failure.error
        warnings.warn(f"{failure}; it is not shown to the defence", PictureWarning, stacklevel=2)
    return tuple(picture.path for picture in pictures)


def shown_pictures(files: Sequence[Path]) -> list[Picture]:
    """As 8-bit RGB; AttackError where one has transparency."""
    found = []
    for path in files:
        picture = read_picture(path)
        if picture.alpha is not None:
            raise AttackError(str(path), "has transparency; show the defence photographs without")
        found.append(as_rgb(picture))
    return found


def check_not_shown(attacked: Picture, files: Sequence[Path], pictures: Sequence[Picture]) -> None:
    """AttackError where `attacked` (RGB, 8 bits, before the attack) is one of them."""
    for path, picture in zip(files, pictures, strict=True):
        if np.array_equal(picture.pixels, attacked.pixels):
            reason = f"is shown {path}, which is attacked; a defender does not have that one"
            raise AttackError("the defence", f"{reason}, so show it other photographs")
