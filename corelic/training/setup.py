"""What a run is made of: its recipe and where its pictures are. Kept in the run's folder."""

from __future__ import annotations

import hashlib
import json
import os
from dataclasses import asdict, dataclass
from pathlib import Path

from corelic.errors import BadWeightsError, PictureError
from corelic.training.data import PhotoCache, listing
from corelic.training.recipe import Recipe, recipe_of

DATA_VARIABLE = "CORELIC_DATA"
FILE = "run.json"


@dataclass(frozen=True)
class Setup:
    """A recipe with the folder that its data name stands for."""

    recipe: Recipe
    source: Path  # pictures, or tar shards of pictures
    device: str = ""  # on which it was begun, in words; for the model card

    @classmethod
    def load(cls, run: Path) -> Setup:
        """Of a run that has been started; BadWeightsError where there is none."""
        try:
            plain = json.loads((run / FILE).read_text())
            recipe = recipe_of(plain["recipe"], str(run / FILE))
            return cls(recipe, Path(plain["source"]), str(plain["device"]))
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise BadWeightsError(str(run), "is not the folder of a training run") from error

    def save(self, run: Path) -> None:
        plain = asdict(self) | {"source": str(self.source.resolve())}
        (run / FILE).write_text(json.dumps(plain, indent=2) + "\n")

    def open_cache(self, run: Path) -> PhotoCache:
        """Decoded pictures, beside the run's folder, so that runs share them."""
        source = self.source.resolve()
        key = hashlib.sha1(f"{source}{listing(source)}".encode()).hexdigest()[:8]
        return PhotoCache.build(source, run.resolve().parent / f"cache-{source.name}-{key}")


def find_source(recipe: Recipe, given: Path | None) -> Path:
    """The folder given, or the recipe's data name below CORELIC_DATA; PictureError if none."""
    root = os.environ.get(DATA_VARIABLE)
    if given is None and root is None:
        reason = f"has no place; give --data FOLDER, or set {DATA_VARIABLE}"
        raise PictureError(f"the data {recipe.data!r}", reason)
    source = given if given is not None else Path(str(root)) / recipe.data
    if not source.is_dir():
        raise PictureError(str(source), "is not a folder of pictures or tar shards")
    return source
