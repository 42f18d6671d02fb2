import hashlib
from pathlib import Path

import pytest
import torch
from PIL import Image

from corelic.attacks.constraints import Linf
from corelic.attacks.defences.base import Defended
from corelic.attacks.defences.irad import IradNet
from corelic.attacks.defences.learning import save_network
from corelic.attacks.defences.named import DEFENCES, FOLDER, defend
from corelic.attacks.defences.purifier import PurifierNet
from corelic.attacks.defences.self_ensemble import SelfEnsemble
from corelic.attacks.defences.two_way import TwoWay
from corelic.attacks.defences.worth import lambda_of_victim
from corelic.attacks.errors import AttackError
from corelic.attacks.objectives import Distortion
from corelic.attacks.optimisers import PGD
from corelic.attacks.pixels import clip_of, pictures_of
from corelic.attacks.victim import ClassicalVictim, LearnedVictim
from corelic.codecs.classical import Jpeg
from corelic.media import Picture
from tests.attacks.defences.conftest import Transparent
from tests.tiny import TINY, crops

CLEAN = pictures_of(crops(1, 2, 64))


@pytest.fixture
def networks(tmp_path: Path) -> Path:
    save_network(PurifierNet(), tmp_path / "purifier.safetensors")
    save_network(IradNet(), tmp_path / "irad.safetensors")
    return tmp_path


@pytest.mark.parametrize("name", DEFENCES)
def test_every_name_is_a_defence_that_works(name: str, tiny: LearnedVictim, networks: Path) -> None:
    trained = "weights" in DEFENCES[name].parameters
    full = f"{name}:weights={networks / name}.safetensors" if trained else name
    victim = defend(tiny, full, CLEAN)
    coded = victim.code(CLEAN[0])
    assert coded.file_bytes > 0
    assert coded.picture.pixels.shape == CLEAN[0].pixels.shape


@pytest.mark.parametrize("name", ["purifier", "irad"])
def test_trained_networks_come_with_us(name: str, tiny: LearnedVictim) -> None:
    x = clip_of(CLEAN[:1])
    found = defend(tiny, name).forward(x, torch.Generator()).x_hat
    # Not the identity that an untrained one is, and not far from it on what nobody attacked.
    moved = (found - tiny.forward(x, torch.Generator()).x_hat).abs().mean()
    assert 1e-5 < moved < 0.1


@pytest.mark.parametrize("name", ["purifier", "irad"])
def test_trained_networks_are_those_of_their_card(name: str) -> None:
    card = (FOLDER / "defences.md").read_text()
    data = (FOLDER / f"{name}.safetensors").read_bytes()
    digest = hashlib.sha256(data).hexdigest()[:16]
    assert f"| `{name}` | {len(data):,} bytes | `{digest}…` |" in card


@pytest.mark.parametrize("name", ["purifier", "irad"])
def test_trained_networks_take_some_of_an_attack_away(name: str, photo: Image.Image) -> None:
    """As their card says: on swift-3, L∞ 8/255; on a picture of which they know nothing."""
    victim = LearnedVictim("swift-3", quality=50)
    clean = [Picture.from_image(photo.crop((64, 32, 192, 160)))]
    [attacked] = PGD(victim, objective=Distortion(), constraint=Linf(8 / 255), steps=5)(
        clean
    ).pictures
    defence = defend(victim, name).defence
    random = torch.Generator().manual_seed(0)
    x, other = clip_of(clean), clip_of([attacked])
    with torch.no_grad():
        cleaned, kept = (defence.clean(each, random) for each in (other, x))
    spent = (other - x).square().mean()
    assert (cleaned - x).square().mean() < 0.95 * spent
    assert (kept - x).square().mean() < 0.3 * spent


