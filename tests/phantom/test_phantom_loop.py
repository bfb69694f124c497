"""Closing the loop: the chain that measures dose gives back the truth it was made from.

Each step of imaging is taken away or let in by itself, and what it does to an organ's mean is
compared with a number that was computed in another way. Seed 3, first cycles, 48 slices that hold
kidneys, liver and spleen whole.
"""

from collections.abc import Callable, Sequence
from itertools import pairwise

import numpy as np
import pytest
from rpt_cohort.labels import ORGANS as CONTRACT_ORGANS
from rpt_cohort.labels import REMAINING_BODY
from rpt_dosimetry.dose.activity_series import CycleImages, Therapy
from rpt_dosimetry.dose.anatomy import mass_density_g_per_ml
from rpt_dosimetry.dose.calculation import Choices, CycleDose, cycle_dose
from rpt_dosimetry.dose.engines import find_engine
from rpt_dosimetry.dose.rows import Tissues, Told, recovery_coefficient
from rpt_dosimetry.tia.region_fit import RegionFit, fit_region
from rpt_phantom.grid import FWHM_PER_STD, blurred_and_shifted
from rpt_phantom.imaging import fast_mean
from rpt_phantom.measured import CALIBRATION_LOG_STD, ENGINE, Drawn, measured_dose
from rpt_phantom.motion import breathed, draw_amplitudes_mm
from rpt_phantom.patient import VirtualCycle, make_cycle
from rpt_phantom.person import Purpose, generator
from rpt_phantom.settings import CohortSettings
from rpt_phantom.truth import END_SLICES, FINER, averaged_by_volume, lu177, virtual_person
from scipy.ndimage import distance_transform_edt, gaussian_filter

SEED, SLICES, PATIENTS, FIRST = 3, 48, (1, 3, 5, 6), 1
ORGANS = ("kidney", "liver", "spleen")
GIVEN_MBQ = 7300.0
DENSE_H = tuple(np.geomspace(0.5, 300.0, 32).tolist())
FAST_FWHM_MM = 12.0
"""Of the fast SPECT after recovery and filter, about: a sharp kidney recovers as much."""


@pytest.fixture(scope="module")
def cycles() -> dict[int, VirtualCycle]:
    return {
        one: make_cycle(CohortSettings(seed=SEED, slices=SLICES), patient=one) for one in PATIENTS
    }


@pytest.fixture(scope="module")
def made(cycles) -> VirtualCycle:
    return cycles[FIRST]


@pytest.fixture(scope="module")
def dense(made) -> CycleDose:
    """Perfect images at 32 times, curves by trapezoid, and a CT that tells the true density."""
    density = true_density(made)
    hu = hu_of(density)
    assert mass_density_g_per_ml(hu) == pytest.approx(density, abs=1e-4)
    return perfect_dose(made, DENSE_H, hu, model="trapezoid")


def hu_of(density_g_per_ml: np.ndarray) -> np.ndarray:
    """Invert Schneider's conversion; where two CT numbers have one density, take soft tissue."""
    soft = np.interp(
        density_g_per_ml,
        (0.00121, 0.93, 0.930486, 1.03, 1.031, 1.1199),
        (-1000.0, -98.0, -97.0, 14.0, 23.0, 100.0),
    )
    bone = np.interp(density_g_per_ml, (1.0762, 1.9642, 2.8), (101.0, 1600.0, 3000.0))
    return np.where(density_g_per_ml <= 1.1199, soft, bone)


def true_density(made: VirtualCycle) -> np.ndarray:
    """Return g/mL on the case's grid."""
    density = averaged_by_volume(made.truth.anatomy.density_g_per_ml)
    return made.truth.box.on_case(density, outside=0.00121)


def denser(made: VirtualCycle, organ: str) -> float:
    """Return how much denser an organ is by its CT than it is."""
    by_ct = mass_density_g_per_ml(made.ct_hu.astype(np.float64))
    return over(by_ct, true_density(made), where(made, organ))


def true_activity(made: VirtualCycle, time_h: float) -> np.ndarray:
    """Return Bq/mL on the case's grid."""
    fine = made.truth.activity_bq_per_ml(time_h=time_h, administered_mbq=GIVEN_MBQ)
    return made.truth.box.on_case(averaged_by_volume(fine))


