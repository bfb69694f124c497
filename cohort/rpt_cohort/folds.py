"""Folds by patient: all cycles of one patient stand in one fold."""

from collections.abc import Mapping

import numpy as np

from rpt_cohort.errors import BadInput


def assign_folds(cycles_of_patient: Mapping[str, int], *, folds: int, seed: int) -> dict[str, int]:
    """Deal patients into folds with about equally many cycles each.

    Args:
        cycles_of_patient: Patient → number of cycles.
        folds: How many folds, at least 2.
        seed: Orders patients with equally many cycles.

    Returns:
        Patient → fold, 0 … ``folds`` − 1, in the order given; no fold is empty.

    Raises:
        BadInput: Fewer patients than folds, or fewer than two folds.
    """
    if folds < 2:
        raise BadInput(f"folds must be at least 2, got {folds}.")
    if len(cycles_of_patient) < folds:
        raise BadInput(
            f"There must be a patient for every fold, got {len(cycles_of_patient)} patients for "
            f"{folds} folds. Ask for fewer folds."
        )
    patients = sorted(cycles_of_patient)
    shuffled = [patients[i] for i in np.random.default_rng(seed).permutation(len(patients))]
    shuffled.sort(key=lambda patient: -cycles_of_patient[patient])
    load = [(0, 0)] * folds  # cycles, patients
    fold_of: dict[str, int] = {}
    for patient in shuffled:
        fold = load.index(min(load))
        fold_of[patient] = fold
        load[fold] = (load[fold][0] + cycles_of_patient[patient], load[fold][1] + 1)
    return {patient: fold_of[patient] for patient in cycles_of_patient}
