"""A training recipe: every number of a run, in one frozen tree, read from YAML."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

import yaml

from corelic.errors import RecipeError


class Strict:
    """Tells pydantic to refuse unknown keys; a plain dict, so that training needs no pydantic."""

    __pydantic_config__: ClassVar[dict[str, str]] = {"extra": "forbid"}


@dataclass(frozen=True)
class Stage(Strict):
    """A stretch of the run with crops of one size."""

    share: float  # of the run's length; all stages together make 1
    batch: int
    crop_px: int


@dataclass(frozen=True)
class Optimiser(Strict):
    """Adam, with warm-up, a constant stretch, then a cosine down to `final_share`."""

    learning_rate: float
    beta1: float
    beta2: float
    warmup_steps: int
    constant_share: float  # of the run's length, at the full rate
    final_share: float  # of the full rate, at the end
    clip_grad_norm: float
    ema_decay: float


@dataclass(frozen=True)
class Loss(Strict):
    """Rate + λ · 255² · MSE at a random quality per sample, weighted by (pivot / λ)^exponent."""

    pivot_lambda: float
    exponent: float


@dataclass(frozen=True)
class Recipe(Strict):
    """One run. Its length is `minutes` of training time, checkpoints and pauses not counted."""

    codec: str
    seed: int
    data: str  # a folder below the data folder, with pictures or tar shards
    minutes: float
    stages: tuple[Stage, ...]
    optimiser: Optimiser
    loss: Loss
    checkpoint_minutes: float = 5.0

    def stage_at(self, progress: float) -> Stage:
        """progress in [0, 1] -> the stage it falls in."""
        end = 0.0
        for stage in self.stages:
            end += stage.share
            if progress < end:
                return stage
        return self.stages[-1]


def load_recipe(path: Path) -> Recipe:
    """Reads YAML; RecipeError names the key that is unknown, missing or of the wrong type."""
    try:
        text = path.read_text()
        content = yaml.safe_load(text)
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        raise RecipeError(str(path), f"is not a readable YAML file ({error})") from error
    return recipe_of(content, str(path))


def recipe_of(content: object, source: str) -> Recipe:
    """Checks what was read from `source`; RecipeError otherwise."""
    from pydantic import TypeAdapter, ValidationError

    try:
        recipe: Recipe = TypeAdapter(Recipe).validate_python(content)
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(str(part) for part in first["loc"]) or "the recipe"
        raise RecipeError(source, f"{where}: {first['msg']}") from error
    total = sum(stage.share for stage in recipe.stages)
    if abs(total - 1) > 1e-6:
        raise RecipeError(source, f"stages: shares add up to {total:g}, must be 1")
    return recipe
