"""The study's parameters and their preset files: every choice that the paper leaves open.

Xue et al. 2024 (doi 10.1007/s00259-024-06737-3, Fig. 1 and S3) simulate two sub-tissues and
print three correlations, but not the numbers behind them. All defaults are ours unless a source
is named; the preset files, in TOML with units in the keys, say what reaches which correlation.
"""

import tomllib
from collections.abc import Mapping
from dataclasses import astuple, dataclass, fields, is_dataclass, replace
from importlib.resources import files
from pathlib import Path
from typing import Annotated, Any, Literal

import numpy as np
from pydantic import ConfigDict, Strict, TypeAdapter, ValidationError
from rpt_cohort.reading import fault_sentences

from rpt_kinetics.curves import Floats
from rpt_kinetics.dose import PAPER_KIDNEY_CORTEX, TISSUE_DENSITY_G_PER_ML
from rpt_kinetics.models import UNITS, Rates

# House rule: fewer than 20 voxels of a region have no statistics.
FEWEST_VOXELS = 2 * 20
# 1.4 GB of memory with correlated fields (ours).
MOST_VOXELS = 1_000_000

Number = Annotated[float, Strict()]
CONFIG = ConfigDict(extra="forbid")
Draws = Literal["coupled", "independent"]
Distribution = Literal["truncated_normal", "log_normal"]
GradientForm = Literal["linear", "quadratic"]
Surroundings = Literal["cold", "alike"]
Blood = Literal["siebinga", "kabasakal"]


@dataclass(frozen=True, kw_only=True)
class PerRate:
    """One number without unit for each of K₁, k₂, k₃, k₄ and V_b."""

    __pydantic_config__ = CONFIG

    k1: Number
    k2: Number
    k3: Number
    k4: Number
    vb: Number

    def row(self) -> Floats:
        """Return the five numbers, shape (5,)."""
        return np.array(astuple(self))


@dataclass(frozen=True, kw_only=True)
class BaseRates:
    """Rate constants at the rim of the first sub-tissue.

    Raises:
        ValueError: A rate is negative or above 100, or V_b is outside [0, 1).
    """

    __pydantic_config__ = CONFIG

    k1_ml_per_min_per_ml: Number
    k2_per_min: Number
    k3_per_min: Number
    k4_per_min: Number
    vb: Number

    def __post_init__(self) -> None:
        """Refuse what no tissue has."""
        rates_of(self.row())
        for name, value in vars(self).items():
            _check(f"pet_rates.{name}", value, low=0.0, high=LARGEST_RATE, unit=UNITS[name])

    def row(self) -> Floats:
        """Return the five numbers, shape (5,)."""
        return np.array(astuple(self))


NONE = PerRate(k1=0.0, k2=0.0, k3=0.0, k4=0.0, vb=0.0)
SAME = PerRate(k1=1.0, k2=1.0, k3=1.0, k4=1.0, vb=1.0)


