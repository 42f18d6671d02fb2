"""Attacks against closed forms: on a linear codec the worst clip is known."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cache
from itertools import pairwise

import numpy as np
import pytest
import torch
import torch.nn.functional as F

from corelic.attacks.attack import Attack
from corelic.attacks.constraints import Constraint, Linf, MeanSquare, TwoBranch
from corelic.attacks.modifiers import Modifier, Momentum, Nesterov, Scales
from corelic.attacks.objectives import Distortion, Objective, Rate
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
from corelic.attacks.pixels import clip_of, levels
from tests.attacks.toys import SHAPE, Constant, Linear, grey, linear, photos, weights

CUBE = Linf(8 / 255)
SAMPLES = SHAPE[1] * SHAPE[2] * SHAPE[3]
CLIMBERS = {
    "pgd": PGD(linear(), objective=Rate(), constraint=CUBE),
    "i-fgsm": PGD(linear(), objective=Rate(), constraint=CUBE, random_start=False),
    "fgsm": fgsm(linear(), objective=Rate(), constraint=Linf(8 / 255)),
    "mi": PGD(linear(), objective=Rate(), constraint=CUBE, modifiers=[Momentum()]),
    "ni": PGD(linear(), objective=Rate(), constraint=CUBE, modifiers=[Nesterov()]),
    "apgd": APGD(linear(), objective=Rate(), constraint=CUBE, steps=20),
    "adam": Adam(linear(), objective=Rate(), constraint=CUBE, steps=40),
}
SEARCHERS = {
    "random": RandomSearch(linear(), objective=Rate(), constraint=CUBE, queries=30),
    "square": Square(linear(), objective=Rate(), constraint=CUBE, queries=30),
    "spsa": SPSA(linear(), objective=Rate(), constraint=CUBE, queries=30, pairs=4),
    "genetic": Genetic(linear(), objective=Rate(), constraint=CUBE, queries=30, population=8),
}
ALL = {
    **CLIMBERS,
    **SEARCHERS,
    "noise": Noise(linear(), objective=Rate(), constraint=CUBE),
    "cw": CarliniWagner(linear(), objective=Rate(), constraint=CUBE, goal=1.0, steps=4),
}


def by_name(attacks: dict[str, Attack]) -> pytest.MarkDecorator:
    return pytest.mark.parametrize("attack", attacks.values(), ids=attacks.keys())


def change(pictures: list, attacked: tuple) -> torch.Tensor:
    return levels(clip_of(attacked)) - levels(clip_of(pictures))


@by_name(CLIMBERS)
def test_the_largest_rate_in_a_cube_is_at_its_corner(attack: Attack) -> None:
    pictures = photos()
    result = attack(pictures)
    corner = 8 * weights().sign().long()
    # FGSM's one wide step from a random start may end up short of the corner by a quarter.
    if attack.name == "PGD-1":
        assert (change(pictures, result.pictures).sign() == corner.sign()).all()
    else:
        assert torch.equal(change(pictures, result.pictures), corner.expand(SHAPE))
    assert all(result.succeeded) and not any(result.flat)


@pytest.mark.parametrize("random_start", [True, False])
@pytest.mark.parametrize("modifiers", [[], [Momentum()]])
def test_the_largest_distortion_in_a_cube_is_at_a_corner(
    random_start: bool, modifiers: list
) -> None:
    """Even from the clean clip, where it has no gradient."""
    attack = PGD(
        linear(),
        objective=Distortion(),
        constraint=CUBE,
        random_start=random_start,
        modifiers=modifiers,
    )
    result = attack(grey())
    assert (change(grey(), result.pictures).abs() == 8).all()
    assert result.end == pytest.approx((64.0, 64.0))


@pytest.mark.parametrize("kind", [PGD, APGD])
def test_the_largest_distortion_in_a_ball_is_the_first_singular_vector(kind: type) -> None:
    """With strides of a radius, projected ascent is power iteration."""
    mix = torch.tensor([[1.0, 0.4, 0.0], [0.2, 0.5, 0.3], [0.0, 0.1, 0.7]])
    ball = MeanSquare((10 / 255) ** 2)
    attack = kind(Linear(mix, weights()), objective=Distortion(), constraint=ball, steps=60)
    if kind is PGD:
        attack = replace(attack, stride=ball.radius)
    result = attack(grey())
    spent = change(grey(), result.pictures).square().sum(dim=(1, 2, 3)) / SAMPLES
    assert (spent > 0.99 * 100).all()
    largest = torch.linalg.svdvals(mix)[0].item() ** 2
    # Rounding adds white noise of 1/12 of a squared level.
    assert result.end == pytest.approx((100 * largest,) * 2, rel=0.01)


def test_the_largest_rate_in_a_ball_is_along_the_gradient() -> None:
    radius = 20 / 255
    attack = PGD(linear(), objective=Rate(), constraint=MeanSquare(radius**2))
    result = attack(grey())
    best = radius * weights().square().mean().sqrt() * SAMPLES  # Cauchy–Schwarz
    gained = (result.end[0] - result.start[0]) * SHAPE[2] * SHAPE[3]
    assert gained == pytest.approx(best.item(), rel=0.01)


def test_carlini_wagner_finds_the_nearest_clip_that_reaches_the_goal() -> None:
    start = PGD(linear(), objective=Rate(), constraint=CUBE, steps=1)(grey()).start[0]
    pixels = SHAPE[2] * SHAPE[3]
    goal = start + 2
    attack = CarliniWagner(
        linear(), objective=Rate(), constraint=Linf(1), goal=goal, steps=60, searches=8
    )
    result = attack(grey())
    assert all(result.succeeded) and min(result.end) >= goal
    norm = weights().square().sum().sqrt()
    nearest = ((goal - start) * pixels / norm) * 255  # to a hyperplane, in levels
    found = change(grey(), result.pictures).float().square().sum(dim=(1, 2, 3)).sqrt()
    assert (found < 1.15 * nearest).all()


def test_carlini_wagner_says_so_where_the_goal_is_out_of_reach() -> None:
    attack = CarliniWagner(
        linear(), objective=Rate(), constraint=CUBE, goal=1e6, steps=5, searches=2
    )
    result = attack(grey())
    assert not any(result.succeeded)
    assert all(end > start for start, end in zip(result.start, result.end, strict=True))


@by_name({name: attack for name, attack in ALL.items() if name != "cw"})
def test_an_attack_on_a_constant_codec_reports_failure(attack: Attack) -> None:
    result = replace(attack, victim=Constant())(photos())
    assert not any(result.succeeded)
    assert all(result.flat) == (result.passes > 0)


@by_name(ALL)
def test_seeds_reproduce(attack: Attack) -> None:
    pictures = photos()
    one, other = attack(pictures), attack(pictures)
    same = [np.array_equal(*pair) for pair in pixels_of(one.pictures, other.pictures)]
    assert all(same)
    assert (one.start, one.end, one.passes) == (other.start, other.end, other.passes)


@by_name({**SEARCHERS, "noise": ALL["noise"], "pgd": replace(CLIMBERS["pgd"], steps=1)})
def test_other_seeds_do_something_else(attack: Attack) -> None:
    pictures = grey()
    one, other = attack(pictures), replace(attack, seed=1)(pictures)
    assert not all(np.array_equal(*pair) for pair in pixels_of(one.pictures, other.pictures))


def pixels_of(one: tuple, other: tuple) -> list:
    return [(a.pixels, b.pixels) for a, b in zip(one, other, strict=True)]


@by_name(ALL)
def test_no_attack_draws_from_the_global_generator(attack: Attack) -> None:
    torch.manual_seed(5)
    state = torch.get_rng_state()
    attack(photos())
    assert torch.equal(torch.get_rng_state(), state)


@by_name({name: CLIMBERS[name] for name in CLIMBERS if name != "fgsm"})  # whose start is its lots'
def test_frames_do_not_depend_on_each_other(attack: Attack) -> None:
    """A frame is attacked as hard beside another one as alone: budgets and steps are per frame."""
    both = attack(photos())
    for number, frame in enumerate(photos()):
        alone = attack([frame])
        gains = [result.end[at] - result.start[at] for result, at in ((both, number), (alone, 0))]
        assert gains[0] == pytest.approx(gains[1], rel=0.05)


@by_name(SEARCHERS)
def test_black_box_attacks_count_their_queries_and_keep_to_them(attack: Attack) -> None:
    asked = 0

    class Counted(Linear):
        def code(self, picture, draws=None):
            nonlocal asked
            asked += 1
            return super().code(picture, draws)

    result = replace(attack, victim=Counted(torch.eye(3), weights()))(grey())
    assert 25 <= result.queries <= 30 and result.passes == 0
    # Two frames each; besides, the clean clip as a reference, then both ends once more.
    assert asked == 2 * (result.queries + 3)


def test_random_search_keeps_the_best_of_its_draws() -> None:
    search = SEARCHERS["random"]
    best = [replace(search, queries=count)(grey()).end for count in (1, 5, 30)]
    for few, some, many in zip(*best, strict=True):  # of each frame
        assert few <= some <= many and few < many


@by_name({"random": SEARCHERS["random"], "square": SEARCHERS["square"]})
def test_frames_keep_what_was_best_for_them(attack: Attack) -> None:
    seen: list[float] = []

    class Told(Linear):
        def code(self, picture, draws=None):
            coded = super().code(picture, draws)
            seen.append(8 * coded.file_bytes)
            return coded

    pixels = SHAPE[2] * SHAPE[3]
    result = replace(attack, victim=Told(torch.eye(3), weights()))(grey())
    for frame, end in enumerate(result.end):
        assert end == pytest.approx(max(seen[frame::2]) / pixels)
    places = [int(np.argmax(seen[frame::2])) for frame in (0, 1)]
    assert places[0] != places[1]  # or one could have chosen for both


def test_square_spends_no_query_on_what_is_there_already() -> None:
    seen: list[np.ndarray] = []

    class Told(Constant):
        """Of which nothing is better than anything: the first clip stays the best."""

        def code(self, picture, draws=None):
            seen.append(picture.pixels)
            return super().code(picture, draws)

    # Squares of one pixel, of which each colour is one of two levels already.
    Square(Told(), objective=Rate(), constraint=CUBE, queries=100, area=1e-6)(grey())
    trials = [one for one in seen if not np.array_equal(one, grey()[0].pixels)]
    best, asked = trials[:2], trials[2:-2]  # two frames each; last comes the result
    assert len(asked) == 2 * 99
    assert not any(np.array_equal(one, best[place % 2]) for place, one in enumerate(asked))


@cache
def gain(name: str) -> float:
    """Over the clean clip, of a codec whose rate is as smooth as that of real ones, 250 queries."""
    smooth = F.interpolate(weights()[None, :, ::8, ::8], SHAPE[2:], mode="nearest")[0]
    victim = Linear(torch.eye(3), smooth)
    result = replace(SEARCHERS[name], victim=victim, queries=250)(grey(shape=(1, *SHAPE[1:])))
    return result.end[0] - result.start[0]


@pytest.mark.parametrize("name", ["square", "spsa", "genetic"])
def test_black_box_attacks_beat_random_search(name: str) -> None:
    assert gain(name) > 2 * gain("random") > 0


def test_a_seed_from_another_attack_helps_genetic_search() -> None:
    smooth = torch.ones(SHAPE[1:]) * weights()[:, :1, :1].sign()
    victim = Linear(torch.eye(3), smooth)
    seed = PGD(victim, objective=Rate(), constraint=CUBE)(grey()).pictures
    plain = Genetic(victim, objective=Rate(), constraint=CUBE, queries=20)
    seeded = replace(plain, seeds=seed)
    assert min(seeded(grey()).end) > max(plain(grey()).end)
    # All blocks agree here, so that the seed is the optimum itself.
    assert (change(grey(), seeded(grey()).pictures) == (8 * smooth.sign()).long()).all()


@pytest.mark.parametrize("name", ["pgd", "apgd", "adam", "cw"])
def test_gradients_pass_the_modifiers(name: str) -> None:
    plain = ALL[name]
    scaled = replace(plain, modifiers=[Scales(3)])
    assert scaled(grey()).passes == 3 * plain(grey()).passes


@dataclass(frozen=True)
class Wild(PGD):
    """Hands in white, whatever the budget."""

    def search(self, run):
        return torch.ones_like(run.clean)


@pytest.mark.parametrize("constraint", [CUBE, MeanSquare.of_psnr(40)], ids=["cube", "ball"])
def test_whatever_a_search_hands_in_is_held_to_the_set(constraint: Constraint) -> None:
    result = Wild(linear(), objective=Rate(), constraint=constraint)(photos())
    attacked, clean = (levels(clip_of(clip)) for clip in (result.pictures, photos()))
    assert constraint.holds(attacked, clean).all() and (attacked > clean).any()


class Backwards(Linf):
    """A set that wants another gradient than the objective's: its opposite."""

    def steer(self, gradient, x, clean):
        return -gradient