def perfect_dose(
    made: VirtualCycle, times_h: Sequence[float], ct_hu: np.ndarray, *, model: str
) -> CycleDose:
    """Run the clinic's chain on the true activity."""
    images = CycleImages(
        bq_per_ml=np.stack([true_activity(made, time_h) for time_h in times_h]),
        ct_hu=ct_hu.astype(np.float64),
        organs=made.organs,
        lesions=made.lesions if made.lesions.any() else None,
        known=made.fov > 0,
        affine=made.grid.affine,
    )
    choices = Choices(find_engine(ENGINE, lu177()), Told(Tissues(), 0.0), model=model)
    therapy = Therapy(lu177(), GIVEN_MBQ, 0.0, 0.0, tuple(times_h))
    return cycle_dose(images, therapy, choices)


def where(made: VirtualCycle, organ: str) -> np.ndarray:
    return np.isin(made.organs, CONTRACT_ORGANS[organ]) & (made.fov > 0) & (made.lesions == 0)


def over(measured: np.ndarray, true: np.ndarray, here: np.ndarray) -> float:
    """Return the ratio of two means over a region."""
    return float(measured[here].mean(dtype=np.float64) / true[here].mean(dtype=np.float64))


def on_fine(made: VirtualCycle, here: np.ndarray) -> np.ndarray:
    """Return the voxels of 2.4 mm that make up voxels of the case."""
    x, y, z = made.truth.box.coarse.shape
    i, j = (here.shape[0] - x) // 2, (here.shape[1] - y) // 2
    coarse = np.zeros((x, y, z), bool)
    coarse[:, :, END_SLICES:-END_SLICES] = here[i : i + x, j : j + y]
    for axis in range(3):
        coarse = coarse.repeat(FINER, axis=axis)
    return coarse


def true_curve(made: VirtualCycle, organ: str) -> Callable[[float], float]:
    """Return time in h → mean share of the given activity per mL in an organ, decaying."""
    fine, decay = on_fine(made, where(made, organ)), lu177().decay_per_h

    def curve(time_h: float) -> float:
        share = made.truth.therapy.mean_fraction_per_ml(fine, time_h)
        return share * float(np.exp(-decay * time_h))

    return curve


def usual_fit(made: VirtualCycle, organ: str) -> tuple[RegionFit, float]:
    """Fit the three usual times of an organ without noise; the fit, and its TIA over the true."""
    times_h, curve = made.record.spect_times_h, true_curve(made, organ)
    fit = fit_region(
        times_h,
        [curve(time_h) for time_h in times_h],
        half_life_h=lu177().half_life_h,
        name=organ,
    )
    fine = on_fine(made, where(made, organ))
    true = made.truth.therapy.mean_residence_h_per_ml(fine, lu177().half_life_h)
    return fit, fit.tia_mbq_h / true


@pytest.mark.parametrize("organ", ORGANS)
def test_perfect_images_at_many_times_give_the_true_decays(made, dense, organ) -> None:
    """Straight lines between 32 times: + 0.3 % in kidneys, 0.0 % in liver, + 0.2 % in spleen.

    Curves are convex, so lines lie above: 16 times as far apart give + 2.2 to + 2.4 %. A sum of
    two exponentials is 4 to 7 % low at any number of times: the true curves have more phases.
    """
    per_gbq = dense.tia.mbq_h_per_ml / (GIVEN_MBQ / 1000.0)
    ratio = over(per_gbq, made.true_tia_mbq_h_per_ml, where(made, organ))
    assert ratio == pytest.approx(1.0, abs=0.01)


@pytest.mark.parametrize("organ", ORGANS)
def test_perfect_images_at_many_times_give_the_true_dose(made, dense, organ) -> None:
    """− 0.4 % in kidneys and liver, − 0.1 % in the spleen.

    The engine shares an electron's energy with the voxels of 4.8 mm around, the truth keeps it
    within 2.4 mm: an organ's rim loses 0.3 to 0.7 % of its mean.
    """
    ratio = over(
        dense.dose_gy / (GIVEN_MBQ / 1000.0), made.true_dose_gy_per_gbq, where(made, organ)
    )
    assert ratio == pytest.approx(1.0, abs=0.01)


@pytest.mark.parametrize(("organ", "low"), [("kidney", 0.004), ("liver", 0.028), ("spleen", 0.020)])
def test_a_ct_makes_organs_denser_than_they_are(made, organ, low) -> None:
    """The liver has 58 HU and 1.04 g/mL, and Schneider's conversion 1.070: its dose is 2.8 % low.

    The same images by either density. Photons, some percent of the dose, do not see it.
    """
    here, times_h = where(made, organ), (12.0, 36.0)
    hu = hu_of(true_density(made))
    by_ct, by_truth = (
        perfect_dose(made, times_h, ct_hu, model="mono").dose_gy for ct_hu in (made.ct_hu, hu)
    )
    expected = 1.0 / denser(made, organ)
    assert over(by_ct, by_truth, here) == pytest.approx(expected, abs=0.005)
    assert 1.0 - expected == pytest.approx(low, abs=0.003)


