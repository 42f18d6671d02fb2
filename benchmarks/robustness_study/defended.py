"""Must show 5: every defence with and without an adaptive attacker, and its price."""

from __future__ import annotations

from functools import cache, partial
from itertools import islice
from typing import Any

import numpy as np

from corelic.attacks.attack import AttackResult
from corelic.attacks.constraints import Linf
from corelic.attacks.defences.named import DEFENCES, defend
from corelic.attacks.evaluation.controls import equal_noise
from corelic.attacks.evaluation.figures import from_json, to_json
from corelic.attacks.modifiers import Expectation, Modifier
from corelic.attacks.objectives import Distortion
from corelic.attacks.optimisers import PGD
from corelic.attacks.victim import Victim
from corelic.media import Picture
from corelic.training.data import read_pictures
from robustness_study.study import SEED, Cell, Study, db, markdown

DRAWS = 3  # of EOT
STRANGERS, STRANGERS_PX = 12, 512  # enough that latents have been nearly everywhere
NONE, FINE_TUNED = "none", "fine-tuned"
FINE_TUNED_CELL = f"defences/{FINE_TUNED}"


def names(study: Study) -> list[str]:
    found = [NONE, *DEFENCES]
    if study.hardened or study.measured(FINE_TUNED_CELL):
        found.append(FINE_TUNED)
    return found


def behind(study: Study, name: str, plain: Victim) -> Victim:
    if name == NONE:
        return plain
    if name == FINE_TUNED:
        if study.hardened is None:
            raise SystemExit("error: give --hardened the weights that were fine-tuned")
        return study.victim(str(study.hardened), study.middle_quality)
    return defend(plain, name, strangers(study))


def run(study: Study, name: str) -> dict[str, Any]:
    crops = study.crops
    plain = study.victim(study.codecs[0], study.middle_quality)
    victim = behind(study, name, plain)
    modifiers: list[Modifier] = [Expectation(DRAWS)] if victim.stochastic else []
    adaptive = PGD(victim, **common(study), modifiers=modifiers)
    side, plain_side = study.side(victim, crops), study.side(plain, crops)
    noise = equal_noise(adaptive)(crops)
    unchanged = plain_side.row(noise).damages  # for clean bytes and PSNR without a defence
    return {
        "blind": to_json(side.row(blind(study, tuple(crops)))),
        "adaptive": to_json(side.row(adaptive(crops))),
        "noise": to_json(side.row(noise)),
        "plain_bytes": [damage.clean_bytes for damage in unchanged],
        "plain_psnr_db": [damage.clean_psnr_db for damage in unchanged],
        "eot": victim.stochastic,
    }


@cache
def blind(study: Study, crops: tuple[Picture, ...]) -> AttackResult:
    """Of an attacker who knows the codec alone: the same for all defences."""
    return PGD(study.victim(study.codecs[0], study.middle_quality), **common(study))(crops)


def common(study: Study) -> dict[str, Any]:
    return {
        "objective": Distortion(),
        "constraint": Linf(8 / 255),
        "steps": study.size.short_steps,
        "seed": SEED,
    }


def strangers(study: Study) -> list[Picture]:
    """Training photographs, for defences that look at clean pictures before they work."""
    pictures = islice(read_pictures(study.data / "photos"), STRANGERS)
    return [Picture(np.asarray(image)).middle(STRANGERS_PX, STRANGERS_PX) for _, image in pictures]


def cells(study: Study) -> list[Cell]:
    return [Cell(f"defences/{name}", partial(run, study, name)) for name in names(study)]


def page(study: Study) -> str:
    lines = []
    for name in names(study):
        found = study.measured(f"defences/{name}")
        if found is None:
            continue
        blind, adaptive, noise = (from_json(found[key]) for key in ("blind", "adaptive", "noise"))
        clean = adaptive.damages
        pairs = zip(clean, found["plain_bytes"], found["plain_psnr_db"], strict=True)
        ratios, losses = zip(
            *((one.clean_bytes / size, psnr - one.clean_psnr_db) for one, size, psnr in pairs),
            strict=True,
        )
        lines.append(
            (
                name + (" (EOT)" if found["eot"] else ""),
                db(noise.output_psnr_db),
                db(blind.output_psnr_db),
                f"**{db(adaptive.output_psnr_db)}**",
                db(adaptive.source_loss_db),
                f"{adaptive.bytes_ratio:.2f}",
                f"{100 * (sum(ratios) / len(ratios) - 1):+.1f} %",
                f"{sum(losses) / len(losses):.2f}",
            )
        )
    header = (
        *("defence", "noise: output", "blind: output", "adaptive: output"),
        *("adaptive: lost", "adaptive: bytes", "clean: bytes", "clean: PSNR lost"),
    )
    text = [
        "## Defences\n",
        f"{study.codecs[0]} at {study.middle_quality}, {study.size.crops} crops, distortion, "
        f"ε 8/255, PGD-{study.size.short_steps}. The blind attacker does not know of the defence "
        "and attacks the codec; the adaptive one goes through it (BPDA where it has no gradient, "
        f"EOT over {DRAWS} draws where it draws lots). *Output* is the PSNR between what the "
        "defended codec makes of the attacked and of the clean picture: higher is more robust. "
        "The last two columns are what the defence costs when nobody attacks; a defence that "
        "blurs looks robust and has paid for it there. Where a row is that of none, the defence "
        "was never used: on such crops the other of two ways always costs more, as random "
        f"geometry alone shows. Latent clipping has its ranges from {STRANGERS} training "
        "photographs. The networks of purifier and irad ship; they learned from attacks on the "
        "codec that `benchmarks/harden.py` stored, and so did the weights of the row fine-tuned, "
        "by `recipes/swift-hardened.yaml` (docs/defences.md): there the adaptive attacker has "
        "their gradients, and the blind one those of the codec that ships.\n",
        markdown(header, lines),
    ]
    return "\n".join(text)
