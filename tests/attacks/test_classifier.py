import hashlib
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import get_args

import numpy as np
import pytest
import torch
from PIL import Image
from safetensors.torch import save
from torch import Tensor

from corelic.attacks import classifier, spelling
from corelic.attacks.classifier import (
    FORMAT,
    Architecture,
    Classifier,
    Epoch,
    accuracy,
    load_classifier,
    save_classifier,
    shipped_classifier,
    train_classifier,
)
from corelic.attacks.labelled import Labelled, enlarged, read_labelled
from corelic.errors import BadWeightsError, OutputError, PictureError
from tests.allocations import peak_bytes

CLASSES = ("down", "flat", "right")
every_architecture = pytest.mark.parametrize("architecture", get_args(Architecture))


def bars(count: int, seed: int = 0) -> Labelled:
    """Bright bars across, nothing, or bright bars down, at random places in noise."""
    random = np.random.default_rng(seed)
    labels = np.arange(count) % 3
    pixels = random.integers(0, 90, (count, 3, 32, 32))
    for picture, label in zip(pixels, labels, strict=True):
        start = random.integers(6)
        if label == 0:
            picture[:, start::6] += 150
        if label == 2:
            picture[:, :, start::6] += 150
    return Labelled(torch.from_numpy(pixels.astype(np.uint8)), torch.from_numpy(labels), CLASSES)


@pytest.fixture(scope="module")
def trained() -> Iterator[Classifier]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(classifier, "BATCH", 32)  # more steps from fewer pictures
        yield train_classifier(bars(128), epochs=6, seed=2)


def test_it_learns(trained: Classifier) -> None:
    unseen = bars(90, seed=9)
    assert accuracy(trained, unseen.floats(), unseen.labels) > 0.9
    assert not trained.training
    assert not any(parameter.requires_grad for parameter in trained.parameters())


def test_the_same_seed_gives_the_same_classifier() -> None:
    one, again, other = (train_classifier(bars(64), epochs=1, seed=seed) for seed in (3, 3, 4))
    assert all(a.equal(b) for a, b in zip(one.parameters(), again.parameters(), strict=True))
    assert not all(a.equal(b) for a, b in zip(one.parameters(), other.parameters(), strict=True))


def test_progress_is_told() -> None:
    told: list[Epoch] = []
    train_classifier(bars(32), architecture="plain", epochs=2, progress=told.append)
    assert [(epoch.number, epoch.epochs) for epoch in told] == [(1, 2), (2, 2)]
    assert all(epoch.loss > 0 for epoch in told)


@every_architecture
def test_every_parameter_and_sample_has_a_gradient(architecture: Architecture) -> None:
    torch.manual_seed(0)
    network = Classifier(architecture, CLASSES)
    x = bars(6).floats().requires_grad_()
    network(x).square().sum().backward()
    assert all(p.grad is not None and p.grad.any() for p in network.parameters())
    assert x.grad is not None and (x.grad != 0).float().mean() > 0.9


@every_architecture
def test_its_weights_are_small(architecture: Architecture, tmp_path: Path) -> None:
    path = tmp_path / "classifier.safetensors"
    save_classifier(Classifier(architecture, tuple("abcdefghij")), path)
    assert path.stat().st_size < 2 * 2**20


@pytest.mark.parametrize("factor", [2, 3])
def test_larger_pictures_are_averaged_down(factor: int, trained: Classifier) -> None:
    x = bars(4).floats()
    repeated = x.repeat_interleave(factor, -1).repeat_interleave(factor, -2)
    assert (trained(repeated) - trained(x)).abs().max() < 1e-4


def test_accuracy_counts() -> None:
    def guess(x: Tensor) -> Tensor:
        return torch.eye(3)[torch.zeros(len(x), dtype=torch.long)]

    x = bars(9).floats()
    assert accuracy(torch.nn.Identity(), torch.eye(3), torch.arange(3)) == 1
    assert accuracy(guess, x, bars(9).labels, batch=4) == 1 / 3  # type: ignore[arg-type]  # a stand-in


def test_a_classifier_comes_back_from_its_file(trained: Classifier, tmp_path: Path) -> None:
    path = tmp_path / "classifier.safetensors"
    save_classifier(trained, path)
    back = load_classifier(path)
    x = bars(5).floats()
    # Its layout in memory is another, which moves the order of sums.
    assert torch.allclose(back(x), trained(x), atol=1e-4)
    assert (back.classes, back.architecture) == (CLASSES, "residual")
    assert not any(parameter.requires_grad for parameter in back.parameters())
    with pytest.raises(OutputError):
        save_classifier(trained, path)


