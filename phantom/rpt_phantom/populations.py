"""What virtual patients resemble: one table of tissues, and how a patient is drawn from it.

Source: `reference/clinical.md`. Means: PSMA-11 SUVmean at 60 min (kidneys 25–50, liver 4–6,
spleen 6–10, muscle 0.5–0.8 and blood 1.5–2 united to 0.8) and Gy/GBq of Lu-PSMA I&T (kidney
0.69–0.72, liver 0.1, spleen 0.2–0.4, marrow 0.03). All spreads, correlations and
heterogeneities are ours: the spreads span the published ranges, the heterogeneities are
tuned so that the voxel-wise correlation of the *images* resembles the paper's Fig. 3
(kidney 0.77 ± 0.14, liver 0.50 ± 0.23, spleen 0.58 ± 0.26).
"""

from dataclasses import dataclass

import numpy as np
from rpt_cohort.labels import KIDNEY_LEFT, KIDNEY_RIGHT, LIVER, REMAINING_BODY, SPLEEN

from rpt_phantom.spine import SACRUM, T1

CORRELATION_LENGTH_MM = 25.0  # of the heterogeneity within organs; ours
WITHIN_PATIENT_STD = 0.08  # of the log of an organ's mean from cycle to cycle; ours


@dataclass(frozen=True)
class Tissue:
    """One row of the table: a tissue over all patients.

    Attributes:
        labels: Ids in ``organs.nii.gz``.
        suv_g_per_ml: Mean over patients of the mean SUV, g/mL.
        suv_std: SD of its log between patients.
        dose_gy_per_gbq: Mean over patients of the mean absorbed dose, Gy/GBq.
        dose_std: SD of its log between patients.
        correlation: Between the two logs, over patients.
        pet_heterogeneity: SD of the log SUV within the tissue.
        dose_heterogeneity: SD of the log dose within the tissue.
        shared: Mean share of the heterogeneity's variance that PET and dose have in common.
        shared_concentration: How alike the patients' shares are: a + b of their beta law.
        inner: Uptake of PET and dose in medulla and pelvis (kidneys) or in subcutaneous fat
            (remaining body), relative to the rest of the tissue.
    """

    labels: tuple[int, ...]
    suv_g_per_ml: float
    suv_std: float
    dose_gy_per_gbq: float
    dose_std: float
    correlation: float
    pet_heterogeneity: float
    dose_heterogeneity: float
    shared: float
    shared_concentration: float
    inner: tuple[float, float] = (1.0, 1.0)


TISSUES: dict[str, Tissue] = {
    "kidney": Tissue(
        labels=(KIDNEY_RIGHT, KIDNEY_LEFT),
        suv_g_per_ml=37.0,
        suv_std=0.22,
        dose_gy_per_gbq=0.70,
        dose_std=0.28,
        correlation=0.7,
        pet_heterogeneity=0.25,
        dose_heterogeneity=0.25,
        shared=0.9,
        shared_concentration=3.5,
        inner=(0.40, 0.45),
    ),
    "liver": Tissue(
        labels=(LIVER,),
        suv_g_per_ml=5.0,
        suv_std=0.18,
        dose_gy_per_gbq=0.10,
        dose_std=0.25,
        correlation=0.6,
        pet_heterogeneity=0.20,
        dose_heterogeneity=0.20,
        shared=0.53,
        shared_concentration=2.0,
    ),
    "spleen": Tissue(
        labels=(SPLEEN,),
        suv_g_per_ml=8.0,
        suv_std=0.25,
        dose_gy_per_gbq=0.30,
        dose_std=0.30,
        correlation=0.7,
        pet_heterogeneity=0.20,
        dose_heterogeneity=0.25,
        shared=0.38,
        shared_concentration=1.5,
    ),
    "spine": Tissue(
        labels=tuple(range(SACRUM, T1 + 1)),
        suv_g_per_ml=1.0,
        suv_std=0.20,
        dose_gy_per_gbq=0.03,
        dose_std=0.30,
        correlation=0.6,
        pet_heterogeneity=0.15,
        dose_heterogeneity=0.15,
        shared=0.5,
        shared_concentration=4.0,
    ),
    "remaining_body": Tissue(
        labels=(REMAINING_BODY,),
        suv_g_per_ml=0.8,
        suv_std=0.15,
        dose_gy_per_gbq=0.03,
        dose_std=0.30,
        correlation=0.6,
        pet_heterogeneity=0.25,
        dose_heterogeneity=0.25,
        shared=0.5,
        shared_concentration=4.0,
        inner=(0.4, 0.4),
    ),
}


@dataclass(frozen=True)
class TissueUptake:
    """One tissue of one patient at one cycle.

    Attributes:
        suv_g_per_ml: Mean SUV, g/mL.
        dose_gy_per_gbq: Mean absorbed dose per administered activity, Gy/GBq.
        shared: Share of the heterogeneity's variance that PET and dose have in common.
    """

    suv_g_per_ml: float
    dose_gy_per_gbq: float
    shared: float


def draw_uptake(
    patient_rng: np.random.Generator, cycle_rng: np.random.Generator
) -> dict[str, TissueUptake]:
    """Draw every tissue's means for one cycle.

    The logs of SUV and dose are jointly normal with the table's correlation; a smaller
    change from cycle to cycle, correlated alike, comes on top.

    Args:
        patient_rng: Source of what the patient keeps over the cycles; fresh for each call.
        cycle_rng: Source of what changes with the cycle.

    Returns:
        Tissue → its means, over all cycles of many patients the table's.
    """
    return {name: _draw_tissue(row, patient_rng, cycle_rng) for name, row in TISSUES.items()}


def _draw_tissue(
    tissue: Tissue, patient_rng: np.random.Generator, cycle_rng: np.random.Generator
) -> TissueUptake:
    stds = np.array([tissue.suv_std, tissue.dose_std])
    within = np.array([WITHIN_PATIENT_STD, WITHIN_PATIENT_STD])
    log_factor = (
        _correlated_pair(patient_rng, tissue.correlation) * stds
        + _correlated_pair(cycle_rng, tissue.correlation) * within
        - (stds**2 + within**2) / 2  # the mean of a log-normal is above its median
    )
    suv, dose = np.array([tissue.suv_g_per_ml, tissue.dose_gy_per_gbq]) * np.exp(log_factor)
    concentration = tissue.shared_concentration
    shared = patient_rng.beta(tissue.shared * concentration, (1 - tissue.shared) * concentration)
    return TissueUptake(float(suv), float(dose), float(shared))


def _correlated_pair(rng: np.random.Generator, correlation: float) -> np.ndarray:
    first, second = rng.standard_normal(2)
    return np.array([first, correlation * first + np.sqrt(1 - correlation**2) * second])
