"""The choices that no factor moves: each is there, and the ones that matter are known."""

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest
from rpt_kinetics.imaging import imaged
from rpt_kinetics.measures import (
    BOTH_INPUTS,
    INSTEAD_OF_0,
    movable,
    other_choices,
    r_of_other_choices,
)
from rpt_kinetics.parameters import (
    PerRate,
    StudyParameters,
    in_words,
    preset_names,
    read_preset,
    with_voxels,
)
from rpt_kinetics.simulation import simulate


@pytest.mark.parametrize("name", preset_names())
def test_every_parameter_is_moved_or_chosen_otherwise(name: str) -> None:
    parameters = read_preset(name).parameters
    chosen = {choice.name for choice in other_choices(parameters)}
    assert set(in_words(parameters)) <= chosen | set(movable(parameters))
    words = {key for key, value in in_words(parameters).items() if isinstance(value, str)}
    assert words <= chosen
    assert all(choice.parameters != parameters for choice in other_choices(parameters))


def test_choices_change_what_they_name() -> None:
    parameters = read_preset("homogeneous").parameters
    changed = {
        (choice.name, choice.value): choice.parameters for choice in other_choices(parameters)
    }
    assert changed["draws", "independent"] == replace(parameters, draws="independent")
    both = changed[BOTH_INPUTS, "kabasakal"]
    assert both.pet_input == both.therapy_input == "kabasakal"
    assert changed["ratio_cv", INSTEAD_OF_0["ratio_cv"]].ratio_cv == PerRate(
        k1=0.1, k2=0.1, k3=0.1, k4=0.1, vb=0.1
    )
    assert changed["ratio_cv.k4", 0.1].ratio_cv == replace(parameters.ratio_cv, k4=0.1)
    assert changed["pet_rates.k4_per_min", 0.0].pet_rates.k4_per_min == 0
    assert changed["correlation_length_mm", 15.0].correlation_length_mm == 15.0


@pytest.mark.parametrize(
    ("preset", "name", "value", "r"),
    [
        # Found independently of this module, over five seeds.
        ("varied", "gradient_form", "quadratic", 0.437),
        ("homogeneous", "draws", "independent", 0.836),
        ("varied", "draws", "independent", 0.30),
        ("varied", "pet_rates.k4_per_min", 0.0, 0.69),
    ],
)
def test_the_choices_that_matter(
    preset: str, name: str, value: object, r: float, r_over_seeds: Callable[[str], np.ndarray]
) -> None:
    choices = other_choices(read_preset(preset).parameters)
    index = [(choice.name, choice.value) for choice in choices].index((name, value))
    assert r_over_seeds(preset)[index] == pytest.approx(r, abs=0.015)


@pytest.fixture(scope="module")
def r_over_seeds() -> Callable[[str], np.ndarray]:
    found = {
        preset: np.mean(
            [
                r_of_other_choices(read_preset(preset).parameters, seed=seed)[:, 0]
                for seed in range(3)
            ],
            axis=0,
        )
        for preset in ("homogeneous", "varied")
    }
    return found.__getitem__


def test_surroundings_are_judged_by_the_images() -> None:
    parameters = with_voxels(read_preset("varied"), 500).parameters
    names = [choice.name for choice in other_choices(parameters)]
    r = r_of_other_choices(parameters, seed=2)
    assert r.shape == (len(names), 3)
    alike: StudyParameters = replace(parameters, surroundings="alike")
    images, _ = imaged(simulate(alike, seed=2))
    assert r[names.index("surroundings"), 0] == pytest.approx(images.pearson_r())
