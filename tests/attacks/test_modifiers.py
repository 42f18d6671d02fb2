"""Modifiers on a gradient that the test makes up."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from corelic.attacks.constraints import Linf
from corelic.attacks.errors import AttackError
from corelic.attacks.gradient import Answer, Question, per_mean
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
from corelic.attacks.objectives import Distortion, Rate
from corelic.attacks.optimisers import PGD
from corelic.attacks.pixels import clip_of
from corelic.attacks.probe import Probe, modified
from corelic.attacks.victim import Victim
from tests.attacks.toys import SHAPE, Dim, Linear, linear, photos, weights

MODIFIERS = {
    "momentum": Momentum(),
    "nesterov": Nesterov(),
    "diverse": Diverse(1.0),
    "smooth": Smooth(),
    "scales": Scales(3),
    "variance": VarianceTuning(2),
    "ensemble": Ensemble((linear(), linear(1))),
    "sampled": Sampled((linear(), linear(1)), 1),
}


class Asked:
    """A gradient that remembers what it was asked, and answers a function of x."""

    def __init__(self, slope=lambda question: question.x * 2) -> None:
        self.slope, self.questions = slope, []

    def __call__(self, question: Question) -> Answer:
        self.questions.append(question)
        return Answer(torch.zeros(len(question.x)), self.slope(question))


def question(x: Tensor | None = None, victim: Victim | None = None) -> Question:
    clean = clip_of(photos())
    random = torch.Generator().manual_seed(3)
    return Question(victim or linear(), clean, clean if x is None else x, random, 2 / 255)


def test_momentum_remembers() -> None:
    slopes = [torch.randn(SHAPE) for _ in range(3)]
    left = iter(slopes)
    gradient = Momentum(0.5).wrap(Asked(lambda question: next(left)))
    found = [gradient(question()).gradient for _ in slopes]
    one, two, three = map(per_mean, slopes)
    assert torch.allclose(found[2], 0.25 * one + 0.5 * two + three, atol=1e-6)


def test_nesterov_looks_ahead() -> None:
    asked = Asked(lambda question: torch.ones(SHAPE))
    gradient = Nesterov(0.5).wrap(asked)
    x = question().clean
    for _ in range(2):
        gradient(question())
    assert torch.equal(asked.questions[0].x, x)
    assert torch.allclose(asked.questions[1].x, x + 2 / 255 * 0.5, atol=1e-6)


def test_nesterov_looks_one_stride_ahead_however_long_it_remembers() -> None:
    slope = torch.randn(SHAPE, generator=torch.Generator().manual_seed(0))
    asked = Asked(lambda question: slope)
    gradient = Nesterov(0.9).wrap(asked)
    for _ in range(30):
        gradient(question())
    ahead = (asked.questions[-1].x - question().x).abs().mean(dim=(1, 2, 3))
    assert torch.allclose(ahead, torch.tensor(0.9 * 2 / 255), rtol=1e-3)


def test_a_memory_is_for_one_run() -> None:
    momentum = Momentum(1.0)
    for _ in range(2):
        found = momentum.wrap(Asked())(question()).gradient
        assert torch.allclose(found, per_mean(question().x * 2))


def test_a_view_shows_both_clips_alike() -> None:
    asked = Asked()
    attacked = question().clean + 0.05
    gradient = Diverse(1.0, smallest=0.5).wrap(asked)
    found = gradient(question(attacked))
    seen = asked.questions[0]
    assert seen.x.shape == SHAPE and not torch.equal(seen.x, attacked)
    border = seen.clean == 0.5
    assert 0 < border.float().mean() < 1
    assert torch.allclose((seen.x - seen.clean)[~border], torch.tensor(0.05), atol=1e-6)
    assert found.gradient.shape == SHAPE
    asked = Asked()
    Diverse(0.0).wrap(asked)(question(attacked))
    assert torch.equal(asked.questions[0].x, attacked)


def test_a_distortion_through_a_view_has_no_gradient_at_the_clean_clip() -> None:
    """The view of the clean clip is the reference, else the view itself would be attacked."""
    probe = Probe(Distortion(), question().clean)
    for modifier in (Diverse(1.0), Scales(3)):
        answer = modifier.wrap(probe)(question())
        assert answer.gradient.abs().max() < 1e-3 and answer.score.abs().max() < 1e-6


def test_smoothing_is_a_gaussian_window() -> None:
    impulse = torch.zeros(SHAPE)
    impulse[:, :, 8, 12] = 1
    found = Smooth(5).wrap(Asked(lambda question: impulse))(question()).gradient
    assert torch.allclose(found.sum(dim=(2, 3)), torch.ones(2, 3))
    assert found[0, 0, 8, 12] == found.max() and found[0, 0, 5, 12] == 0
    assert torch.allclose(found, found.flip(2).roll(1, 2), atol=1e-7)  # around row 8 of 16


def test_scales_average_darker_copies() -> None:
    asked = Asked(lambda question: torch.ones(SHAPE))
    found = Scales(3).wrap(asked)(question())
    assert [float(seen.x.max() / question().x.max()) for seen in asked.questions] == [1, 0.5, 0.25]
    assert torch.allclose(found.gradient, torch.tensor((1 + 0.5 + 0.25) / 3))


def test_variance_tuning_changes_nothing_where_gradients_are_alike() -> None:
    gradient = VarianceTuning(3).wrap(Asked(lambda question: torch.ones(SHAPE)))
    for _ in range(2):
        assert torch.allclose(gradient(question()).gradient, torch.ones(SHAPE))


def test_variance_tuning_adds_what_neighbours_had_more() -> None:
    asked = Asked()
    gradient = VarianceTuning(2, spread=0.1).wrap(asked)
    x = question().x
    assert torch.equal(gradient(question()).gradient, 2 * x)
    near = [seen.x for seen in asked.questions[1:3]]
    assert all(0 < (one - x).abs().max() <= 0.1 for one in near)
    expected = 2 * x + (near[0] + near[1] - 2 * x)
    assert torch.allclose(gradient(question()).gradient, expected, atol=1e-6)


def test_an_ensemble_weighs_victims_alike() -> None:
    small, large = linear(0), linear(1)
    large = replace(large, rate=large.rate * 1000)
    asked = Asked(lambda question: question.victim.rate.expand(SHAPE))
    found = Ensemble((small, large)).wrap(asked)(question()).gradient
    expected = (per_mean(small.rate[None]) + per_mean(large.rate[None])) / 2
    assert torch.allclose(found, expected.expand(SHAPE), atol=1e-6)


def drawn(modifier: Modifier, slope, steps: int = 400) -> dict[str, float]:
    asked = Asked(slope)
    gradient = modifier.wrap(asked)
    asking = question()
    for _ in range(steps):
        gradient(asking)
    titles = [seen.victim.title for seen in asked.questions]
    return {title: titles.count(title) / len(titles) for title in set(titles)}


def test_saliency_asks_those_most_often_whose_gradients_grow() -> None:
    victims = tuple(replace(linear(), title=title) for title in "abc")
    visits = dict.fromkeys("abc", 0)

    def slope(question: Question) -> Tensor:
        """b's gradient becomes four times what it was at the first visit; the others' stay."""
        title = question.victim.title
        visits[title] += 1
        return torch.full(SHAPE, 4.0 if title == "b" and visits["b"] > 1 else 1.0)

    shares = drawn(Sampled(victims, 1), slope)
    assert shares["b"] == pytest.approx(4 / 6, abs=0.08)
    visits = dict.fromkeys("abc", 0)
    shares = drawn(Sampled(victims, 1, "uniform"), slope)
    assert shares["b"] == pytest.approx(1 / 3, abs=0.08)


def test_saliency_is_relative_to_a_victims_own_first_gradient() -> None:
    """Bits have larger gradients than errors, and that alone makes nobody more salient."""
    victims = tuple(replace(linear(), title=title) for title in "abc")
    sizes = {"a": 1.0, "b": 1000.0, "c": 0.01}
    shares = drawn(
        Sampled(victims, 1), lambda question: torch.full(SHAPE, sizes[question.victim.title])
    )
    assert all(share == pytest.approx(1 / 3, abs=0.08) for share in shares.values())
    assert len(shares) == 3


def test_sampling_draws_without_replacement_and_forgets_nobody() -> None:
    victims = tuple(replace(linear(), title=title) for title in "abc")
    asked = Asked(lambda question: torch.full(SHAPE, float(question.victim.title == "a")))
    gradient = Sampled(victims, 2).wrap(asked)
    asking = question()
    for _ in range(200):
        gradient(asking)
    pairs = [
        (one.victim.title, other.victim.title)
        for one, other in zip(asked.questions[::2], asked.questions[1::2], strict=True)
    ]
    assert all(one != other for one, other in pairs)
    assert {title for pair in pairs for title in pair} == set("abc")


@pytest.mark.parametrize("count", [0, 3])
def test_more_victims_than_there_are_cannot_be_drawn(count: int) -> None:
    with pytest.raises(AttackError, match=f"draws {count} of 2"):
        Sampled((linear(), linear()), count)


def test_eot_averages_draws_of_one_question() -> None:
    dim = Dim(linear())
    probe = Probe(Rate(), question().clean)
    asking = question(victim=dim)
    state = asking.random.get_state()
    found = Expectation(5).wrap(probe)(asking)
    asking.random.set_state(state)
    each = [probe(asking).gradient for _ in range(5)]
    assert torch.allclose(found.gradient, torch.stack(each).mean(0))
    assert not torch.allclose(each[0], each[1])
    assert probe.passes == 10


def test_eot_of_a_victim_without_chance_is_refused() -> None:
    with pytest.raises(AttackError, match="linear draws no lots"):
        Expectation().wrap(Asked())(question())


def test_a_reference_is_drawn_like_what_is_compared_to_it() -> None:
    """At the clean clip a stochastic victim shows no distortion, whatever it draws."""
    probe = Probe(Distortion(), question().clean)
    for _ in range(3):
        assert probe(question(victim=Dim(linear()))).score.abs().max() == 0


def test_modifiers_are_passed_in_their_order() -> None:
    slope = torch.randn(SHAPE)
    both = modified(Asked(lambda question: slope), [Smooth(3), Momentum()])
    smooth = Smooth(3).wrap(Asked(lambda question: slope))(question()).gradient
    assert torch.allclose(both(question()).gradient, per_mean(smooth))


@pytest.mark.parametrize("modifier", MODIFIERS.values(), ids=MODIFIERS.keys())
def test_every_modifier_leads_uphill(modifier: Modifier) -> None:
    """The rate of a victim with smooth weights: no modifier turns its gradient away."""
    rate = F.interpolate(weights()[None, :, ::8, ::8], SHAPE[2:], mode="nearest")[0]
    victim = Linear(torch.eye(3), rate)
    own = victim if not isinstance(modifier, Ensemble | Sampled) else linear()
    attack = PGD(
        own, objective=Rate(), constraint=Linf(8 / 255), steps=6, modifiers=[modifier], seed=1
    )
    result = attack(photos())
    assert all(result.succeeded)
    assert result.title.startswith(f"PGD-6 + {modifier.title}, rate")


@pytest.mark.parametrize("modifier", MODIFIERS.values(), ids=MODIFIERS.keys())
def test_all_chance_of_a_modifier_is_the_runs_own(modifier: Modifier) -> None:
    attack = PGD(
        linear(), objective=Rate(), constraint=Linf(8 / 255), steps=4, modifiers=[modifier]
    )
    found = []
    for seed in (1, 2):
        torch.manual_seed(seed)
        state = torch.get_rng_state()
        found.append(clip_of(attack(photos()).pictures))
        assert torch.equal(torch.get_rng_state(), state)
    assert torch.equal(*found)
