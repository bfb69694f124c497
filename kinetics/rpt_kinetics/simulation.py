"""The paper's simulation: rates of each voxel for PET and therapy, their SUV and their dose."""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from rpt_cohort.correlation import pearson_r

from rpt_kinetics.correlation import pearson_r_per_cluster
from rpt_kinetics.dose import (
    GA68_HALF_LIFE_MIN,
    LU177_HALF_LIFE_MIN,
    OrganSValue,
    tia_mbq_h_per_g,
)
from rpt_kinetics.exponentials import Floats
from rpt_kinetics.fields import drawn, gaussian_field
from rpt_kinetics.geometry import Organ, two_balls
from rpt_kinetics.inputs import (
    NAMED_INPUTS,
    InputFunction,
    NamedInput,
    percent_ia_per_l_to_suv,
)
from rpt_kinetics.models import pet_concentration, pet_frame_mean, time_integrated_activity
from rpt_kinetics.rates import Rates
from rpt_kinetics.study_parameters import PerRate, StudyParameters, rates_of

# Each use of chance has its own stream, so that changing one leaves the others as they were.
PET_DRAW, THERAPY_DRAW, RATIO_DRAW, PET_NOISE, SPECT_NOISE = range(5)
VB = 4
# g/mL or Gy: its square, summed over the voxels, is still a number; and so is a float32.
LARGEST = 1e30


@dataclass(frozen=True, eq=False)
class Simulation:
    """One virtual organ.

    Attributes:
        parameters: What it was made with.
        seed: Of its chance.
        organ: Its n voxels.
        pet: Rates of the PET tracer, shape (n,).
        therapy: Rates of the therapeutic agent, shape (n,).
        suv_g_per_ml: True SUV, shape (n,).
        dose_gy: True absorbed dose, Gy, shape (n,).
    """

    parameters: StudyParameters
    seed: int
    organ: Organ
    pet: Rates
    therapy: Rates
    suv_g_per_ml: Floats
    dose_gy: Floats

    def pearson_r(self) -> float:
        """Return r of true SUV and dose over both sub-tissues."""
        return pearson_r(self.suv_g_per_ml, self.dose_gy)

    def pearson_r_per_cluster(self) -> list[float]:
        """Return r of true SUV and dose in each sub-tissue."""
        return pearson_r_per_cluster(self.suv_g_per_ml, self.dose_gy, self.organ.subtissue)


def simulate(parameters: StudyParameters, *, seed: int) -> Simulation:
    """Draw an organ and compute each voxel's SUV and dose.

    Args:
        parameters: The study's.
        seed: At least 0; the same seed gives the same organ.

    Raises:
        ValueError: A mean V_b reaches 1, a rate drawn is none, the organ's grid is too large, or a
            result is too large for the files.
    """
    organ = organ_of(parameters)
    _check_blood(parameters, organ)
    pet = _drawn_rates(parameters, organ, seed=seed, purpose=PET_DRAW)
    coupled = parameters.draws == "coupled"
    alike = pet if coupled else _drawn_rates(parameters, organ, seed=seed, purpose=THERAPY_DRAW)
    therapy = alike / _ratio(parameters, organ, seed=seed)
    suv = suv_at(parameters, rates_of(pet), time_min=parameters.suv_time_min)
    dose = dose_gy(parameters, rates_of(therapy))
    _check_finite({"SUV (g/mL)": suv, "dose (Gy)": dose})
    return Simulation(
        parameters=parameters,
        seed=seed,
        organ=organ,
        pet=rates_of(pet),
        therapy=rates_of(therapy),
        suv_g_per_ml=suv,
        dose_gy=dose,
    )


def organ_of(parameters: StudyParameters) -> Organ:
    """Return the organ's geometry: its mass and density give its size."""
    volume_ml = parameters.organ_mass_g / parameters.density_g_per_ml
    return two_balls(voxels=parameters.voxels, volume_ml=volume_ml)


def mean_rates(parameters: StudyParameters, organ: Organ) -> Floats:
    """Return the PET's rates before any draw, with the gradients; shape (5, n)."""
    second = organ.subtissue == 2
    factor = np.where(second, _column(parameters.second_subtissue_factor), 1.0)
    power = {"linear": 1, "quadratic": 2}[parameters.gradient_form]
    inward = 1.0 - organ.radius_share**power
    gradient = 1.0 + _column(parameters.gradient_amplitude) * inward
    return np.asarray(parameters.pet_rates.row()[:, np.newaxis] * factor * gradient)


def suv_at(parameters: StudyParameters, pet: Rates, *, time_min: float) -> Floats:
    """Return the SUV at an instant, or averaged over the frame around it; g/mL, shape (n,)."""
    blood = _in_suv(parameters.pet_input, parameters)
    if parameters.pet_frame_min == 0:
        return pet_concentration(pet, blood, time_min)
    half = parameters.pet_frame_min / 2
    return pet_frame_mean(
        pet, blood, [time_min - half], [time_min + half], half_life_min=GA68_HALF_LIFE_MIN
    )[:, 0]