LEAVES = pytest.mark.xfail(
    strict=True,
    reason="Patient 6's fits leave the last point, next to nothing in his liver and spleen after a "
    "week: 3.5 % too low from the first to the second scan, where at least 4 % was asked; 3.5 % "
    "too low until the third, where at most 3 % was.",
)
NEXT_TO_NOTHING = pytest.mark.xfail(
    strict=True,
    reason="Patient 6, who has little in liver and spleen: noise at the last scan decides what his "
    "fits do, so that the dose is 3.51 and 5.8 % off the fit of the means, 3.5 were asked; and "
    "within 24 mm of his spleen the fast SPECT has 3.9 % more than is there, 3 were asked.",
)
FLAT = pytest.mark.xfail(
    strict=True, reason="A large, even liver keeps 0.974 of its activity at 8 mm; 0.97 was asked."
)


@pytest.mark.parametrize(
    ("organ", "least", "most"),
    [
        ("kidney", 0.97, 1.03),
        ("liver", 0.93, 1.10),
        ("spleen", 0.82, 1.05),
    ],
)
def test_three_times_bias_the_decays(cycles, organ, least, most) -> None:
    """Fit over truth, patients 1, 3, 5, 6:

    kidney 1.008, 1.006, 0.994, 1.012; liver 1.055, 1.027, 0.993, 0.924; spleen 1.038, 1.004,
    0.927, 0.851: its slow phase is a hundredth of its activity, and three points can lose it.
    """
    ratios = [usual_fit(one, organ)[1] for one in cycles.values()]
    assert least < min(ratios) < 1.0 < max(ratios) < most


@pytest.mark.parametrize(
    "organ", [pytest.param(one, marks=() if one == "kidney" else LEAVES) for one in ORGANS]
)
def test_three_times_see_one_phase_of_several(cycles, organ) -> None:
    """Why the bias has the sign it has: parts of opposite sign that nearly cancel, or do not.

    A tissue falls fast, then slowly. One exponential is too low from the first to the second scan
    (− 4 to − 16 % of all decays in liver and spleen); too high until the third (+ 14 to + 18 %) if
    the fit goes on to its level. In patient 6's spleen it leaves the third point, which a residual
    relative to a point lets pass: − 5 %. The slow phase after the last scan is missed always
    (− 0.3 to − 1.7 %). Figures are of four patients; two are looked at here.
    """
    for patient in (1, 6):
        one = cycles[patient]
        fit, ratio = usual_fit(one, organ)
        parts = parts_of_bias(one, organ)
        assert sum(parts) == pytest.approx(ratio - 1.0, abs=2e-3)
        assert -0.03 < parts[3] < 0
        if fit.model == "mono":
            assert -0.25 < parts[1] < -0.04
            assert parts[2] > -0.03


def test_a_fit_may_leave_the_last_of_three_points(cycles) -> None:
    """A known weakness of three points weighted by themselves: what they lie above costs ≤ 1."""
    fit, _ = usual_fit(cycles[6], "spleen")
    last_h, last_mbq = fit.points[-1]
    assert fit.activity_mbq(np.array([last_h]))[0] < 0.05 * last_mbq


def parts_of_bias(made: VirtualCycle, organ: str) -> list[float]:
    """Return fit − truth before, between and after the scans, in shares of the true TIA."""
    fit, ratio = usual_fit(made, organ)
    curve, parts = true_curve(made, organ), []
    nodes, shares = np.polynomial.legendre.leggauss(8)
    ends_h = [0.0, *made.record.spect_times_h, 3000.0]
    for start_h, stop_h in pairwise(ends_h):
        edges_h = np.geomspace(max(start_h, 1e-2), stop_h, 4)
        edges_h[0] = start_h
        part = 0.0
        for low_h, high_h in pairwise(edges_h):
            at_h = low_h + (high_h - low_h) * (nodes + 1) / 2
            off = fit.activity_mbq(at_h) - [curve(float(time_h)) for time_h in at_h]
            part += (high_h - low_h) / 2 * float(shares @ off)
        parts.append(part * ratio / fit.tia_mbq_h)
    return parts


