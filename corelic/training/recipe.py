"""A training recipe: every number of a run, in one frozen tree, read from YAML.

A recipe counts steps, not minutes, so that an interrupted run ends with the very weights of an
uninterrupted one. `fit_to_minutes` makes it longer or shorter for the machine that is there.
"""

from __future__ import annotations

import json
import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import ClassVar, Literal

import yaml

from corelic.errors import RecipeError

MS_SSIM_MIN_PX = 161  # five scales of an 11-pixel window
SEEDS = 2**31  # times what a run makes of each, they stay below what torch takes


class Strict:
    """Tells pydantic to refuse unknown keys; a plain dict, so that training needs no pydantic."""

    __pydantic_config__: ClassVar[dict[str, str]] = {"extra": "forbid"}


def require(sound: bool, wanted: str) -> None:
    """ValueError, which pydantic reports with the key's place."""
    if not sound:
        raise ValueError(f"it needs {wanted}")


Precision = Literal["bf16-mixed", "32-true"]


@dataclass(frozen=True)
class Stage(Strict):
    """A stretch of the run with crops of one size."""

    steps: int
    batch: int  # crops per step, over all processes and all passes
    crop_px: int
    passes: int = 1  # forward and backward passes that share a step, to save memory

    def __post_init__(self) -> None:
        numbers = self.steps, self.batch, self.crop_px, self.passes
        require(min(numbers) > 0, "numbers above 0")
        require(self.batch % self.passes == 0, "a batch that its passes divide")


@dataclass(frozen=True)
class Optimiser(Strict):
    """Adam, with warm-up, a constant stretch, then a cosine down to `final_share`.

    After a warm start the warm-up gives Adam its moments back before the weights move far.
    """

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
    """Rate + λ · distortion at a random quality per sample, weighted by (pivot / λ)^exponent.

    Distortion is 255² · MSE, or 1250 · (1 − MS-SSIM): with that factor one λ means about the same
    rate for both (the pairs of λ that CompressAI trains with have ratios from 1222 to 1333).
    """

    pivot_lambda: float
    exponent: float
    distortion: Literal["mse", "ms-ssim"] = "mse"

    def __post_init__(self) -> None:
        sound = 0 < self.pivot_lambda < math.inf and math.isfinite(self.exponent)
        require(sound, "a pivot_lambda above 0, and an exponent that is a number")


@dataclass(frozen=True)
class Attacked(Strict):
    """Stored attacks among the crops, in every stage; see `training.attacked`."""

    data: str  # a folder below the data folder, with attacked pictures
    share: float  # of all crops

    def __post_init__(self) -> None:
        require(0 < self.share < 1, "a share above 0 and below 1")


@dataclass(frozen=True)
class Recipe(Strict):
    """One run.

    start      name or path of weights to go on from; None for a fresh codec
    attacked   None: photographs alone
    scale_max  photographs are shown at random scales from 1 to 1 / scale_max
    precision  of the networks while training; "32-true" repeats a run bit for bit on CPUs
    compiled   whether `torch.compile` takes minutes first, to make each step shorter
    """

    codec: str
    seed: int
    data: str  # a folder below the data folder, with pictures, tar shards or clips
    stages: tuple[Stage, ...]
    optimiser: Optimiser
    loss: Loss
    start: str | None = None
    attacked: Attacked | None = None
    scale_max: float = 1.0
    precision: Precision = "bf16-mixed"
    compiled: bool = False
    checkpoint_minutes: float = 5.0

    def __post_init__(self) -> None:
        require(0 <= self.seed < SEEDS, f"a seed from 0 to {SEEDS - 1}")
        require(self.checkpoint_minutes > 0, "minutes above 0")
        require(bool(self.stages), "at least one stage")
        require(1 <= self.scale_max <= 8, "a scale_max from 1 to 8")
        if self.loss.distortion == "ms-ssim":
            small = min(stage.crop_px for stage in self.stages)
            require(small >= MS_SSIM_MIN_PX, f"crops of {MS_SSIM_MIN_PX} pixels for MS-SSIM")

    @property
    def steps(self) -> int:
        """Of all stages together."""
        return sum(stage.steps for stage in self.stages)

    def stage_at(self, step: int) -> Stage:
        """The stage of a step, counted from 0; the last one from there on."""
        for stage in self.stages:
            if step < stage.steps:
                return stage
            step -= stage.steps
        return self.stages[-1]


def fit_to_minutes(recipe: Recipe, minutes: float, step_s: Sequence[float]) -> Recipe:
    """The same stages, longer or shorter by one factor; step_s: seconds per step of each."""
    planned_s = sum(stage.steps * each for stage, each in zip(recipe.stages, step_s, strict=True))
    factor = 60 * minutes / planned_s
    stages = (replace(one, steps=max(1, round(one.steps * factor))) for one in recipe.stages)
    return replace(recipe, stages=tuple(stages))


def load_recipe(path: Path) -> Recipe:
    """Reads YAML; RecipeError names the key that is unknown, missing or of the wrong type."""
    try:
        text = path.read_text(encoding="utf-8")
        content = yaml.safe_load(text)
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        raise RecipeError(str(path), f"is not a readable YAML file ({error})") from error
    return recipe_of(content, str(path))


def recipe_of(content: object, source: str) -> Recipe:
    """Checks what was read from `source`; RecipeError otherwise."""
    from pydantic import TypeAdapter, ValidationError

    try:
        # As JSON, for there `strict`, without which true is a 1, still makes tuples of lists.
        text = json.dumps(content, default=str)
        recipe: Recipe = TypeAdapter(Recipe).validate_json(text, strict=True)
    except ValidationError as error:
        # A misspelt key is missing under its right name, too: all is said.
        found = (
            f"{'.'.join(str(part) for part in one['loc']) or 'the recipe'}: {one['msg']}"
            for one in error.errors()
        )
        raise RecipeError(source, "; ".join(found)) from error
    return recipe