@pytest.mark.parametrize("content", [b"", b"\x08\0\0\0\0\0\0\0{}      ", b"PK\3\4"], ids=repr)
def test_another_file_is_no_classifier(content: bytes, tmp_path: Path) -> None:
    path = tmp_path / "classifier.safetensors"
    path.write_bytes(content)
    with pytest.raises(BadWeightsError, match="classifier"):
        load_classifier(path)
    with pytest.raises(BadWeightsError, match="nowhere"):
        load_classifier(tmp_path / "nowhere")


def test_classes_that_a_file_only_names_take_no_memory(trained: Classifier, tmp_path: Path) -> None:
    path = tmp_path / "classifier.safetensors"
    classes = str(["x"] * 10**6).replace("'", '"')
    metadata = {"format": FORMAT, "architecture": "residual", "classes": classes}
    tensors = {name: tensor.contiguous() for name, tensor in trained.state_dict().items()}
    path.write_bytes(save(tensors, metadata))

    def load() -> None:
        with pytest.raises(BadWeightsError, match="size mismatch"):
            load_classifier(path)

    assert peak_bytes(load) < 10**8


# Labelled pictures.


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for split, count in (("train", 3), ("test", 1)):
        for label, name in enumerate(("cat", "dog")):
            (tmp_path / "set" / split / name).mkdir(parents=True)
            for number in range(count):
                level = 100 * label + 10 * number
                image = Image.new("RGB", (8, 6), (level, level, level))
                image.save(tmp_path / "set" / split / name / f"{number}.png")
    return tmp_path / "set"


def test_folders_and_zip_files_are_read_alike(folder: Path, tmp_path: Path) -> None:
    archive = tmp_path / "set.zip"
    with zipfile.ZipFile(archive, "w") as file:
        for path in sorted(folder.rglob("*.png"), reverse=True):
            file.write(path, path.relative_to(folder))
    for source in (folder, archive):
        found = read_labelled(source, "train")
        assert found.classes == ("cat", "dog")
        assert found.labels.tolist() == [0, 0, 0, 1, 1, 1]
        assert found.pixels.shape == (6, 3, 6, 8)
        assert found.pixels[:, 0, 0, 0].tolist() == [0, 10, 20, 100, 110, 120]
        assert len(read_labelled(source, "test")) == 2
    few = read_labelled(folder, "train").every(3)
    assert few.labels.tolist() == [0, 1] and len(few) == 2


def test_what_holds_no_labelled_pictures_is_refused(folder: Path, tmp_path: Path) -> None:
    Image.new("RGB", (9, 6)).save(folder / "train" / "cat" / "other.png")
    (tmp_path / "empty").mkdir()
    for source in (folder, tmp_path / "empty", tmp_path / "nowhere"):
        with pytest.raises(PictureError, match="train/CLASS"):
            read_labelled(source, "train")
    (tmp_path / "no.zip").write_bytes(b"not a zip file")
    with pytest.raises(PictureError, match="train/CLASS"):
        read_labelled(tmp_path / "no.zip", "train")


def test_enlarged_pictures_keep_their_means() -> None:
    x = torch.rand((2, 3, 32, 32), generator=torch.Generator().manual_seed(0)) * 0.5 + 0.25
    found = enlarged(x, 2)
    assert found.shape == (2, 3, 64, 64)
    assert (found.mean() - x.mean()).abs() < 1e-3
    assert enlarged(x.round(), 2).max() <= 1 and enlarged(x.round(), 2).min() >= 0


def test_cifar_is_read(data_dir: Path) -> None:
    found = read_labelled(data_dir / "cifar10" / "cifar10.zip", "test")
    assert len(found) == 3000 and found.pixels.shape[1:] == (3, 32, 32)
    assert found.labels.bincount().tolist() == [300] * 10


@every_architecture
def test_those_that_ship_are_known_by_name_and_described(architecture: Architecture) -> None:
    found = shipped_classifier(architecture)
    assert len(found.classes) == 10 and found.architecture == architecture
    same = spelling.classifier(architecture)
    assert all(a.equal(b) for a, b in zip(found.parameters(), same.parameters(), strict=True))
    card = (classifier.SHIPPED / "cifar10.md").read_text()
    data = (classifier.SHIPPED / f"cifar10-{architecture}.safetensors").read_bytes()
    assert f"{len(data):,} bytes" in card and hashlib.sha256(data).hexdigest()[:16] in card


def test_those_that_ship_are_small() -> None:
    assert sum(path.stat().st_size for path in classifier.SHIPPED.iterdir()) < 2 * 2**20


@every_architecture
def test_those_that_ship_know_pictures_they_were_not_trained_on(
    architecture: Architecture, data_dir: Path
) -> None:
    test = read_labelled(data_dir / "cifar10" / "cifar10.zip", "test").every(10)
    found = accuracy(shipped_classifier(architecture), test.floats(), test.labels)
    assert found > 0.6  # 0.70 of all 3,000; two standard errors of 300 are 0.05