def test_three_times_by_the_whole_chain_are_the_fits_of_the_organs(made) -> None:
    times_h = made.record.spect_times_h
    drawn = Drawn(made.ct_hu, made.organs, made.lesions, made.fov)
    images = [true_activity(made, time_h) for time_h in times_h]
    dose = measured_dose(images, drawn, made.grid, times_h=times_h, administered_mbq=GIVEN_MBQ)
    for organ in ORGANS:
        expected = usual_fit(made, organ)[1] / denser(made, organ)
        # The engine's electrons at the rim, 0.3 to 0.7 %.
        seen = over(dose, made.true_dose_gy_per_gbq, where(made, organ))
        assert seen == pytest.approx(expected, rel=0.013)


def blurred(made: VirtualCycle, fine: np.ndarray, fwhm_mm: float) -> np.ndarray:
    """Blur on voxels of 4.8 mm as the phantom's cameras do; on the case's grid."""
    box = made.truth.box
    return box.on_case(
        blurred_and_shifted(averaged_by_volume(fine), box.coarse.spacing_mm, fwhm_mm=(fwhm_mm,) * 3)
    )


def fine_at_24_h(made: VirtualCycle) -> np.ndarray:
    return made.truth.activity_bq_per_ml(time_h=24.0, administered_mbq=GIVEN_MBQ)


def within(made: VirtualCycle, organ: str, reach_mm: float) -> np.ndarray:
    """Return an organ and what is at most so far from it."""
    outside = ~np.isin(made.organs, CONTRACT_ORGANS[organ])
    return distance_transform_edt(outside, sampling=made.grid.spacing_mm) <= reach_mm


@pytest.mark.parametrize(
    ("organ", "fwhm_mm"),
    [
        pytest.param(organ, fwhm_mm, marks=FLAT if (organ, fwhm_mm) == ("liver", 8.0) else ())
        for organ in ORGANS
        for fwhm_mm in (8.0, 15.0)
    ],
)
def test_blur_keeps_activity_within_two_resolutions(made, organ, fwhm_mm) -> None:
    """0.992 to 1.002; what is not kept went to, or came from, other hot organs."""
    seen, here = blurred(made, fine_at_24_h(made), fwhm_mm), within(made, organ, 2 * fwhm_mm)
    assert over(seen, true_activity(made, 24.0), here) == pytest.approx(1.0, abs=0.03)
    # Within the organ alone it is not: the check can fail.
    assert over(seen, true_activity(made, 24.0), where(made, organ)) < 0.97


@pytest.mark.parametrize("organ", ORGANS)
@pytest.mark.parametrize("fwhm_mm", [8.0, 12.0, 15.0])
def test_bias_of_an_even_organ_is_its_recovery_and_spill_in(made, organ, fwhm_mm) -> None:
    """The organ made even, all else as it is; recovery of its mask on 2.4 mm, by closed form."""
    fine = fine_at_24_h(made)
    mask = np.isin(made.truth.anatomy.organs, CONTRACT_ORGANS[organ])
    mean = fine[mask].mean(dtype=np.float64)
    even = np.where(mask, np.float32(mean), fine)
    seen = blurred(made, even, fwhm_mm)[where(made, organ)].mean(dtype=np.float64)
    spacing_mm = made.truth.box.fine.spacing_mm
    rest = gaussian_filter(np.where(mask, 0, fine), fwhm_mm / FWHM_PER_STD / spacing_mm[0])
    recovery = recovery_coefficient(mask, spacing_mm=spacing_mm, fwhm_mm=fwhm_mm)
    assert seen / mean == pytest.approx(recovery + rest[mask].mean() / mean, rel=0.03)
    assert recovery < 0.97


@pytest.mark.parametrize(
    ("organ", "uneven"), [("kidney", 0.977), ("liver", 0.99), ("spleen", 1.005)]
)
def test_kidneys_recover_less_than_even_ones(made, organ, uneven) -> None:
    """Cortex, at the rim, is hotter than pyramids: kidneys recover 2 to 3 % less than even ones."""
    fine = fine_at_24_h(made)
    mask = np.isin(made.truth.anatomy.organs, CONTRACT_ORGANS[organ])
    own = np.where(mask, fine, 0)
    even = np.where(mask, fine[mask].mean(), np.float32(0))
    ratio = over(blurred(made, own, 12.0), blurred(made, even, 12.0), where(made, organ))
    assert ratio == pytest.approx(uneven, abs=0.015)


@pytest.mark.parametrize(
    "organ", ["kidney", "liver", pytest.param("spleen", marks=NEXT_TO_NOTHING)]
)
def test_fast_spect_keeps_activity_within_two_resolutions(cycles, organ) -> None:
    """0.998 to 1.027, and 1.035 once: what is taken away around hot places is put into them.

    The chain's iterations overshoot at edges, so no closed form is asked of its recovery.
    """
    for one in cycles.values():
        seen, true = fast_and_true(one)
        here = within(one, organ, 2 * FAST_FWHM_MM)
        assert over(seen, true, here) == pytest.approx(1.0, abs=0.03)


