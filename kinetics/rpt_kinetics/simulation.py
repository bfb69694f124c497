"""The paper's simulation: a virtual organ, the rates of its voxels, their SUV and their dose."""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from numpy.typing import ArrayLike, NDArray
from rpt_cohort.correlation import pearson_r
from scipy.fft import irfftn, next_fast_len, rfftn
from scipy.special import ndtr, ndtri

from rpt_kinetics.curves import Floats
from rpt_kinetics.dose import GA68_HALF_LIFE_MIN, LU177_HALF_LIFE_MIN, OrganSValue, tia_mbq_h_per_g
from rpt_kinetics.inputs import (
    NAMED_INPUTS,
    InputFunction,
    NamedInput,
    decay_rate_per_min,
    percent_ia_per_l_to_suv,
)
from rpt_kinetics.models import Rates, pet_concentration, time_integrated_activity
from rpt_kinetics.parameters import Distribution, PerRate, StudyParameters, rates_of

# Room for blur on each side, twice the SPECT's FWHM (ours). The grid is periodic.
MARGIN_MM = 24.0
# 0.2 GB for one map; a blur or a correlated field holds several (ours).
MOST_GRID_POINTS = 20_000_000

Whole = NDArray[np.int64]


@dataclass(frozen=True, eq=False)
class Organ:
    """Voxels of two sub-tissues on a grid of cubic voxels.

    Attributes:
        shape: Of the grid.
        spacing_mm: Edge of a voxel, mm.
        index: Position of each voxel on the grid, shape (3, n).
        subtissue: 1 or 2, shape (n,).
        radius_share: Distance from the sub-tissue's centre over its radius, 0 to 1, shape (n,).
    """

    shape: tuple[int, int, int]
    spacing_mm: float
    index: Whole
    subtissue: NDArray[np.uint8]
    radius_share: Floats

    @property
    def affine(self) -> Floats:
        """Index → position, mm, RAS+, 0 at the grid's middle; shape (4, 4)."""
        matrix = np.diag([self.spacing_mm] * 3 + [1.0])
        matrix[:3, 3] = -self.spacing_mm * (np.array(self.shape) - 1) / 2
        return matrix

    def position_mm(self) -> Floats:
        """Return where each voxel's centre is, mm, RAS+, shape (3, n)."""
        matrix = self.affine
        return np.asarray(matrix[:3, :3] @ self.index + matrix[:3, 3:])

    def volume(self, values: Floats) -> Floats:
        """Put the voxels' values on the grid, 0 elsewhere.

        Args:
            values: Shape (n,), any unit.
        """
        grid = np.zeros(self.shape)
        grid[tuple(self.index)] = values
        return grid

    def values(self, volume: Floats) -> Floats:
        """Take the voxels' values from a grid; shape (n,)."""
        return np.asarray(volume[tuple(self.index)])


