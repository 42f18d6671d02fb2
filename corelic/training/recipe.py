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


def require(sound: bool, wanted: str) -> None:
    """ValueError, which pydantic reports with the key's place."""
    if not sound:
        raise ValueError(f"it needs {wanted}")


@dataclass(frozen=True)
class Stage(Strict):
    """A stretch of the run with crops of one size."""

    share: float  # of the run's length; all stages together make 1
    batch: int
    crop_px: int

    def __post_init__(self) -> None:
        require(self.share > 0 and self.batch > 0 and self.crop_px > 0, "numbers above 0")


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

    def __post_init__(self) -> None:
        require(self.learning_rate > 0 and self.clip_grad_norm > 0, "a rate and a norm above 0")
        require(self.warmup_steps >= 1, "warmup_steps of at least 1")
        shares = self.beta1, self.beta2, self.constant_share, self.final_share, self.ema_decay
        require(all(0 <= share < 1 for share in shares), "betas, shares and decay in [0, 1)")


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

    def __post_init__(self) -> None:
        require(self.minutes > 0 and self.seed >= 0, "minutes above 0 and a seed from 0 up")
        require(bool(self.stages), "at least one stage")

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
