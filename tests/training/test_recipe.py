import re
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import pytest
import yaml

from corelic.codecs.registry import find_spec
from corelic.errors import RecipeError
from corelic.training.recipe import Stage, fit_to_minutes, load_recipe, recipe_of
from tests.training.conftest import RECIPE

RECIPES = sorted((Path(__file__).parents[2] / "recipes").glob("*.yaml"))


def changed(**values: Any) -> dict[str, Any]:
    return {**asdict(RECIPE), **values}


def test_yaml_is_the_recipe(tmp_path: Path) -> None:
    path = tmp_path / "recipe.yaml"
    plain = asdict(RECIPE)
    plain["stages"] = list(plain["stages"])
    path.write_text(yaml.safe_dump(plain))
    assert load_recipe(path) == RECIPE


@pytest.mark.parametrize("path", RECIPES, ids=lambda path: path.name)
def test_the_recipes_of_the_project_make_sense(path: Path) -> None:
    find_spec(load_recipe(path).codec)


def test_the_project_has_recipes() -> None:  # none would pass above
    assert RECIPES


@pytest.mark.parametrize(
    ("content", "named"),
    [
        (changed(learning_rate=1.0), "learning_rate"),  # one level too high
        (changed(optimiser={**asdict(RECIPE.optimiser), "momentum": 0.9}), "optimiser.momentum"),
        (changed(checkpoint_minutes="long"), "checkpoint_minutes"),
        (changed(seed=1.5), "seed"),
        (changed(seed=20261130120000), "a seed from 0 to"),
        (changed(compiled="yes"), "compiled"),
        (changed(stages=[{"steps": 10, "batch": 8}]), "stages.0.crop_px"),
        (changed(codec=None), "codec"),
        (changed(stages=[{"steps": 9, "batch": 8, "crop_px": 64, "passes": 3}]), "divide"),
        (changed(loss={**asdict(RECIPE.loss), "distortion": "vmaf"}), "loss.distortion"),
        (changed(loss={**asdict(RECIPE.loss), "distortion": "ms-ssim"}), "161 pixels"),
        (changed(precision="16-true"), "precision"),
        (changed(scale_max=0.5), "scale_max"),
        (changed(stages=[]), "at least one stage"),
        (changed(stages=[{"steps": True, "batch": 8, "crop_px": 64}]), "stages.0.steps"),
        (changed(stages=[{"steps": 9, "bach": 8, "crop_px": 64}]), "stages.0.bach"),
        (changed(loss={**asdict(RECIPE.loss), "pivot_lambda": -1.0}), "pivot_lambda"),
        (changed(loss={**asdict(RECIPE.loss), "exponent": float("nan")}), "exponent"),
        (changed(checkpoint_minutes=0), "minutes above 0"),
        (changed(optimiser={**asdict(RECIPE.optimiser), "warmup_steps": 0}), "optimiser"),
        (changed(stages=[{"steps": 10, "batch": 0, "crop_px": 64}]), "stages.0"),
        ({key: value for key, value in asdict(RECIPE).items() if key != "loss"}, "loss"),
        ([], "the recipe"),
        (None, "the recipe"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_an_error_names_the_key(content: object, named: str) -> None:
    with pytest.raises(RecipeError, match=f"^file: .*{re.escape(named)}"):
        recipe_of(content, "file")


@pytest.mark.parametrize("content", [b"a: [", b"\xff\xfe\xff", b"a: b: c", None])
def test_what_is_no_yaml_is_a_recipe_error(content: bytes | None, tmp_path: Path) -> None:
    path = tmp_path / "recipe.yaml"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(RecipeError, match=r"recipe\.yaml"):
        load_recipe(path)


def test_stages_follow_each_other() -> None:
    first, last = (Stage(steps=steps, batch=1, crop_px=64) for steps in (3, 2))
    recipe = replace(RECIPE, stages=(first, last))
    assert recipe.steps == 5
    found = [recipe.stage_at(step) for step in range(7)]
    assert found == [first, first, first, last, last, last, last]


def test_a_run_fitted_to_minutes_keeps_its_proportions() -> None:
    stages = Stage(steps=900, batch=8, crop_px=64), Stage(steps=100, batch=4, crop_px=128)
    recipe = replace(RECIPE, stages=stages)
    fitted = fit_to_minutes(recipe, minutes=2.0, step_s=(0.1, 0.3))  # as it is, it takes 120 s
    assert fitted == recipe
    half = fit_to_minutes(recipe, minutes=1.0, step_s=(0.1, 0.3))
    assert [stage.steps for stage in half.stages] == [450, 50]
    shortest = fit_to_minutes(recipe, minutes=1e-6, step_s=(0.1, 0.3))
    assert [stage.steps for stage in shortest.stages] == [1, 1]