@dataclass(frozen=True, kw_only=True)
class StudyParameters:
    """One virtual organ of two sub-tissues, its PET and its therapy.

    Attributes:
        pet_rates: Of [68Ga]Ga-PSMA-11, at the rim of the first sub-tissue. Kidney-like: SUV and
            dose come out as clinics measure them; no source gives the five numbers.
        second_subtissue_factor: Second sub-tissue's PET rates divided by the first's.
        pet_to_therapy_ratio: k_p/k_t of the first sub-tissue. The ratio of k₄ is large because a
            k₄ fitted to an hour of PET does not describe a week of therapy.
        second_ratio_factor: k_p/k_t of the second sub-tissue divided by the first's: all 1 is
            the homogeneous hypothesis, anything else the heterogeneous one.
        gradient_amplitude: A rate at a sub-tissue's centre is 1 + this times its rim's.
        gradient_form: "linear" in the distance from the centre, or "quadratic".
        voxel_cv: SD of a rate between a sub-tissue's voxels over its local mean. The paper's SD
            is of patients and of unknown size; 0 for V_b leaves it as it is.
        patient_cv: SD of one factor that all voxels of a seed share.
        ratio_cv: SD of k_p/k_t between voxels over its mean, always log-normal.
        draws: "coupled": k_t is k_p divided by the ratio, voxel by voxel; "independent": k_t is
            drawn from the same distribution by other chance, and divided by the ratio.
        distribution: "truncated_normal" (below 0 cut off, V_b at 1 too) or "log_normal".
        correlation_length_mm: Of all draws: where the autocorrelation falls to 1/e; 0 draws each
            voxel alone, as the paper does.
        pet_input: Blood curve of the PET, an assumption: no curve of this tracer was found.
        therapy_input: Blood curve of the therapy, an assumption: both are of [177Lu]Lu-PSMA.
        suv_time_min: Instant, or middle of the frame, min after the injection.
        pet_frame_min: Length of the frame, min; 0 for an instant.
        weight_kg: Body weight.
        administered_activity_mbq: Of the therapy.
        s_mgy_per_mbq_s: The paper's, of the left kidney's cortex: an organ's S-value.
        organ_mass_g: The mass it goes with; it also sets the organ's size.
        density_g_per_ml: Of the tissue.
        voxels: Number in both sub-tissues together; it sets the voxels' size.
        pet_fwhm_mm: Resolution of the PET.
        spect_fwhm_mm: Resolution of the SPECT from which a dose map is made.
        pet_noise_cv: SD of the PET's noise in the image over the organ's mean.
        spect_noise_cv: The same of the dose map.
        surroundings: What blur mixes in beyond the organ: "cold", nothing; "alike", more of the
            same (the blurred image is divided by the blurred mask).

    Raises:
        ValueError: A value is outside its range.
    """

    __pydantic_config__ = CONFIG

    pet_rates: BaseRates
    second_subtissue_factor: PerRate = SAME
    pet_to_therapy_ratio: PerRate = SAME
    second_ratio_factor: PerRate = SAME
    gradient_amplitude: PerRate = NONE
    gradient_form: GradientForm = "linear"
    voxel_cv: PerRate = NONE
    patient_cv: PerRate = NONE
    ratio_cv: PerRate = NONE
    draws: Draws = "coupled"
    distribution: Distribution = "truncated_normal"
    correlation_length_mm: Number = 0.0
    pet_input: Blood = "siebinga"
    therapy_input: Blood = "siebinga"
    suv_time_min: Number = 60.0
    pet_frame_min: Number = 0.0
    weight_kg: Number = 80.0
    administered_activity_mbq: Number = 7400.0
    s_mgy_per_mbq_s: Number = PAPER_KIDNEY_CORTEX.s_mgy_per_mbq_s
    organ_mass_g: Number = PAPER_KIDNEY_CORTEX.organ_mass_g
    density_g_per_ml: Number = TISSUE_DENSITY_G_PER_ML
    voxels: Annotated[int, Strict()] = 9888
    pet_fwhm_mm: Number = 6.0
    spect_fwhm_mm: Number = 12.0
    pet_noise_cv: Number = 0.1
    spect_noise_cv: Number = 0.1
    surroundings: Surroundings = "cold"

    def __post_init__(self) -> None:
        """Refuse what has no meaning."""
        for name, (low, high, unit) in LIMITS.items():
            _check(name, getattr(self, name), low=low, high=high, unit=unit)
        for name, (low, high) in PER_RATE.items():
            for rate, value in vars(getattr(self, name)).items():
                _check(f"{name}.{rate}", value, low=low, high=high)
        if self.pet_frame_min > 2 * self.suv_time_min:
            raise ValueError(
                f"pet_frame_min must be at most {2 * self.suv_time_min:g} min, twice suv_time_min, "
                f"or the frame starts before the injection; got {self.pet_frame_min:g} min."
            )


# Ours: far beyond any patient, and near enough that no result overflows.
LIMITS = {
    "suv_time_min": (0.01, 1440.0, "min"),
    "pet_frame_min": (0.0, 2880.0, "min"),
    "weight_kg": (1.0, 1000.0, "kg"),
    "administered_activity_mbq": (1e-3, 1e6, "MBq"),
    "s_mgy_per_mbq_s": (1e-9, 1e3, "mGy/(MBq·s)"),
    "organ_mass_g": (0.1, 1e5, "g"),
    "density_g_per_ml": (0.05, 25.0, "g/mL"),
    # As far as the grid's margins carry: it is periodic.
    "pet_fwhm_mm": (0.0, 40.0, "mm"),
    "spect_fwhm_mm": (0.0, 40.0, "mm"),
    "correlation_length_mm": (0.0, 1000.0, "mm"),
    "pet_noise_cv": (0.0, 10.0, ""),
    "spect_noise_cv": (0.0, 10.0, ""),
    "voxels": (FEWEST_VOXELS, MOST_VOXELS, "voxels"),
}
PER_RATE = {
    "second_subtissue_factor": (0.0, 1e3),
    "pet_to_therapy_ratio": (1e-4, 1e6),
    "second_ratio_factor": (1e-3, 1e3),
    "gradient_amplitude": (-1.0, 1e3),
    "voxel_cv": (0.0, 10.0),
    "patient_cv": (0.0, 10.0),
    "ratio_cv": (0.0, 10.0),
}
LARGEST_RATE = 100.0
"""mL/min/mL or 1/min (ours): the blood passes through 100 times in a minute."""