@pytest.mark.parametrize("name", ["pgd", "apgd", "adam", "spsa"])
def test_gradients_are_steered_by_the_set(name: str) -> None:
    plain = ALL[name]
    steered = replace(plain, constraint=Backwards(8 / 255))
    assert max(steered(grey()).end) < min(plain(grey()).end)


def test_progress_is_told_to_the_last_step() -> None:
    for attack in ALL.values():
        told: list[tuple[int, int]] = []
        attack(grey(), progress=lambda done, total, told=told: told.append((done, total)))
        assert told or isinstance(attack, Noise)
        assert all(one[1] == told[-1][1] for one in told)
        assert not told or told[-1][0] == told[-1][1] > 0


class Hill(Rate):
    """Highest where every sample is 2.6 levels above the clean one."""

    def __call__(self, scene):
        return -(scene.attacked - scene.clean - 2.6 / 255).square().mean(dim=(1, 2, 3))


@dataclass(frozen=True)
class Watched(Modifier):
    """Keeps all clips that were asked about, and their scores."""

    clips: list
    scores: list
    title = "watched"

    def wrap(self, inner):
        def gradient(question):
            answer = inner(question)
            self.clips.append(question.x.detach().clone())
            self.scores.append(answer.score)
            return answer

        return gradient


@pytest.mark.parametrize("steps", range(2, 8))
def test_apgd_hands_over_the_best_clip_that_it_met(steps: int) -> None:
    """Its first strides are of two radii, and overshoot."""
    watched = Watched([], [])
    attack = APGD(linear(), objective=Hill(), constraint=CUBE, steps=steps, modifiers=[watched])
    end = torch.tensor(attack(grey()).end)
    assert len(watched.scores) == steps
    rounding = (1 / 255) ** 2
    assert (end >= torch.stack(watched.scores).amax(dim=0) - rounding).all()