@lru_cache(maxsize=16)
def two_balls(*, voxels: int, volume_ml: float) -> Organ:
    """Make an organ of two touching balls of half the voxels each.

    A ball is the wanted number of grid points nearest to its centre, so the organ has exactly
    ``voxels`` voxels and exactly ``volume_ml``. With an odd number the first has one more.

    Raises:
        ValueError: The grid is too large for the memory.
    """
    spacing_mm = (1000.0 * volume_ml / voxels) ** (1 / 3)
    first, second = _ball((voxels + 1) // 2), _ball(voxels // 2)
    offsets = np.concatenate([first, second], axis=1)
    subtissue = np.repeat(np.array([1, 2], dtype=np.uint8), [first.shape[1], second.shape[1]])
    distance = np.linalg.norm(offsets, axis=0)
    radius = [distance[subtissue == number].max() for number in (1, 2)]
    # A whole number above both radii together: no voxel belongs to both.
    offsets[0, subtissue == 2] += int(radius[0] + radius[1]) + 1
    margin = int(np.ceil(MARGIN_MM / spacing_mm))
    lowest = offsets.min(axis=1, keepdims=True)
    needed = offsets.max(axis=1) - lowest[:, 0] + 1 + 2 * margin
    x, y, z = (next_fast_len(int(count), real=True) for count in needed)
    if x * y * z > MOST_GRID_POINTS:
        raise ValueError(
            f"The organ's grid with {MARGIN_MM:g} mm around it must have at most "
            f"{MOST_GRID_POINTS:,} points, got {x * y * z:,} of {spacing_mm:.2g} mm. "
            "Take fewer voxels, or a larger organ_mass_g."
        )
    organ = Organ(
        shape=(x, y, z),
        spacing_mm=spacing_mm,
        index=offsets - lowest + margin,
        subtissue=subtissue,
        radius_share=distance / np.where(subtissue == 1, radius[0], radius[1]),
    )
    for array in (organ.index, organ.subtissue, organ.radius_share):
        array.flags.writeable = False
    return organ


def _ball(count: int) -> Whole:
    """Return the ``count`` grid points nearest to 0, shape (3, count)."""
    reach = int(np.ceil((3 * count / (4 * np.pi)) ** (1 / 3))) + 1
    edge = np.arange(-reach, reach + 1)
    points = np.stack(np.meshgrid(edge, edge, edge, indexing="ij")).reshape(3, -1)
    # Stable: of equally distant points the first on the grid, always the same ones.
    nearest = np.argsort((points**2).sum(axis=0), kind="stable")[:count]
    return np.asarray(points[:, np.sort(nearest)])


# Beyond this many SD a normal distribution has less mass than double precision resolves.
NO_MASS = 9.0
# A spread below this share is lost in rounding.
NO_SPREAD = 1e-15
LARGEST_SHARE = float(np.nextafter(1.0, 0.0))


def gaussian_field(
    shape: tuple[int, int, int],
    rng: np.random.Generator,
    *,
    correlation_length_mm: float,
    spacing_mm: float,
) -> Floats:
    """Draw a field of mean 0, variance 1 and autocorrelation exp(−d²/L²).

    White noise is multiplied, in Fourier space, by the root of the covariance's transform
    (circulant embedding). The covariance is a sum over the periodic images of the grid, hence
    exact on it; at L = 0 the field is the white noise itself.

    Args:
        shape: Of the grid, on which the field is periodic.
        correlation_length_mm: L, where the autocorrelation is 1/e, mm.

    Source: Dietrich & Newsam, SIAM J Sci Comput 18 (1997) 1088.
    """
    noise = rng.standard_normal(shape)
    length = correlation_length_mm / spacing_mm
    if length == 0:
        return noise
    x, y, z = (np.sqrt(_spectrum(n, length)) for n in shape)
    half = shape[2] // 2 + 1
    filtered = rfftn(noise) * (x[:, None, None] * y[:, None] * z[:half])
    return np.asarray(irfftn(filtered, s=shape))


def periodic_autocorrelation(count: int, length: float) -> Floats:
    """Return exp(−d²/L²) summed over the periodic images of a line of voxels, 1 at d = 0.

    Args:
        count: Voxels in the line.
        length: L in voxels, above 0.
    """
    images = np.arange(-int(np.ceil(7 * length / count)) - 1, int(np.ceil(7 * length / count)) + 2)
    distance = np.arange(count)[:, None] + count * images
    covariance = np.exp(-((distance / length) ** 2)).sum(axis=1)
    return np.asarray(covariance / covariance[0])


def _spectrum(count: int, length: float) -> Floats:
    # Real and above 0 in theory; the highest frequencies are lost in rounding.
    return np.maximum(np.fft.fft(periodic_autocorrelation(count, length)).real, 0.0)


def drawn(
    mean: Floats, chance: Floats, *, cv: float, distribution: Distribution, upper: float = np.inf
) -> Floats:
    """Turn standard normal chance into a quantity that is at least 0 and below ``upper``.

    "truncated_normal" is the normal of that mean and SD = cv·mean, cut off at 0 and ``upper``
    (which moves the mean of a wide one); "log_normal" has that mean and SD, cut off at ``upper``.
    The order of the chance is kept, so a field stays as smooth as it is.

    Args:
        mean: Shape (n,), any unit, at least 0.
        chance: Standard normal, shape (n,).
        cv: SD over mean.
        distribution: One of the two.
        upper: Where the distribution ends, in the unit of ``mean``.
    """
    if cv < NO_SPREAD:
        return mean.copy()
    # Where the mean is 0 everything is, whatever the limits.
    with np.errstate(over="ignore"):
        relative_upper = np.divide(upper, mean, out=np.full_like(mean, np.inf), where=mean > 0)
        normal_upper = (relative_upper - 1.0) / cv
    if distribution == "truncated_normal":
        inside = _truncated(chance, -1.0 / cv, normal_upper)
        # The limit itself may round to just below 0.
        return np.asarray(mean * np.maximum(1.0 + cv * inside, 0.0))
    log_std = np.sqrt(np.log1p(cv**2))
    inside = _truncated(chance, -np.inf, (np.log(relative_upper) + log_std**2 / 2) / log_std)
    return np.asarray(mean * np.exp(log_std * inside - log_std**2 / 2))


def _truncated(chance: ArrayLike, low: ArrayLike, high: ArrayLike) -> Floats:
    """Map standard normal numbers to the standard normal between ``low`` and ``high``."""
    if np.max(low) < -NO_MASS and np.min(high) > NO_MASS:
        return np.asarray(chance)
    share = ndtr(low) + ndtr(chance) * (ndtr(high) - ndtr(low))
    return np.asarray(ndtri(np.minimum(share, LARGEST_SHARE)))


NORMAL_97_5 = 1.959963984540054


def pearson_r_per_cluster(suv: Floats, dose: Floats, subtissue: NDArray[np.uint8]) -> list[float]:
    """Return r in sub-tissue 1 and in sub-tissue 2."""
    return [pearson_r(suv[subtissue == j], dose[subtissue == j]) for j in (1, 2)]


def correlations(suv: Floats, dose: Floats, subtissue: NDArray[np.uint8]) -> Floats:
    """Return r over the organ, in sub-tissue 1 and in sub-tissue 2; shape (3,)."""
    return np.array([pearson_r(suv, dose), *pearson_r_per_cluster(suv, dose, subtissue)])


def fisher_interval(r: float, count: int) -> tuple[float, float]:
    """Return the 95 % confidence interval of r over ``count`` independent voxels, above 3.

    It says how well this many voxels know r, not how r differs from patient to patient. Voxels
    that are alike because they are near (a gradient, a correlated field, blur) count as fewer:
    then it is too narrow.

    Source: Fisher, Metron 1 (1921) 3: arctanh r is nearly normal with variance 1/(n − 3).
    """
    if not abs(r) < 1:
        return r, r
    half = NORMAL_97_5 / np.sqrt(count - 3)
    return float(np.tanh(np.arctanh(r) - half)), float(np.tanh(np.arctanh(r) + half))


# Each use of chance has its own stream, so that changing one leaves the others as they were.
PET_DRAW, THERAPY_DRAW, RATIO_DRAW, PET_NOISE, SPECT_NOISE = range(5)
VB = 4
# Of a frame; its mean is exact to 1e-9 up to hours.
FRAME_NODES = 32
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
    """Return the SUV at an instant, or averaged over the frame around it; g/mL, shape (n,).

    A scanner counts decays, so a frame's mean is weighted with e^(−λt); it is summed by Gauss.
    """
    blood = _in_suv(parameters.pet_input, parameters)
    if parameters.pet_frame_min == 0:
        return pet_concentration(pet, blood, time_min)
    node, weight = np.polynomial.legendre.leggauss(FRAME_NODES)
    instants = time_min + parameters.pet_frame_min / 2 * node
    counted = weight * np.exp(-decay_rate_per_min(GA68_HALF_LIFE_MIN) * instants)
    return np.asarray(pet_concentration(pet, blood, instants) @ (counted / counted.sum()))


def dose_gy(parameters: StudyParameters, therapy: Rates) -> Floats:
    """Return each voxel's dose: organ S-value × organ mass × its activity per gram; Gy, (n,)."""
    tia = time_integrated_activity(
        therapy, _in_suv(parameters.therapy_input, parameters), half_life_min=LU177_HALF_LIFE_MIN
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
