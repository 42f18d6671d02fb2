"""Defences by name, for the command line and for grids: `median`, `jpeg:quality=50`, `median+jpeg`.

    "median+jpeg:quality=50" ─► Median(), Recompression(50) ─► the victim behind both, median first

Adversarial fine-tuning has no name here: it gives weights, and they are named like any codec's.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from difflib import get_close_matches
from pathlib import Path

from corelic.attacks.defences.base import Defence, defended
from corelic.attacks.defences.bit_depth import BitDepth
from corelic.attacks.defences.blur import Blur
from corelic.attacks.defences.geometry import RandomGeometry
from corelic.attacks.defences.irad import Irad, IradNet
from corelic.attacks.defences.latent_clipping import LatentClipping
from corelic.attacks.defences.learning import load_network
from corelic.attacks.defences.median import Median
from corelic.attacks.defences.mosaic import Mosaic
from corelic.attacks.defences.purifier import Purifier, PurifierNet
from corelic.attacks.defences.recompression import Recompression
from corelic.attacks.defences.self_ensemble import SelfEnsemble
from corelic.attacks.defences.shifts import ShiftResampling
from corelic.attacks.defences.two_way import TwoWay
from corelic.attacks.defences.worth import lambda_of_victim
from corelic.attacks.errors import AttackError
from corelic.attacks.victim import Victim
from corelic.media import Picture

Given = dict[str, str]
SHIPPED = "shipped"  # of weights: those that come with us, of benchmarks/harden.py
FOLDER = Path(__file__).parents[1] / "weights"
Make = Callable[[Victim, Sequence[Picture], Given], Defence]


@dataclass(frozen=True, slots=True)
class Named:
    """parameters  by name, with what each is when it is not given
    make        from the victim, clean pictures, and the parameters as text
    measures    whether it may look at the clean pictures"""

    summary: str
    make: Make
    parameters: Given = field(default_factory=dict)
    measures: bool = False


DEFENCES: dict[str, Named] = {
    "jpeg": Named(
        "JPEG 4:2:0 before the codec",
        lambda victim, clean, given: Recompression(float(given["quality"])),
        {"quality": "75"},
    ),
    "bit-depth": Named(
        "fewer levels per sample",
        lambda victim, clean, given: BitDepth(int(given["bits"])),
        {"bits": "5"},
    ),
    "blur": Named(
        "Gaussian low pass",
        lambda victim, clean, given: Blur(float(given["sigma"])),
        {"sigma": "0.7"},
    ),
    "median": Named(
        "median of the neighbourhood",
        lambda victim, clean, given: Median(int(given["side"])),
        {"side": "3"},
    ),
    "random-geometry": Named(
        "random resize and margins, undone behind the decoder",
        lambda victim, clean, given: RandomGeometry(float(given["scale"]), int(given["margin"])),
        {"scale": "1.1", "margin": "15"},
    ),
    "shifts": Named(
        "resampling at random sub-pixel shifts",
        lambda victim, clean, given: ShiftResampling(float(given["px"])),
        {"px": "0.5"},
    ),
    "fixed-shifts": Named(
        "resampling at sub-pixel shifts that are always the same",
        lambda victim, clean, given: ShiftResampling(float(given["px"]), drawn_anew=False),
        {"px": "0.5"},
    ),
    "mosaic": Named(
        "Bayer mosaic and back",
        lambda victim, clean, given: Mosaic(None),
    ),
    "noisy-mosaic": Named(
        "Bayer mosaic with shot noise, and back",
        lambda victim, clean, given: Mosaic(float(given["photons"])),
        {"photons": "10000"},
    ),
    "two-way": Named(
        "plain or random geometry, whichever costs less",
        lambda victim, clean, given: TwoWay(lambda_of_victim(victim, clean)),
        measures=True,
    ),
    "self-ensemble": Named(
        "the cheapest of four flips",
        lambda victim, clean, given: SelfEnsemble(lambda_of_victim(victim, clean)),
        measures=True,
    ),
    "latent-clipping": Named(
        "latents within the range of clean pictures; learned codecs only, innermost",
        lambda victim, clean, given: LatentClipping.observed(victim, clean),
        measures=True,
    ),
    "purifier": Named(
        "a trained denoiser (CDD-RED)",
        lambda victim, clean, given: Purifier(
            load_network(PurifierNet, _weights("purifier", given["weights"]))
        ),
        {"weights": SHIPPED},
    ),
    "irad": Named(
        "learned resampling (IRAD)",
        lambda victim, clean, given: Irad(
            load_network(IradNet, _weights("irad", given["weights"]))
        ),
        {"weights": SHIPPED},
    ),
}


def defend(victim: Victim, names: str, clean: Sequence[Picture] = ()) -> Victim:
    """The victim behind the defences that `names` lists, joined by "+"; the first is met first.

    clean  pictures that nobody attacked, for those that measure before they work

    AttackError for an unknown name or parameter, or a value that it cannot have.
    """
    return defended(victim, *(_named(name, victim, clean) for name in names.split("+")))


def check_clean(defences: Sequence[str], clean: Sequence[Path]) -> None:
    """AttackError where clean pictures are given, and no defence looks at them."""
    asked = {part.partition(":")[0] for names in defences for part in names.split("+")}
    measuring = [name for name, named in DEFENCES.items() if named.measures]
    if clean and not asked.intersection(measuring):
        reason = f"are for {', '.join(measuring)}, and no such defence is asked for"
        raise AttackError("the clean pictures", f"{reason}; leave --clean out")


def _weights(name: str, given: str) -> Path:
    return FOLDER / f"{name}.safetensors" if given == SHIPPED else Path(given)


def _named(name: str, victim: Victim, clean: Sequence[Picture]) -> Defence:
    base, *pairs = name.split(":")
    found = DEFENCES.get(base)
    if found is None:
        close = get_close_matches(base, DEFENCES, n=1)
        hint = f"did you mean {close[0]!r}?" if close else f"choose from {', '.join(DEFENCES)}"
        raise AttackError(f"the defence {base!r}", f"is not known; {hint}")
    given = dict(found.parameters)
    for pair in pairs:
        key, _, value = pair.partition("=")
        if key not in given:
            allowed = ", ".join(given) or "none"
            raise AttackError(f"the defence {base!r}", f"has no {key!r}; its parameters: {allowed}")
        given[key] = value
    for key, value in given.items():
        if not value:
            raise AttackError(f"the defence {base!r}", f"needs a value, as in {base}:{key}=VALUE")
    try:
        return found.make(victim, clean, given)
    except ValueError as error:
        if isinstance(error, AttackError):
            raise
        raise AttackError(f"the defence {name!r}", f"cannot be made of that ({error})") from error
