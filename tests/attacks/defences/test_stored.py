from pathlib import Path

import numpy as np
import pytest

from corelic.attacks.constraints import Linf
from corelic.attacks.defences.stored import CLEAN, read_pairs, store_attacks
from corelic.attacks.errors import AttackError
from corelic.attacks.objectives import Rate
from corelic.attacks.optimisers import fgsm
from corelic.attacks.pixels import clip_of
from corelic.media import read_picture
from tests.attacks.toys import linear, photos

CROPS = photos(shape=(5, 3, 16, 24))
ATTACKS = [
    fgsm(linear(seed), objective=Rate(), constraint=Linf(level / 255))
    for seed, level in ((0, 4), (1, 9))
]


def test_crops_are_attacked_in_turn_and_kept_in_pairs(tmp_path: Path) -> None:
    told: list[tuple[int, int]] = []
    made = store_attacks(CROPS, ATTACKS, tmp_path, together=2, progress=lambda *at: told.append(at))
    assert made == 5 and told == [(2, 5), (4, 5), (5, 5)]
    pairs = read_pairs(tmp_path)
    assert pairs.clean.equal(clip_of(CROPS))
    changes = (pairs.attacked - pairs.clean).abs().amax(dim=(1, 2, 3)) * 255
    assert changes.round().tolist() == [4, 4, 9, 9, 4]
    alone = ATTACKS[1](CROPS[2:4]).pictures[1]
    assert np.array_equal(read_picture(tmp_path / "00003.png").pixels, alone.pixels)


def test_it_goes_on_where_it_was_stopped(tmp_path: Path) -> None:
    store_attacks(CROPS[:2], ATTACKS, tmp_path, together=2)
    kept = (tmp_path / "00001.png").stat().st_mtime_ns
    (tmp_path / CLEAN / "00000.png").stat()
    assert store_attacks(CROPS, ATTACKS, tmp_path, together=2) == 3
    assert (tmp_path / "00001.png").stat().st_mtime_ns == kept
    assert store_attacks(CROPS, ATTACKS, tmp_path, together=2) == 0


def test_there_must_be_something_to_store(tmp_path: Path) -> None:
    for crops, attacks in (([], ATTACKS), (CROPS, [])):
        with pytest.raises(AttackError, match="some of both"):
            store_attacks(crops, attacks, tmp_path)
    with pytest.raises(AttackError, match="no stored attacks"):
        read_pairs(tmp_path)
