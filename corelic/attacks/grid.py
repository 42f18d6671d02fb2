"""A grid of attacks: pictures × codecs × qualities × defences × attacks, from files on disk.

    pictures ─► Assault, each ─► store ─► robustness.json      every row, real files
                                     ├──► attacked/*.png       what was measured
                                     └──► index.html           see `page`

Every defended codec is attacked twice: by an attacker who knows the codec alone, and by one who
knows the defence, too. A folder of results is also where a run goes on: finished assaults are in
its `cells/`. What fails is named, and the rest goes on.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
from base64 import b64decode, b64encode
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass, replace
from functools import lru_cache
from itertools import product
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray
from pydantic import ConfigDict

import corelic
from corelic.attacks import spelling
from corelic.attacks.attack import Attack, AttackResult
from corelic.attacks.defences.named import check_clean, defend
from corelic.attacks.defences.shown import check_not_shown, shown_files, shown_pictures
from corelic.attacks.errors import AttackError
from corelic.attacks.evaluation.controls import equal_noise
from corelic.attacks.evaluation.damage import CleanSide, Row, joined
from corelic.attacks.evaluation.figures import to_json
from corelic.attacks.evaluation.written import reread
from corelic.attacks.findings import AMPLIFIED, NONE, Finding, Knows, Outcome, Plan, Point
from corelic.attacks.modifiers import Expectation, Modifier
from corelic.attacks.page import page
from corelic.attacks.pixels import as_rgb
from corelic.attacks.victim import Victim, victim_of
from corelic.codecs.files import memory_for
from corelic.codecs.peers import PEERS
from corelic.console import as_text, printable
from corelic.disk import atomic_write, read_file
from corelic.errors import CorelicError, PictureError, UnknownCodecError
from corelic.eval.bench import NO_FILES, NoPicturesError, PictureFile, inventory, reader
from corelic.eval.engines import Engine, Progress, Serial, finish, silent
from corelic.eval.machine import machine
from corelic.eval.results import make_ours, slug
from corelic.eval.store import Store
from corelic.eval.tasks import Task, lossless_webp, opened, same_codec, subject_of
from corelic.eval.threads import torch_threads
from corelic.jobs import Failure
from corelic.media import Picture, read_picture

ATTACKS = 4  # one more whenever an attack or a defence computes something else


@dataclass(frozen=True, slots=True)
class Assaulted:
    """One attack on one picture.

    rows    as `Finding` has them, of one picture
    png     the attacked picture, in base64: what was measured
    panels  as `Finding` has them; none for pictures that are not shown
    """

    __pydantic_config__: ClassVar[ConfigDict] = ConfigDict(ser_json_inf_nan="constants")

    rows: tuple[Row, ...]
    png: str
    panels: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Assault(Task):
    """One attack on one picture: a point of the grid.

    clean         files of the pictures that the defence is shown
    clean_digest  of what is in them
    attacker      this package and its version, whose attacks these are
    others        digest of all files that defence and objective name; version of the control
    """

    result: ClassVar[type] = Assaulted
    point: Point
    control: str
    steps: int
    queries: int
    draws: int
    seed: int
    side_px: int | None
    clean: tuple[str, ...]
    clean_digest: str
    attacker: str
    others: tuple[str, str]
    shown: bool

    def run(self, data: bytes) -> Assaulted:
        whole = read_picture(data, name=self.subject.picture)
        with memory_for(whole.width_px, whole.height_px):
            return self.on(whole)

    def on(self, whole: Picture) -> Assaulted:
        side_px = self.side_px
        picture = as_rgb(whole if side_px is None else whole.middle(side_px, side_px))
        codec, control = same_codec(self.subject), PEERS[self.control]
        point = self.point
        if named_files(point.defence, point.objective) != self.others[0]:
            reason = "names a file that has changed since the run began; run it again"
            raise AttackError(str(point), reason)
        with torch_threads(1):  # the same figures whatever the engine
            plain = victim_of(codec, point.quality)
            victim = plain
            if point.defence != NONE:
                others = _shown(self.clean, self.clean_digest)
                check_not_shown(as_rgb(whole), [Path(path) for path in self.clean], others)
                victim = defend(plain, point.defence, others)
            attack = self.made(victim if point.knows == "all" else plain)
            result, png = reread(attack([picture]))
            noise = equal_noise(attack)([picture])
            sides = [CleanSide(victim, [picture], [self.subject.picture])]
            if point.defence == NONE:
                sides.append(sides[0].beside(control))
            rows = tuple(side.row(one) for side in sides for one in (result, noise))
            panels = _panels(sides[0], result) if self.shown else ()
        return Assaulted(rows, b64encode(png).decode(), panels)

    @property
    def title(self) -> str:
        return f"{self.subject.picture}, {self.point}"

    def made(self, victim: Victim) -> Attack:
        point = self.point
        blind = point.attack.partition(":")[0] in spelling.BLIND
        modifiers: list[Modifier] = []
        if victim.stochastic and not blind:
            modifiers.append(Expectation(self.draws))
        return spelling.attack(
            point.attack,
            victim,
            objective=spelling.objective(point.objective),
            constraint=spelling.constraint(point.constraint),
            modifiers=modifiers,
            steps=self.steps,
            queries=self.queries,
            seed=self.seed,
        )


def run(
    plan: Plan,
    sources: Sequence[Path],
    out: Path,
    *,
    engine: Engine | None = None,
    progress: Progress = silent,
) -> Outcome:
    """Does what is not done yet, then writes all results into `out`.

    Raises CorelicError for what no picture can help: a misspelt part, a missing package.
    """
    asked = plan
    check_clean(plan.defences, plan.clean)
    plan = replace(plan, clean=shown_files(plan.clean))
    unfit = check(plan)
    pictures, failures = inventory(sources)
    failures += [Failure(f"{codec} behind {defence}", e) for (codec, defence), e in unfit.items()]
    if not pictures:
        raise NoPicturesError("; ".join(map(str, failures)) or NO_FILES)
    make_ours(out, "attacked", "robustness.json", "index.html")
    store = Store(out / "cells")
    everything = assaults_of(plan, pictures)
    assaults = [one for one in everything if (one.point.codec, one.point.defence) not in unfit]
    engine = engine or Serial()
    found, failed = finish(assaults, store, engine, reader(pictures), progress)
    failures += [Failure(one.task.title, one.error) for one in failed if one.error is not None]
    outcome = Outcome(asked, _findings(assaults, found), tuple(failures))
    _write(out, outcome, found)
    return outcome


@lru_cache(maxsize=1)
def _shown(files: tuple[str, ...], digest: str) -> list[Picture]:
    """Once for all points of a run; PictureError where they are others by now."""
    found = shown_pictures([Path(path) for path in files])
    if _digest_of(found) != digest:
        reason = "have changed since the run began; run it again"
        raise PictureError("the clean pictures", reason)
    return found


def _digest_of(pictures: Sequence[Picture]) -> str:
    digest = hashlib.sha256()
    for picture in pictures:
        digest.update(picture.pixels.tobytes())
    return digest.hexdigest()[:16]


def check(plan: Plan) -> dict[tuple[str, str], CorelicError]:
    """By codec and defence why the two do not go together, where they do not.

    AttackError, UnknownCodecError, … where a part is misspelt, or a defence goes with no codec.
    """
    if plan.control not in PEERS:
        raise UnknownCodecError(plan.control, tuple(PEERS))
    objectives = [spelling.objective(text) for text in plan.objectives]
    constraints = [spelling.constraint(text) for text in plan.constraints]
    clean = shown_pictures(plan.clean)
    victims = {
        codec: victim_of(opened(codec, plan.device), plan.qualities[0]) for codec in plan.codecs
    }
    for victim, attack in product(victims.values(), plan.attacks):
        spelling.attack(attack, victim, objective=objectives[0], constraint=constraints[0])
    unfit: dict[tuple[str, str], CorelicError] = {}
    for defence in plan.defences:
        for codec, victim in victims.items():
            try:
                defend(victim, defence, clean)
            except CorelicError as error:
                unfit[codec, defence] = error
        if all((codec, defence) in unfit for codec in victims):
            raise unfit[plan.codecs[0], defence]
    return unfit


def assaults_of(plan: Plan, pictures: Sequence[PictureFile]) -> Iterator[Assault]:
    """One picture after the other, and all codecs by turns."""
    clean_digest = _digest_of(shown_pictures(plan.clean))
    control = PEERS[plan.control].facts.version
    defences = NONE, *plan.defences
    named = {pair: named_files(*pair) for pair in product(defences, plan.objectives)}
    attacker = f"corelic {corelic.__version__}, attacks {ATTACKS}"
    for number, picture in enumerate(pictures):
        for constraint, objective, attack, defence, quality in product(
            plan.constraints, plan.objectives, plan.attacks, defences, plan.qualities
        ):
            for codec in plan.codecs:
                for knows in _attackers(defence):
                    yield Assault(
                        subject=subject_of(codec, plan.device, picture.name, picture.digest),
                        point=Point(
                            *(codec, quality, defence, knows),
                            *(attack, objective, constraint),
                        ),
                        control=plan.control,
                        steps=plan.steps,
                        queries=plan.queries,
                        draws=plan.draws,
                        seed=plan.seed,
                        side_px=plan.side_px,
                        clean=tuple(map(str, plan.clean)),
                        clean_digest=clean_digest,
                        attacker=attacker,
                        others=(named[defence, objective], control),
                        shown=number < plan.sample,
                    )


def named_files(defence: str, objective: str) -> str:
    """Digest of the files that are in the names of both."""
    return _digest_of_files(re.split("[:+]", defence)) + _digest_of_files(objective.split(":"))


def _digest_of_files(pieces: Sequence[str]) -> str:
    """Of the files in what a part is made of, as in `weights=FILE` or `task=FILE`; else nothing."""
    digest = hashlib.sha256()
    paths = [Path(piece.partition("=")[2]) for piece in pieces]
    files = [path for path in paths if os.path.isfile(path)]
    for path in files:
        digest.update(read_file(path))
    return digest.hexdigest()[:16] if files else ""


def _attackers(defence: str) -> tuple[Knows, ...]:
    return ("all",) if defence == NONE else ("codec", "all")


def _panels(side: CleanSide, result: AttackResult) -> tuple[str, ...]:
    (clean,), (attacked,) = side.pictures, result.pictures
    decoded, decoded_attacked = side.coded[0].picture, side.code(attacked, clean).picture
    rows = ((clean, attacked), (decoded, decoded_attacked))
    return tuple(
        lossless_webp(pixels)
        for one, other in rows
        for pixels in (one.pixels, other.pixels, amplified(one.pixels, other.pixels))
    )


def amplified(clean: NDArray[np.uint8], attacked: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """The difference, times AMPLIFIED, around mid-grey."""
    change = attacked.astype(int) - clean
    return np.clip(128 + AMPLIFIED * change, 0, 255).astype(np.uint8)


def _findings(assaults: Sequence[Assault], found: dict[Assault, Assaulted]) -> tuple[Finding, ...]:
    by_point: dict[Point, list[Assault]] = {}
    for assault in assaults:
        if assault in found:
            by_point.setdefault(assault.point, []).append(assault)
    return tuple(
        Finding(
            point,
            tuple(map(joined, zip(*(found[one].rows for one in of_point), strict=True))),
            tuple(
                (one.subject.picture, found[one].panels) for one in of_point if found[one].panels
            ),
        )
        for point, of_point in by_point.items()
    )


def _write(out: Path, outcome: Outcome, found: dict[Assault, Assaulted]) -> None:
    (out / "attacked").mkdir(exist_ok=True)
    files: dict[Point, dict[str, str]] = {}
    for assault, one in found.items():
        name = f"{slug(Path(assault.subject.picture).stem)}-{assault.key[-16:]}.png"
        files.setdefault(assault.point, {})[assault.subject.picture] = name
        atomic_write(out / "attacked" / name, b64decode(one.png), overwrite=True)
    content: dict[str, Any] = {
        "plan": asdict(outcome.plan) | {"clean": list(map(as_text, outcome.plan.clean))},
        "machine": machine(outcome.plan.device),
        "findings": [
            asdict(finding.point)
            | {"attacked": files[finding.point], "rows": list(map(to_json, finding.rows))}
            for finding in outcome.findings
        ],
        "failures": [printable(str(failure)) for failure in outcome.failures],
    }
    # Names of files, of codecs and targets, may hold what no text does.
    files_of_run = {
        "robustness.json": json.dumps(content, indent=1, ensure_ascii=False) + "\n",
        "index.html": page(outcome),
    }
    for name, text in files_of_run.items():
        atomic_write(out / name, text.encode(errors="backslashreplace"), overwrite=True)
