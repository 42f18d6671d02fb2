"""Clean pictures that a defender has: photographs of its own, never the ones that are attacked.

Latent clipping, for one, keeps latents to the range that they have on clean pictures. Shown the
clean version of the very picture that is attacked, it would only have to put things back.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from corelic.attacks.errors import AttackError
from corelic.attacks.pixels import clip_of, pictures_of
from corelic.media import Picture, read_picture


def shown_pictures(sources: Sequence[Path], attacked: Picture | None = None) -> list[Picture]:
    """The pictures of files, and of all files in folders, as 8-bit RGB; sorted within a folder.

    AttackError where `attacked` (RGB, 8 bits, before the attack) is one of them.
    """
    found = []
    for source in sources:
        for path in sorted(source.iterdir()) if source.is_dir() else [source]:
            (picture,) = pictures_of(clip_of([read_picture(path)]))
            if attacked is not None and np.array_equal(picture.pixels, attacked.pixels):
                reason = f"is shown {path}, which is attacked; a defender does not have that one"
                raise AttackError("the defence", f"{reason}, so show it other photographs")
            found.append(picture)
    return found
