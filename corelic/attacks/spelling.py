"""Parts of an attack as text, for the command line and for grids.

    "linf=8"                      ─► Linf(8 / 255)
    "two-branch:psnr=38:linf=16"  ─► TwoBranch(10 ** -3.8, 16 / 255)
    "momentum=0.9"                ─► Momentum(0.9)
    "sampled=swift@20+swift@80:count=1"

A part is a name, perhaps a value, and parameters; what it does not know is an AttackError that says
what it knows.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from difflib import get_close_matches
from pathlib import Path
from typing import Literal, TypedDict, TypeVar, get_args

from corelic.attacks.attack import Attack
from corelic.attacks.classifier import Architecture, Classifier, load_classifier, shipped_classifier
from corelic.attacks.constraints import Constraint, HighBand, Linf, MeanSquare, TwoBranch
from corelic.attacks.errors import AttackError
from corelic.attacks.modifiers import (
    Diverse,
    Ensemble,
    Expectation,
    Modifier,
    Momentum,
    Nesterov,
    Sampled,
    Scales,
    Smooth,
    VarianceTuning,
)
from corelic.attacks.objectives import (
    Distortion,
    Frobenius,
    LowBandPenalty,
    Objective,
    Rate,
    RateDistortion,
    Targeted,
    TaskLoss,
)
from corelic.attacks.optimisers import (
    APGD,
    PGD,
    SPSA,
    Adam,
    CarliniWagner,
    Genetic,
    Noise,
    RandomSearch,
    Square,
    fgsm,
)
from corelic.attacks.pixels import PEAK, clip_of
from corelic.attacks.victim import Victim, victim_of
from corelic.codecs.api import open_image_codec
from corelic.media import read_picture

Part = TypeVar("Part")


@dataclass(frozen=True, slots=True)
class Spelt:
    """One part. "linf=8" has the value "8"; parameters follow it, each after a colon.

    kind  as errors call it
    """

    kind: str
    name: str
    value: str | None
    parameters: Mapping[str, str]

    @classmethod
    def of(cls, kind: str, text: str) -> Spelt:
        pieces = text.split(":")
        # A codec may have parameters of its own, as in avif:speed=6@50: they end with a quality.
        last = max((place for place, piece in enumerate(pieces) if "@" in piece), default=0)
        head, rest = ":".join(pieces[: last + 1]), pieces[last + 1 :]
        name, separator, value = head.partition("=")
        pairs = [part.partition("=") for part in rest]
        given = {key: text for key, _, text in pairs}
        return cls(kind, name, value if separator else None, given)

    def number(self, key: str | None, default: float | None = None) -> float:
        """The value, or a parameter; AttackError where it is no number, or missing without need."""
        text = self.value if key is None else self.parameters.get(key)
        if text is None and default is not None:
            return default
        try:
            found = float(text or "")
            if not math.isfinite(found):
                raise ValueError(text)
            return found
        except ValueError as error:
            what = f"{self.name}=NUMBER" if key is None else f"{self.name}:{key}=NUMBER"
            reason = "needs a number" if text is None else f"has {text!r} where a number belongs"
            raise AttackError(f"{self.kind} {self.name}", f"{reason}, as in {what}") from error

    def whole(self, key: str | None, default: int | None = None) -> int:
        found = self.number(key, default)
        if not found.is_integer():
            reason = f"has {found:g} where a whole number belongs"
            raise AttackError(f"{self.kind} {self.name}", reason)
        return int(found)

    def text(self, what: str) -> str:
        """The value; AttackError where there is none."""
        if not self.value:
            raise AttackError(
                f"{self.kind} {self.name}", f"needs {what}, as in {self.name}={what.upper()}"
            )
        return self.value

    def known(self, *parameters: str, valued: bool) -> Spelt:
        """Itself; AttackError where it has a parameter of another name, or a value for nothing."""
        if self.value is not None and not valued:
            reason = f"takes no value; leave ={self.value} out"
            raise AttackError(f"{self.kind} {self.name}", reason)
        for key in self.parameters:
            if key not in parameters:
                allowed = ", ".join(parameters) or "none"
                reason = f"has no {key!r}; its parameters: {allowed}"
                raise AttackError(f"{self.kind} {self.name}", reason)
        return self


class _Parts(TypedDict):
    objective: Objective
    constraint: Constraint
    seed: int


class _GradientParts(_Parts):
    steps: int
    modifiers: Sequence[Modifier]


class _Asking(_Parts):
    queries: int


def objective(text: str) -> Objective:
    """`distortion`, `source`, `frobenius`, `rate`, `joint`, `targeted=PICTURE`, `task=residual`;
    `:low-band=WEIGHT` punishes low frequencies of the perturbation."""
    spelt = Spelt.of("the objective", text)
    found = _made(spelt, OBJECTIVES)
    weight = spelt.number("low-band", 0.0)
    return LowBandPenalty(found, weight) if weight else found


def constraint(text: str) -> Constraint:
    """`linf=8` (of 255), `psnr=40` (dB), `two-branch:psnr=38:linf=16`; `:high=0.25` keeps to
    frequencies from there on, in cycles per pixel."""
    spelt = Spelt.of("the constraint", text)
    found = _made(spelt, CONSTRAINTS)
    cutoff = spelt.number("high", 0.0)
    return HighBand(found, cutoff) if cutoff else found


def modifier(text: str) -> Modifier:
    """`momentum=0.9`, `nesterov`, `diverse`, `smooth`, `scales`, `variance`, `eot=8`,
    `ensemble=swift@20+jpeg@50`, `sampled=…:count=2:by=saliency`."""
    return _made(Spelt.of("the modifier", text), MODIFIERS)


def attack(
    text: str,
    victim: Victim,
    *,
    objective: Objective,
    constraint: Constraint,
    modifiers: Sequence[Modifier] = (),
    steps: int = 40,
    queries: int = 2000,
    seed: int = 0,
) -> Attack:
    """`pgd`, `ifgsm`, `fgsm`, `apgd`, `adam`, `cw:goal=100`; `square`, `spsa`, `genetic`, `random`,
    which ask real files; `noise`."""
    spelt = Spelt.of("the attack", text)
    spelt.known(*(["goal"] if spelt.name == "cw" else []), valued=False)
    if modifiers and spelt.name in BLIND:
        raise AttackError(
            f"the attack {spelt.name}", "climbs no gradient, so it takes no modifier; leave it out"
        )
    parts = _Parts(objective=objective, constraint=constraint, seed=seed)
    climbing = _GradientParts(**parts, steps=steps, modifiers=tuple(modifiers))
    asking = _Asking(**parts, queries=queries)
    makers: dict[str, Callable[[], Attack]] = {
        "pgd": lambda: PGD(victim, **climbing),
        "ifgsm": lambda: PGD(victim, random_start=False, **climbing),
        "fgsm": lambda: fgsm(victim, modifiers=tuple(modifiers), **parts),
        "apgd": lambda: APGD(victim, **climbing),
        "adam": lambda: Adam(victim, **climbing),
        "cw": lambda: CarliniWagner(victim, goal=spelt.number("goal"), **climbing),
        "square": lambda: Square(victim, **asking),
        "spsa": lambda: SPSA(victim, **asking),
        "genetic": lambda: Genetic(victim, **asking),
        "random": lambda: RandomSearch(victim, **asking),
        "noise": lambda: Noise(victim, **parts),
    }
    return _find(spelt, makers)()


BLIND = ("square", "spsa", "genetic", "random", "noise")

Maker = Callable[[Spelt], Part]

OBJECTIVES: dict[str, Maker[Objective]] = {
    "distortion": lambda given: Distortion(),
    "source": lambda given: Distortion("source"),
    "frobenius": lambda given: Frobenius(),
    "rate": lambda given: Rate(),
    "joint": lambda given: RateDistortion(given.number("rate", 1), given.number("distortion", 1)),
    "targeted": lambda given: Targeted(clip_of([read_picture(given.text("picture"))])[0]),
    "task": lambda given: TaskLoss(classifier(given.text("weights"))),
}

CONSTRAINTS: dict[str, Maker[Constraint]] = {
    "linf": lambda given: Linf(given.number(None) / PEAK),
    "psnr": lambda given: MeanSquare.of_psnr(given.number(None)),
    "two-branch": lambda given: TwoBranch(
        MeanSquare.of_psnr(given.number("psnr")).mse, given.number("linf") / PEAK
    ),
}

MODIFIERS: dict[str, Maker[Modifier]] = {
    "momentum": lambda given: Momentum(given.number(None, 1.0)),
    "nesterov": lambda given: Nesterov(given.number(None, 1.0)),
    "diverse": lambda given: Diverse(given.number(None, 0.5)),
    "smooth": lambda given: Smooth(given.whole(None, 7)),
    "scales": lambda given: Scales(given.whole(None, 5)),
    "variance": lambda given: VarianceTuning(given.whole(None, 5)),
    "eot": lambda given: Expectation(given.whole(None, 8)),
    "ensemble": lambda given: Ensemble(victims(given.text("codec@quality"))),
    "sampled": lambda given: Sampled(
        victims(given.text("codec@quality")),
        count=given.whole("count", 2),
        by=_way(given.parameters.get("by", "saliency")),
    ),
}

PARAMETERS = {
    "joint": ("rate", "distortion"),
    "two-branch": ("psnr", "linf"),
    "sampled": ("count", "by"),
}
# All modifiers, and of the others those that say how much, or of what.
VALUED = frozenset({*MODIFIERS, "targeted", "task", "linf", "psnr"})
COMMON = {"the objective": ("low-band",), "the constraint": ("high",)}


def victims(text: str) -> tuple[Victim, ...]:
    """`swift@20+avif:speed=6@50`; AttackError where a quality is missing."""
    found = []
    for part in text.split("+"):
        codec, separator, quality = part.rpartition("@")
        if not separator or not quality.replace(".", "", 1).isdecimal():
            raise AttackError(f"the victim {part!r}", "has no quality; give one, as in swift@50")
        found.append(victim_of(open_image_codec(codec, "cpu"), float(quality)))
    return tuple(found)


def classifier(text: str) -> Classifier:
    """`residual` and `plain` are those that come with us; anything else is a weights file."""
    shipped: tuple[Architecture, ...] = get_args(Architecture)
    for architecture in shipped:
        if text == architecture:
            return shipped_classifier(architecture)
    return load_classifier(Path(text))


def _way(text: str) -> Literal["saliency", "uniform"]:
    if text == "saliency":
        return "saliency"
    if text == "uniform":
        return "uniform"
    raise AttackError("sampling", f"is by {text!r}; give saliency or uniform")


def _made(spelt: Spelt, table: dict[str, Maker[Part]]) -> Part:
    make = _find(spelt, table)
    parameters = *PARAMETERS.get(spelt.name, ()), *COMMON.get(spelt.kind, ())
    spelt.known(*parameters, valued=spelt.name in VALUED)
    return make(spelt)


def _find(spelt: Spelt, table: Mapping[str, Part]) -> Part:
    if spelt.name not in table:
        close = get_close_matches(spelt.name, table, n=1)
        hint = f"did you mean {close[0]!r}?" if close else f"choose from {', '.join(table)}"
        raise AttackError(f"{spelt.kind} {spelt.name!r}", f"is not known; {hint}")
    return table[spelt.name]