def fast_and_true(made: VirtualCycle) -> tuple[np.ndarray, np.ndarray]:
    """Return the second SPECT without noise, shift and calibration, and what is true, Bq/mL.

    Both as the patient breathes: what breathing carries out of an organ no camera can bring back.
    """
    fine = made.truth.activity_bq_per_ml(
        time_h=made.record.spect_times_h[1],
        administered_mbq=made.record.administered_activity_mbq,
    )
    true = breathed(fine, made.truth.anatomy, amplitude_mm=breaths_mm(made)[2])
    return fast_mean(made.series.recovered[1], made.truth.box), made.truth.box.on_case(
        averaged_by_volume(true)
    )


def breaths_mm(made: VirtualCycle) -> list[float]:
    """Return how deep the patient breathes in the PET and in each SPECT."""
    patient = next(one for one in PATIENTS if virtual_person(seed=SEED, patient=one) == made.person)
    rngs = (generator(SEED, patient, Purpose.BREATHING, cycle=cycle) for cycle in (0, 1))
    return draw_amplitudes_mm(*rngs, 1 + len(made.record.spect_times_h))


def means(made: VirtualCycle, organ: str) -> tuple[list[float], list[float]]:
    """Return an organ's means in the three SPECTs as measured, and without noise, Bq/mL."""
    here = where(made, organ)
    without_noise = [fast_mean(one, made.truth.box) for one in made.series.recovered]
    measured, expected = (
        [float(one[here].mean(dtype=np.float64)) for one in images]
        for images in (made.series.registered, without_noise)
    )
    return measured, expected


def fit_of_means(
    made: VirtualCycle, organ: str, images: Sequence[np.ndarray], given_mbq: float
) -> float:
    """Return the TIA of an organ's means in three images, Bq/mL, over the true one.

    Their noise floor is the median of what no mask holds, as the chain takes it.
    """
    rest = (made.organs == REMAINING_BODY) & (made.fov > 0) & (made.lesions == 0)
    held = [one[rest & (one > 1e-3 * one.max())] for one in images]
    here = where(made, organ)
    fit = fit_region(
        made.record.spect_times_h,
        [float(one[here].mean(dtype=np.float64)) for one in images],
        half_life_h=lu177().half_life_h,
        noise_floor_mbq=[float(np.median(one)) for one in held],
        name=organ,
    )
    per_gbq = fit.tia_mbq_h / given_mbq / 1e3
    return per_gbq / float(made.true_tia_mbq_h_per_ml[here].mean(dtype=np.float64))


def calibration(patient: int) -> float:
    """Return the factor that the cycle's camera was given."""
    deviate = generator(SEED, patient, Purpose.CALIBRATION, cycle=1).standard_normal()
    return float(np.exp(CALIBRATION_LOG_STD * np.clip(deviate, -2.5, 2.5)))


def measured_over_true(made: VirtualCycle, organ: str) -> float:
    return over(made.dose_gy_per_gbq, made.true_dose_gy_per_gbq, where(made, organ))


@pytest.mark.parametrize("organ", ORGANS)
def test_images_differ_from_those_without_noise_by_the_calibration(cycles, organ) -> None:
    """Of the two scans with counts; a week later a spleen is next to empty, and noise is more."""
    for patient, one in cycles.items():
        measured, expected = means(one, organ)
        ratio = np.divide(measured[:2], expected[:2]) / calibration(patient)
        assert ratio == pytest.approx(1.0, abs=0.03)


@pytest.mark.parametrize(
    "organ", [pytest.param(one, marks=() if one == "kidney" else NEXT_TO_NOTHING) for one in ORGANS]
)
def test_measured_dose_is_the_product_of_known_causes(cycles, organ) -> None:
    """The fit of the organ's three means and the density by themselves; nothing is left."""
    for one in cycles.values():
        given_mbq = one.record.administered_activity_mbq
        seen = fit_of_means(one, organ, one.series.registered, given_mbq)
        known = seen / denser(one, organ)
        assert measured_over_true(one, organ) / known == pytest.approx(1.0, abs=0.035)


def test_kidney_dose_with_everything_on(cycles) -> None:
    """Measured over true over calibration: a kidney recovers 0.75 to 0.83, and breathes."""
    seen = [measured_over_true(one, "kidney") / calibration(n) for n, one in cycles.items()]
    assert 0.70 < min(seen) <= max(seen) < 0.90