def dose_gy(parameters: StudyParameters, therapy: Rates) -> Floats:
    """Return each voxel's dose: organ S-value × organ mass × its activity per gram; Gy, (n,)."""
    tia = time_integrated_activity(
        therapy,
        _in_suv(parameters.therapy_input, parameters),
        half_life_min=LU177_HALF_LIFE_MIN,
    )
    s_value = OrganSValue(
        s_mgy_per_mbq_s=parameters.s_mgy_per_mbq_s, organ_mass_g=parameters.organ_mass_g
    )
    return s_value.voxel_dose_gy(
        tia_mbq_h_per_g(
            tia,
            administered_activity_mbq=parameters.administered_activity_mbq,
            weight_kg=parameters.weight_kg,
            density_g_per_ml=parameters.density_g_per_ml,
        )
    )


def _check_blood(parameters: StudyParameters, organ: Organ) -> None:
    """Refuse a mean V_b of 1 and above, which the draws would cut off unseen."""
    pet = mean_rates(parameters, organ)[VB].max()
    therapy = (mean_rates(parameters, organ) / _mean_ratio(parameters, organ))[VB].max()
    for agent, vb in (("PET", pet), ("therapy", therapy)):
        if not vb < 1:
            raise ValueError(
                f"The mean V_b of the {agent} must be below 1 everywhere, got {vb:g}: "
                "pet_rates.vb times second_subtissue_factor.vb and 1 + gradient_amplitude.vb"
                f"{', divided by k_p/k_t' if agent == 'therapy' else ''}. Lower one of them."
            )


def _check_finite(results: Mapping[str, Floats]) -> None:
    """Refuse results that a map in single precision, or a sum of squares, cannot hold."""
    for name, values in results.items():
        if not np.all(np.abs(values) < LARGEST):
            raise ValueError(
                f"Every voxel's {name} must be finite and below {LARGEST:g}, and one is not. "
                "Bring the preset's rates and ratios, and their spread, nearer to a tissue's."
            )


# The sweeps ask for the same dozen fields again and again.
@lru_cache(maxsize=16)
def field_of(organ: Organ, stream: tuple[int, ...], *, correlation_length_mm: float) -> Floats:
    """Return standard normal chance for the organ's voxels, shape (n,), read-only.

    Args:
        organ: Where.
        stream: Seed and purpose.
        correlation_length_mm: 0 for voxels drawn alone.
    """
    rng = np.random.default_rng(stream)
    if correlation_length_mm == 0:
        chance = rng.standard_normal(len(organ.subtissue))
    else:
        field = gaussian_field(
            organ.shape,
            rng,
            correlation_length_mm=correlation_length_mm,
            spacing_mm=organ.spacing_mm,
        )
        chance = organ.values(field)
    chance.flags.writeable = False
    return chance


def _drawn_rates(parameters: StudyParameters, organ: Organ, *, seed: int, purpose: int) -> Floats:
    """Draw the rates of one agent, on the scale of the PET's; shape (5, n)."""
    rows = mean_rates(parameters, organ)
    voxel_cv, patient_cv = parameters.voxel_cv.row(), parameters.patient_cv.row()
    distribution = parameters.distribution
    for i, row in enumerate(rows):
        upper = 1.0 if i == VB else np.inf
        if patient_cv[i] > 0:
            rng = np.random.default_rng((seed, purpose, i, 1))
            factor = drawn(
                np.ones(1),
                rng.standard_normal(1),
                cv=patient_cv[i],
                distribution=distribution,
                upper=upper / row.max() if row.max() > 0 else np.inf,
            )
            row *= factor
        if voxel_cv[i] > 0:
            length = parameters.correlation_length_mm
            chance = field_of(organ, (seed, purpose, i), correlation_length_mm=length)
            row[:] = drawn(row, chance, cv=voxel_cv[i], distribution=distribution, upper=upper)
    return rows


def _ratio(parameters: StudyParameters, organ: Organ, *, seed: int) -> Floats:
    """Return k_p/k_t of each voxel, shape (5, n)."""
    ratio = _mean_ratio(parameters, organ)
    for i, cv in enumerate(parameters.ratio_cv.row()):
        if cv > 0:
            length = parameters.correlation_length_mm
            chance = field_of(organ, (seed, RATIO_DRAW, i), correlation_length_mm=length)
            ratio[i] = drawn(ratio[i], chance, cv=cv, distribution="log_normal")
    return ratio


def _mean_ratio(parameters: StudyParameters, organ: Organ) -> Floats:
    """Return k_p/k_t before any draw, shape (5, n)."""
    change = np.where(organ.subtissue == 2, _column(parameters.second_ratio_factor), 1.0)
    return np.asarray(_column(parameters.pet_to_therapy_ratio) * change)


def _column(per_rate: PerRate) -> Floats:
    return per_rate.row()[:, np.newaxis]


def _in_suv(name: NamedInput, parameters: StudyParameters) -> InputFunction:
    return percent_ia_per_l_to_suv(NAMED_INPUTS[name](), weight_kg=parameters.weight_kg)