@pytest.mark.parametrize(
    "name", [name for name, one in DEFENCES.items() if "weights" not in one.parameters]
)
def test_all_chance_of_a_defence_is_given_to_it(name: str, tiny: LearnedVictim) -> None:
    victim, x = defend(tiny, name, CLEAN), clip_of(CLEAN[:1])
    found = []
    for seed in (1, 2):
        torch.manual_seed(seed)
        state = torch.get_rng_state()
        random = torch.Generator().manual_seed(7)
        found.append((victim.forward(x, random).x_hat, clip_of([victim.code(CLEAN[0]).picture])))
        assert torch.equal(torch.get_rng_state(), state)
    assert all(torch.equal(*pair) for pair in zip(*found, strict=True))


@pytest.mark.parametrize(
    ("name", "title"),
    [
        ("jpeg:quality=40", "tiny-1 at 50 behind JPEG 4:2:0 at 40"),
        ("bit-depth:bits=4", "tiny-1 at 50 behind 4 bits"),
        ("blur:sigma=1.5", "tiny-1 at 50 behind blur σ 1.5"),
        ("median:side=5", "tiny-1 at 50 behind median 5 × 5"),
        ("random-geometry:scale=1.2:margin=3", "tiny-1 at 50 behind random resize × 1.2, pad 3 px"),
        ("shifts:px=1", "tiny-1 at 50 behind random shifts of 1 px"),
        ("fixed-shifts:px=1", "tiny-1 at 50 behind fixed shifts of 1 px"),
        ("noisy-mosaic:photons=90", "tiny-1 at 50 behind mosaic with 90 photons"),
        ("median+bit-depth", "tiny-1 at 50 behind 5 bits behind median 3 × 3"),
    ],
)
def test_parameters_arrive(name: str, title: str, tiny: LearnedVictim) -> None:
    assert defend(tiny, name).title == title


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("medain", "did you mean 'median'"),
        ("firewall", "choose from jpeg"),
        ("jpeg:speed=1", "its parameters: quality"),
        ("mosaic:speed=1", "its parameters: none"),
        ("jpeg:quality", "needs a value"),
        ("purifier:weights=", "purifier:weights=VALUE"),
        ("bit-depth:bits=few", "cannot be made of that"),
        ("bit-depth:bits=12", "1 to 8 bits"),
        ("", "choose from"),
        ("median+", "choose from"),
    ],
)
def test_what_is_not_known_is_refused(name: str, said: str, tiny: LearnedVictim) -> None:
    with pytest.raises(AttackError, match=said):
        defend(tiny, name)


def test_the_worth_of_a_bit_is_the_codecs_own(tiny: LearnedVictim) -> None:
    middle = (TINY.lambda_min * TINY.lambda_max) ** 0.5
    assert abs(lambda_of_victim(tiny, ()) / middle - 1) < 1e-5
    guarded = defend(tiny, "median+two-way+blur", CLEAN)
    assert abs(lambda_of_victim(guarded, ()) / middle - 1) < 1e-5
    for name, kind in (("two-way", TwoWay), ("self-ensemble", SelfEnsemble)):
        found = defend(tiny, name)
        assert isinstance(found, Defended) and isinstance(found.defence, kind)
        assert abs(found.defence.lambda_ / middle - 1) < 1e-5


def test_the_worth_of_a_bit_to_jpeg_is_a_slope() -> None:
    # The better the quality, the less error is left for a bit to take away.
    coarse, fine = (lambda_of_victim(ClassicalVictim(Jpeg(), at), CLEAN) for at in (30, 80))
    assert 0.0005 < coarse < fine < 0.5
    with pytest.raises(AttackError, match="was shown none"):
        lambda_of_victim(ClassicalVictim(Jpeg(), 30), ())
    with pytest.raises(AttackError, match="has no λ"):
        lambda_of_victim(Transparent(), CLEAN)


def test_flat_pictures_have_no_slope() -> None:
    flat = pictures_of(torch.full((1, 3, 16, 16), 0.5))
    with pytest.raises(AttackError, match="trade"):
        lambda_of_victim(ClassicalVictim(Jpeg(), 50), flat)
