"""Attacks made once and kept: what adversarial fine-tuning and purifiers learn from.

    crops ─ in turn ─► attacks on several codecs and qualities ─► 00000.png, 00001.png, …
                                                       clean ones ─► clean/00000.png, …

Transfer attacks (PubDef, see `training.attacked`): they are made on codecs that stay as they are,
so they can be made beforehand, and a codec learns from attacks on others. A folder goes to
`corelic train --attacked`, and `read_pairs` reads it for networks that undo attacks.
"""

from __future__ import annotations

import io
from collections.abc import Callable, Sequence
from pathlib import Path

from corelic.attacks.attack import Attack
from corelic.attacks.defences.learning import Pairs
from corelic.attacks.errors import AttackError
from corelic.attacks.pixels import clip_of
from corelic.disk import atomic_write, make_folder
from corelic.media import Picture, read_picture

CLEAN = "clean"  # of a folder of attacks: what each was before, under the same name

Progress = Callable[[int, int], None]  # crops done, of how many


def store_attacks(
    crops: Sequence[Picture],
    attacks: Sequence[Attack],
    folder: Path,
    *,
    together: int = 8,
    progress: Progress = lambda done, total: None,
) -> int:
    """Attacks crops of one size, each by the next attack in turn; how many were made anew.

    together  so many crops are one clip, for speed; they do not know of each other
    Goes on where it was stopped: what is in the folder stays.
    """
    if not crops or not attacks:
        raise AttackError("the store", "was given no crops or no attacks; give some of both")
    make_folder(folder / CLEAN)
    made = 0
    for place, first in enumerate(range(0, len(crops), together)):
        part = crops[first : first + together]
        names = [f"{first + number:05}.png" for number in range(len(part))]
        if not all((folder / name).exists() for name in names):
            result = attacks[place % len(attacks)](part)
            made += len(part)
            for name, before, after in zip(names, result.clean, result.pictures, strict=True):
                # The attack last: where it is, its clean one is.
                atomic_write(folder / CLEAN / name, _png(before), overwrite=True)
                atomic_write(folder / name, _png(after), overwrite=True)
        progress(first + len(part), len(crops))
    return made


def read_pairs(folder: Path) -> Pairs:
    """All that `store_attacks` left there; AttackError where there is nothing."""
    names = sorted(path.name for path in folder.glob("*.png"))
    if not names:
        raise AttackError(str(folder), "holds no stored attacks; make some with store_attacks")
    clean = clip_of([read_picture(folder / CLEAN / name) for name in names])
    return Pairs(clean, clip_of([read_picture(folder / name) for name in names]))


def _png(picture: Picture) -> bytes:
    file = io.BytesIO()
    picture.to_image().save(file, "PNG")
    return file.getvalue()
