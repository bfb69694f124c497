import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from rpt_phantom.anatomy import Body, draw_body, shipped_atlas
from rpt_phantom.patient import VirtualCycle
from rpt_phantom.truth import (
    END_SLICES,
    FINER,
    averaged_by_mass,
    averaged_by_volume,
    lu177,
    patient_box,
    true_dose,
)

GY_G_PER_MBQ_H_KEV = 3600e6 * 1e3 * 1.602176634e-19 / 1e-3
"""Decays of 1 MBq h × J/keV ÷ kg/g."""


def test_box_has_the_middle_of_the_case_and_voxels_of_it() -> None:
    box = patient_box(Body(shipped_atlas("man")), slices=32)
    assert box.case.shape == (128, 128, 32)
    assert box.fine.shape == tuple(FINER * n for n in box.coarse.shape)
    for axis in range(3):
        assert box.coarse.positions_mm(axis).mean() == pytest.approx(0, abs=1e-9)
        of_case = (np.arange(box.case.shape[axis]) - (box.case.shape[axis] - 1) / 2) * 4.8
        shared = np.intersect1d(of_case.round(6), box.coarse.positions_mm(axis).round(6))
        assert len(shared) == min(box.case.shape[axis], box.coarse.shape[axis])


def test_box_does_not_change_with_the_setup_of_a_cycle() -> None:
    rng = np.random.default_rng(0)
    body = draw_body(rng, weight_kg=120.0, height_cm=170.0)
    box = patient_box(body, slices=32)
    assert box.coarse.shape[2] == 32 + 2 * END_SLICES
    assert box.coarse.shape[0] <= 128


def test_on_case_puts_values_where_they_were() -> None:
    box = patient_box(Body(shipped_atlas("man")), slices=20)
    along = np.broadcast_to(box.coarse.positions_mm(2).astype(np.float32), box.coarse.shape)
    placed = box.on_case(along, outside=-1e3)
    _, _, z_mm = box.case.axes_mm()
    assert placed[64, 64] == pytest.approx(z_mm[0, 0], abs=1e-3)
    assert placed[0, 0, 0] == -1e3


def test_dose_of_uniform_soft_tissue_is_the_closed_form() -> None:
    """Electrons leave 147.92 keV per decay (ICRP-107) in 1.04 g/mL; photons add at most a third."""
    tia, density = np.full((64, 64, 64), 2.0, np.float32), np.full((64, 64, 64), 1.04, np.float32)
    dose = true_dose(tia, density, reach=(32, 32, 32))
    assert dose.electron == pytest.approx(2.0 * GY_G_PER_MBQ_H_KEV * 147.92 / 1.04, rel=2e-4)
    middle = float(dose.photon[16, 16, 16])
    assert 0 < middle < 2.0 * GY_G_PER_MBQ_H_KEV * lu177().photon_kev / 1.04
    assert dose.photon[0, 0, 0] < middle


def test_fine_dose_averages_to_the_coarse_one() -> None:
    rng = np.random.default_rng(1)
    tia = rng.random((32, 32, 32), np.float32)
    dose = true_dose(tia, np.ones_like(tia), reach=(16, 16, 16))
    inner = (slice(2, -2),) * 3
    found = averaged_by_volume(dose.total_fine())[inner]
    # Photons are smooth; what interpolation rounds off is a thousandth of the dose.
    assert found == pytest.approx(dose.total[inner], rel=2e-3)


@given(low=st.floats(0.3, 1.0), high=st.floats(1.0, 2.0), dose=st.floats(0.0, 5.0))
def test_average_by_mass_keeps_energy(low: float, high: float, dose: float) -> None:
    density = np.full((4, 4, 4), low, np.float32)
    density[::2] = high
    values = np.where(density > 1.0, dose, 1.0).astype(np.float32)
    averaged = averaged_by_mass(values, density)
    energy = float((values * density).sum())
    mass = averaged_by_volume(density) * 8
    assert float((averaged * mass).sum()) == pytest.approx(energy, rel=1e-5)


def test_true_dose_of_an_organ_is_mostly_its_own_electrons(one_cycle: VirtualCycle) -> None:
    """A kidney's cross-dose and photons are some percent of its own electrons' dose."""
    kidney = np.isin(one_cycle.organs, (2, 3)) & (one_cycle.lesions == 0)
    tia = one_cycle.true_tia_mbq_h_per_ml[kidney].mean(dtype=np.float64)
    electrons = tia * GY_G_PER_MBQ_H_KEV * 147.92 / 1.04
    ratio = one_cycle.true_dose_gy_per_gbq[kidney].mean(dtype=np.float64) / electrons
    assert 1.0 < ratio < 1.06


def test_decays_do_not_exceed_what_was_given(one_cycle: VirtualCycle) -> None:
    total_mbq_h = one_cycle.true_tia_mbq_h_per_ml.sum(dtype=np.float64) * one_cycle.grid.voxel_ml
    assert 0 < total_mbq_h < 1000.0 * lu177().half_life_h / np.log(2)


def test_kinetics_integrate_to_the_decays(one_cycle: VirtualCycle) -> None:
    """Trapezoids on a closing mesh, and a mono-exponential rest after two weeks."""
    truth = one_cycle.truth
    times_h = np.concatenate([[0.0], np.geomspace(0.02, 400.0, 60)])
    seen = truth.kinetics_mbq_per_ml(times_h=times_h.tolist())
    kidney = np.isin(one_cycle.organs, (2, 3)) & (one_cycle.lesions == 0)
    curve = np.array(
        [truth.box.on_case(seen[..., k])[kidney].mean(dtype=float) for k in range(len(times_h))]
    )
    slope_per_h = np.log(curve[-2] / curve[-1]) / (times_h[-1] - times_h[-2])
    area = np.trapezoid(curve, times_h) + curve[-1] / slope_per_h
    true = one_cycle.true_tia_mbq_h_per_ml[kidney].mean(dtype=float)
    assert area == pytest.approx(true, rel=5e-3)
