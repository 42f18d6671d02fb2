"""Networks that undo attacks: they learn what their losses say, and their files give them back."""

from dataclasses import replace
from pathlib import Path

import pytest
import torch
from safetensors.torch import save
from torch import Tensor, nn

from corelic.attacks.defences.irad import SHIFT_PX, Irad, IradNet, train_irad
from corelic.attacks.defences.learning import (
    FORMAT,
    Pairs,
    Schedule,
    decoded,
    fit,
    load_network,
    save_network,
)
from corelic.attacks.defences.purifier import (
    ALIGNMENT,
    Purifier,
    PurifierNet,
    red_loss,
    train_purifier,
)
from corelic.attacks.errors import AttackError
from corelic.attacks.victim import LearnedVictim
from corelic.errors import BadWeightsError, OutputError
from tests.allocations import peak_bytes
from tests.attacks.defences.conftest import Transparent, draws
from tests.tiny import crops, rouse

STRIPES = torch.where(torch.arange(24) % 4 < 2, 8 / 255, -8 / 255)
SHORT = Schedule(steps=70, batch=4, learning_rate=1e-2, seed=1)


def pairs(count: int = 8, seed: int = 3) -> Pairs:
    """Photographs, and the same under stripes: a perturbation that any network can see."""
    clean = crops(seed, count, 24)
    return Pairs(clean, (clean + STRIPES).clamp(0, 1))


class Estimates(nn.Module):
    """What it is given as the perturbation of every picture."""

    def __init__(self, estimate: Tensor) -> None:
        super().__init__()
        self.estimate = estimate

    def forward(self, x: Tensor) -> Tensor:
        return self.estimate.expand(x.shape)


def test_the_loss_is_nothing_where_there_is_nothing_to_undo(tiny: LearnedVictim) -> None:
    clean = crops(1, 2, 32)
    loss = red_loss(Estimates(torch.zeros(())), tiny, Pairs(clean, clean), draws())
    # With gradients and without, libraries may sum in another order.
    assert loss.item() < 1e-6


def test_the_loss_is_its_three_terms() -> None:
    # Of a codec that loses nothing, decoded pictures are the pictures.
    clean = torch.full((2, 3, 8, 8), 0.5)
    batch = Pairs(clean, clean + 0.1)
    for estimate in (0.0, 0.04, 0.1, 0.15):
        error = abs(0.1 - estimate)  # of the purified, and of the transplanted
        expected = error**2 + estimate**2 + ALIGNMENT * 2 * error**2
        found = red_loss(Estimates(torch.tensor(estimate)), Transparent(), batch, draws())
        assert abs(found.item() - expected) < 1e-6


def test_both_alignments_reach_the_codec(tiny: LearnedVictim) -> None:
    batch = pairs(2)
    network = PurifierNet(channels=4, layers=2)
    rouse(network)
    with torch.no_grad():
        found = red_loss(network, tiny, batch, draws())
        estimate = network(batch.attacked)
        purified = batch.attacked - estimate
        expected = (purified - batch.clean).square().mean()
        expected += network(batch.clean).square().mean()
        wanted, broken, restored, moved = (
            decoded(tiny, x.clamp(0, 1), draws())
            for x in (batch.clean, batch.attacked, purified, batch.clean + estimate)
        )
        aligned = (restored - wanted).square().mean() + (moved - broken).square().mean()
    assert torch.isclose(found, expected + ALIGNMENT * aligned)


def test_a_purifier_learns_a_pattern() -> None:
    network = train_purifier((Transparent(),), pairs(), schedule=SHORT, channels=8, layers=3)
    unseen = pairs(4, seed=9)
    purified = Purifier(network).clean(unseen.attacked, draws())
    before = (unseen.attacked - unseen.clean).abs().mean()
    assert (purified - unseen.clean).abs().mean() < 0.5 * before
    kept = Purifier(network).clean(unseen.clean, draws())
    assert (kept - unseen.clean).abs().mean() < 0.4 * before
    assert not any(parameter.requires_grad for parameter in network.parameters())


def test_a_purifier_sees_what_is_faint() -> None:
    """Noise as faint as an attack: where brightness drowned it, and steps were too wide for it,
    nothing was learned in thousands of steps."""
    random = torch.Generator().manual_seed(2)
    clean = crops(5, 32, 24)
    signs = torch.randint(2, clean.shape, generator=random) * 2 - 1
    faint = Pairs(clean, (clean + signs * 8 / 255).clamp(0, 1))
    schedule = Schedule(steps=80, batch=8)
    network = train_purifier((Transparent(),), faint, schedule=schedule, channels=8, layers=3)
    left = Purifier(network).clean(faint.attacked, draws()) - faint.clean
    kept = Purifier(network).clean(faint.clean, draws()) - faint.clean
    before = (faint.attacked - faint.clean).square().mean()
    assert left.square().mean() < 0.9 * before
    assert kept.square().mean() < 0.3 * before


