"""Must show 7: what composition costs, against the same loop written directly in PyTorch."""

from __future__ import annotations

from functools import partial
from statistics import median
from time import process_time
from typing import Any

import torch
from torch import Tensor

from corelic.attacks.constraints import Linf
from corelic.attacks.objectives import Distortion
from corelic.attacks.optimisers import PGD
from corelic.attacks.optimisers.pgd import STRIDE
from corelic.attacks.pixels import clip_of
from corelic.attacks.victim import LearnedVictim
from robustness_study.study import SEED, Cell, Study

ROUNDS = 3
EPSILON = 8 / 255


def direct(victim: LearnedVictim, clean: Tensor, steps: int) -> Tensor:
    """PGD on the float twin, as one would write it in a script."""
    quality = torch.full((len(clean),), victim.quality)
    random = torch.Generator().manual_seed(SEED)
    with torch.no_grad():
        wanted = victim.twin(clean, quality).x_hat.clamp(0, 1)
    x = clean + EPSILON * (torch.rand(clean.shape, generator=random) * 2 - 1)
    x = x.clamp(0, 1)
    for _ in range(steps):
        x = x.detach().requires_grad_()
        error = (victim.twin(x, quality).x_hat.clamp(0, 1) - wanted).square().mean()
        error.backward()
        assert x.grad is not None
        with torch.no_grad():
            x = x + STRIDE * EPSILON * x.grad.sign()
            x = (clean + (x - clean).clamp(-EPSILON, EPSILON)).clamp(0, 1)
    return x


def run(study: Study) -> dict[str, Any]:
    victim = study.victim(study.codecs[0], study.middle_quality)
    assert isinstance(victim, LearnedVictim)
    attack = PGD(
        victim,
        objective=Distortion(),
        constraint=Linf(EPSILON),
        steps=study.size.steps,
        seed=SEED,
    )
    crops = study.crops[:1]
    clean = clip_of(crops)
    times: dict[str, list[float]] = {"ours_s": [], "direct_s": []}
    for _ in range(ROUNDS + 1):  # the first one warms up
        for name, call in (
            ("ours_s", partial(attack, crops)),
            ("direct_s", partial(direct, victim, clean, study.size.steps)),
        ):
            start = process_time()
            call()
            times[name].append(process_time() - start)
    ratios = [a / b for a, b in zip(times["ours_s"][1:], times["direct_s"][1:], strict=True)]
    return {**times, "steps": study.size.steps, "ratio": median(ratios)}


def cells(study: Study) -> list[Cell]:
    return [Cell("overhead", partial(run, study))]


def page(study: Study) -> str:
    found = study.measured("overhead")
    if found is None:
        return ""
    ours, direct_s = (min(found[key][1:]) for key in ("ours_s", "direct_s"))
    return (
        "## Overhead\n\n"
        f"PGD-{found['steps']} on one crop of {study.size.crop_px} px, {study.codecs[0]} at "
        f"{study.middle_quality}: {ours:.2f} s of processor time, the same loop written directly "
        f"in PyTorch {direct_s:.2f} s (the least of {ROUNDS} each); ratio of paired rounds, "
        f"median: **{found['ratio']:.2f} ×**. Ours also rounds, checks the constraint, and scores "
        "both ends.\n"
    )