def rates_of(rows: Floats) -> Rates:
    """Return rates from K₁, k₂, k₃, k₄ and V_b in rows, shape (5, …)."""
    k1, k2, k3, k4, vb = rows
    return Rates(k1_ml_per_min_per_ml=k1, k2_per_min=k2, k3_per_min=k3, k4_per_min=k4, vb=vb)


def _check(name: str, value: float, *, low: float, high: float, unit: str = "") -> None:
    # NaN is neither.
    if not low <= value <= high:
        of_unit = f" {unit}" if unit else ""
        fix = "Check its unit." if unit else "A share of 10 % is 0.1."
        raise ValueError(
            f"{name} must be from {low:g} to {high:g}{of_unit}, got {value!r}{of_unit}. {fix}"
        )


FOLDER = files("rpt_kinetics") / "presets"
SUFFIX = ".toml"
PAPER_PRESETS = ("homogeneous", "heterogeneous", "varied")
TargetOf = Literal["overall", "per cluster"]


@dataclass(frozen=True, kw_only=True)
class Preset:
    """A parameter file.

    Attributes:
        name: The file's name without ending.
        parameters: What the study computes with.
        description: A sentence.
        why_not_unique: A sentence: what else gives the same correlation.
        target_pearson_r: The paper's, where the preset is made to meet one.
        target_of: Whether that is r over the organ, or in each sub-tissue.
    """

    name: str
    parameters: StudyParameters
    description: str = ""
    why_not_unique: str = ""
    target_pearson_r: Number | None = None
    target_of: TargetOf = "overall"


def preset_names() -> list[str]:
    """Return the presets of this package: the paper's three, then the others by name."""
    names = {file.name.removesuffix(SUFFIX) for file in FOLDER.iterdir()}
    return [*PAPER_PRESETS, *sorted(names - set(PAPER_PRESETS))]


def read_preset(name: str) -> Preset:
    """Read a preset of this package, or a file of the same form.

    Args:
        name: Such as ``varied``, or the path of a ``.toml`` file.

    Raises:
        ValueError: There is neither, or the file is at fault.
    """
    if name in preset_names():
        return preset_of(tomllib.loads((FOLDER / f"{name}{SUFFIX}").read_text("utf-8")), name=name)
    path = Path(name)
    if path.suffix != SUFFIX or not path.is_file():
        raise ValueError(
            f"The preset must be one of {', '.join(preset_names())}, or a {SUFFIX} file like "
            f"theirs, got '{path.name}'. Check the spelling and the folder."
        )
    try:
        content = tomllib.loads(path.read_text("utf-8"))
    except (OSError, ValueError) as error:
        raise ValueError(f"{path.name} must be a readable TOML file: {error}.") from error
    return preset_of(content, name=path.stem)


def preset_of(content: Mapping[str, Any], *, name: str) -> Preset:
    """Return the preset that a parameter file's content describes.

    Raises:
        ValueError: A key is unknown or missing, or a value is of the wrong kind or out of range.
    """
    heads = {field.name for field in fields(Preset)} - {"name", "parameters"}
    whole = {key: content[key] for key in heads & set(content)} | {
        "name": name,
        "parameters": {key: content[key] for key in content if key not in heads},
    }
    try:
        return TypeAdapter(Preset).validate_python(whole)
    except ValidationError as error:
        ours = error.errors()[0].get("ctx", {}).get("error")
        raise ValueError(str(ours or fault_sentences(error, name)[0])) from error


def in_words(parameters: StudyParameters) -> dict[str, float | int | str]:
    """Return the parameters as one flat table, ``voxel_cv.k1`` and the like."""
    flat: dict[str, float | int | str] = {}
    for name, value in vars(parameters).items():
        if is_dataclass(value):
            flat |= {f"{name}.{rate}": number for rate, number in vars(value).items()}
        else:
            flat[name] = value
    return flat


def with_voxels(preset: Preset, voxels: int) -> Preset:
    """Return the preset with another number of voxels in the same organ.

    Raises:
        ValueError: There are too few or too many.
    """
    return replace(preset, parameters=replace(preset.parameters, voxels=voxels))
