"""What a run is made of: its recipe and where its pictures are. Kept in the run's folder."""

from __future__ import annotations

import hashlib
import json
import os
from dataclasses import asdict, dataclass, replace
from pathlib import Path

from corelic.disk import atomic_write
from corelic.errors import BadWeightsError, PictureError, RecipeError
from corelic.training.data import PhotoCache, listing
from corelic.training.recipe import Recipe, recipe_of

DATA_VARIABLE = "CORELIC_DATA"
FILE = "run.json"
THEN = ", then "  # between the devices of a run


@dataclass(frozen=True)
class Setup:
    """A recipe with the folder that its data name stands for."""

    recipe: Recipe
    source: Path  # pictures, or tar shards of pictures
    device: str = ""  # or devices, one after the other, in words; for the model card
    attacked: Path | None = None  # stored attacks, where the recipe asks for some
    pictures: str = ""  # of a run that has begun: digests of its caches, by which they are known
    asked: Recipe | None = None  # what the file said, before options and generations; if known

    @classmethod
    def exists(cls, run: Path) -> bool:
        """Whether a run has been started in this folder, however far it came."""
        return (run / FILE).exists()

    @classmethod
    def load(cls, run: Path) -> Setup:
        """Of a run that has been started; BadWeightsError where there is none."""
        try:
            plain = json.loads((run / FILE).read_text())
            recipe = recipe_of(plain["recipe"], str(run / FILE))
            attacked = plain.get("attacked")
            found = None if attacked is None else Path(attacked)
            pictures = str(plain.get("pictures", ""))
            asked = plain.get("asked")
            asked = None if asked is None else recipe_of(asked, str(run / FILE))
            source, device = Path(plain["source"]), str(plain["device"])
            return cls(recipe, source, device, found, pictures, asked)
        except RecipeError:  # a plan that somebody has changed: what is wrong with it is said
            raise
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise BadWeightsError(str(run), "is not the folder of a training run") from error

    def save(self, run: Path) -> None:
        plain = asdict(self) | {"source": str(self.source.resolve())}
        plain["attacked"] = None if self.attacked is None else str(self.attacked.resolve())
        atomic_write(run / FILE, (json.dumps(plain, indent=2) + "\n").encode(), overwrite=True)

    def on(self, device: str) -> Setup:
        """The same, gone on with there."""
        earlier = self.device.split(THEN) if self.device else []
        return replace(self, device=THEN.join(dict.fromkeys([*earlier, device])))

    def open_cache(self, run: Path) -> PhotoCache:
        """Decoded pictures, beside the run's folder, so that runs share them.

        PictureError where they are not those that the run began with.
        """
        return self._open(0, self.source, "--data", run)

    def open_attacked(self, run: Path) -> PhotoCache | None:
        """Stored attacks, in the same way; PictureError where they are asked for and not there."""
        if self.recipe.attacked is None:
            return None
        if self.attacked is None:
            reason = "have no place; give --attacked FOLDER"
            raise PictureError("the recipe's stored attacks", reason)
        return self._open(1, self.attacked, "--attacked", run)

    def _open(self, number: int, source: Path, option: str, run: Path) -> PhotoCache:
        cache, known = _cache_of(source, run), self.pictures.split()
        if known and known[number : number + 1] != [cache.digest]:
            reason = f"are not those that the run in {run} began with; resume it with {option}"
            raise PictureError(f"the pictures in {source}", f"{reason} and the folder of those")
        return cache


def _cache_of(source: Path, run: Path) -> PhotoCache:
    source = source.resolve()
    key = hashlib.sha1(os.fsencode(source) + listing(source).encode()).hexdigest()[:8]
    return PhotoCache.build(source, run.resolve().parent / f"cache-{source.name}-{key}")


def find_source(recipe: Recipe, given: Path | None) -> Path:
    """The folder given, or the recipe's data name below CORELIC_DATA; PictureError if none."""
    return _find(recipe.data, given, "--data")


def find_attacked(recipe: Recipe, given: Path | None) -> Path | None:
    """The same for stored attacks; None where the recipe wants none.

    RecipeError where some are given all the same: they would be ignored.
    """
    if recipe.attacked is not None:
        return _find(recipe.attacked.data, given, "--attacked")
    if given is not None:
        reason = "has no part `attacked`; add one, as in attacked: {data: attacked, share: 0.5}"
        raise RecipeError("the recipe", f"{reason}, or leave {given} out")
    return None


def _find(name: str, given: Path | None, option: str) -> Path:
    root = os.environ.get(DATA_VARIABLE)
    if given is None and root is None:
        reason = f"has no place; give {option} FOLDER, or set {DATA_VARIABLE}"
        raise PictureError(f"the data {name!r}", reason)
    source = given if given is not None else Path(str(root)) / name
    if not source.is_dir():
        raise PictureError(str(source), "is not a folder of pictures or tar shards")
    return source
