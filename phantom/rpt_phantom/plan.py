"""How a virtual cohort's patients are dealt to training, folds and testing."""

from dataclasses import dataclass
from typing import Any

from rpt_cohort import BadInput, assign_folds

from rpt_phantom.presets import cohort_cycles
from rpt_phantom.settings import Settings

FOLDS = 5
TEST_EVERY = 4
"""By default patients 3, 7, 11 … are for testing: who is does not change as patients are added."""


@dataclass(frozen=True)
class Plan:
    """What is to be made, checked.

    Attributes:
        settings: Of the cohort.
        cycles: Patient → numbers of the cycles.
        fold: Training patient → fold.
        parameters: What was asked for beside the settings.
    """

    settings: Settings
    cycles: dict[str, tuple[int, ...]]
    fold: dict[str, int]
    parameters: dict[str, Any]


def make_plan(
    settings: Settings,
    *,
    patients: int | None = None,
    preset: str | None = None,
    folds: int | None = None,
    test_patients: int | None = None,
) -> Plan:
    """Check the numbers and deal the patients; see ``write_cohort``.

    Raises:
        BadInput: A number is out of its range.
    """
    cycles = cohort_cycles(seed=settings.seed, patients=patients, preset=preset)
    count = len(cycles)
    names = list(cycles)
    if test_patients is None:
        testing = names[TEST_EVERY - 2 :: TEST_EVERY]
    elif 0 <= test_patients < count:
        testing = names[count - test_patients :]
    else:
        raise BadInput(
            f"test-patients must be 0 to {count - 1}, so that one of {count} patients is "
            f"left for training, got {test_patients}."
        )
    training = {name: len(of) for name, of in cycles.items() if name not in testing}
    folds = min(FOLDS, len(training)) if folds is None else folds
    if folds > len(training):
        raise BadInput(
            f"folds must be at most {len(training)}, one for each training patient, got {folds}. "
            "Ask for fewer folds, fewer test patients or more patients."
        )
    # One fold is no cross-validation; it is what a single training patient can have.
    alone = len(training) == 1 and folds == 1
    fold = (
        dict.fromkeys(training, 0)
        if alone
        else assign_folds(training, folds=folds, seed=settings.seed)
    )
    asked = {"patients": count, "preset": preset, "folds": folds, "test_patients": len(testing)}
    return Plan(settings, cycles, fold, asked)