TWO = TwoBranch(10**-3.8, 16 / 255)  # two-branch:psnr=38:linf=16


@pytest.mark.parametrize("objective", [Rate(), Distortion()], ids=lambda one: one.title)
def test_apgd_spends_two_budgets_at_least_as_well_as_pgd(objective: Objective) -> None:
    """Beyond the threshold any clip is better; the best one there is a single step, shrunk."""
    mix = torch.tensor([[1.0, 0.4, 0.0], [0.2, 0.5, 0.3], [0.0, 0.1, 0.7]])
    victim = Linear(mix, weights())
    # An odd number: PGD ends where it has spent all, not where it has paid back.
    found = [
        kind(victim, objective=objective, constraint=TWO, steps=41)(grey()).end
        for kind in (APGD, PGD)
    ]
    assert all(ours > theirs for ours, theirs in zip(*found, strict=True))


@pytest.mark.parametrize("kind", [APGD, CarliniWagner])
def test_who_keeps_the_best_clip_meets_none_outside_of_the_set(kind: type) -> None:
    watched = Watched([], [])
    parts = {"objective": Rate(), "constraint": TWO, "steps": 20, "modifiers": [watched]}
    kind(linear(), **parts, **({"goal": 1e6} if kind is CarliniWagner else {}))(grey())
    clean = clip_of(grey())
    spent = [(clip - clean).square().mean(dim=(1, 2, 3)).max() for clip in watched.clips]
    assert len(spent) >= 20 and max(spent) <= TWO.mse * (1 + 1e-4)


def test_adams_rate_falls_to_a_third_three_times() -> None:
    """On a linear codec every step of Adam's is as long as its rate."""
    watched = Watched([], [])
    wide = Linf(100 / 255)
    Adam(linear(), objective=Rate(), constraint=wide, steps=40, modifiers=[watched])(grey())
    strides = [(b - a).abs().median() * 255 for a, b in pairwise(watched.clips)]
    for quarter in range(4):
        assert strides[10 * quarter + 5] == pytest.approx(2 * 0.33**quarter, rel=0.02)


def test_apgd_halves_its_stride_where_it_stalls() -> None:
    """From strides of two radii, signs overshoot a valley's floor until they are halved."""
    result = APGD(linear(), objective=Hill(), constraint=CUBE, steps=60)(grey())
    assert (change(grey(), result.pictures) == 3).float().mean() > 0.95