def test_training_repeats() -> None:
    brief = replace(SHORT, steps=3)
    one, again = (
        train_purifier((Transparent(),), pairs(), schedule=brief, channels=4, layers=2)
        for _ in range(2)
    )
    assert all(a.equal(b) for a, b in zip(one.parameters(), again.parameters(), strict=True))


def test_irad_learns_a_pattern_and_where_to_read() -> None:
    network = train_irad(Transparent(), pairs(), schedule=SHORT, channels=8)
    unseen = pairs(4, seed=9)
    before = (unseen.attacked - unseen.clean).abs().mean()
    cleaned = Irad(network).clean(unseen.attacked, draws())
    assert (cleaned - unseen.clean).abs().mean() < 0.7 * before
    shifts = network.shifts(unseen.attacked)
    assert 0 < shifts.abs().max() <= SHIFT_PX
    assert not any(parameter.requires_grad for parameter in network.parameters())


@pytest.mark.parametrize("network", [PurifierNet(6, 3), IradNet(5)])
def test_networks_see_detail_not_brightness(network: PurifierNet | IradNet, x: Tensor) -> None:
    rouse(network)
    corrections = [network(shown) for shown in (x / 2, x / 2 + 0.25)]
    if isinstance(network, IradNet):  # it gives the picture, not what it takes off
        corrections[1] -= 0.25
    assert torch.allclose(*corrections, atol=3e-6)
    assert (network(x / 4) - corrections[0]).abs().max() > 1e-5


def test_training_leaves_the_seed_of_others_out_of_it() -> None:
    layer = nn.Conv2d(3, 3, 1)
    start = {name: tensor.clone() for name, tensor in layer.state_dict().items()}

    def loss(batch: Pairs, random: torch.Generator) -> Tensor:
        return (layer(batch.attacked) - batch.clean).square().mean()

    fit(layer, loss, pairs(), Schedule(steps=3, batch=2, seed=5))
    first = [parameter.clone() for parameter in layer.parameters()]
    layer.load_state_dict(start)
    torch.rand(7)
    fit(layer, loss, pairs(), Schedule(steps=3, batch=2, seed=5))
    assert all(a.equal(b) for a, b in zip(first, layer.parameters(), strict=True))


@pytest.mark.parametrize(
    "network", [PurifierNet(6, 3), IradNet(5)], ids=lambda net: type(net).__name__
)
def test_a_network_comes_back_from_its_file(
    network: PurifierNet | IradNet, tmp_path: Path, x: Tensor
) -> None:
    rouse(network)
    path = tmp_path / "network.safetensors"
    save_network(network, path)
    back = load_network(type(network), path)
    assert back.settings == network.settings
    assert back(x).equal(network(x))
    with pytest.raises(OutputError):
        save_network(network, path)
    other = IradNet if isinstance(network, PurifierNet) else PurifierNet
    with pytest.raises(BadWeightsError, match=f"no {other.__name__}"):
        load_network(other, path)


@pytest.mark.parametrize("content", [b"", b"{}", b"\x08\0\0\0\0\0\0\0{}      "], ids=repr)
def test_another_file_is_no_network(content: bytes, tmp_path: Path) -> None:
    path = tmp_path / "network.safetensors"
    path.write_bytes(content)
    with pytest.raises(BadWeightsError, match="PurifierNet"):
        load_network(PurifierNet, path)
    with pytest.raises(BadWeightsError, match="PurifierNet"):
        load_network(PurifierNet, tmp_path / "nowhere.safetensors")


@pytest.mark.parametrize(
    ("settings", "reason"),
    [
        ('{"channels": 4000, "layers": 5}', "size mismatch"),  # 3 GB, had it been allocated
        ('{"channels": 24, "layers": 1000000000}', "absurd size"),
        ('{"channels": 0, "layers": 5}', "absurd size"),
        ("[]", "no PurifierNet"),
        ('{"width": 24}', "no PurifierNet"),
    ],
)
def test_what_a_file_claims_is_not_allocated(settings: str, reason: str, tmp_path: Path) -> None:
    path = tmp_path / "network.safetensors"
    metadata = {"format": FORMAT, "kind": "PurifierNet", "settings": settings}
    path.write_bytes(save(dict(PurifierNet(6, 3).state_dict()), metadata))
    found = []

    def load() -> None:
        with pytest.raises(BadWeightsError, match=reason):
            load_network(PurifierNet, path)
        found.append(True)

    assert peak_bytes(load) < 10**8
    assert found


def test_pairs_are_pairs() -> None:
    with pytest.raises(AttackError, match="one of each"):
        Pairs(torch.zeros(2, 3, 8, 8), torch.zeros(1, 3, 8, 8))
    with pytest.raises(AttackError, match="at least"):
        Pairs(torch.zeros(0, 3, 8, 8), torch.zeros(0, 3, 8, 8))
