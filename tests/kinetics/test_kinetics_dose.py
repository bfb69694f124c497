"""Organ S-values: energy conservation, the paper's number, and the one way to a dose."""

import numpy as np
import pytest
from rpt_kinetics.dose import (
    LU177_ELECTRON_KEV,
    PAPER_KIDNEY_CORTEX,
    OrganSValue,
    tia_mbq_h_per_g,
)

ELECTRON_CHARGE_C = 1.602176634e-19


def local_deposition(organ_mass_g: float) -> OrganSValue:
    """Of an organ that absorbs all the electrons' energy: 1 mGy/(MBq·s) is 1e-9 Gy per decay."""
    joule = 1e3 * LU177_ELECTRON_KEV * ELECTRON_CHARGE_C
    return OrganSValue(
        s_mgy_per_mbq_s=joule / (organ_mass_g * 1e-3) / 1e-9, organ_mass_g=organ_mass_g
    )


def test_papers_s_value_is_that_of_an_organ() -> None:
    local = local_deposition(107.104)
    assert PAPER_KIDNEY_CORTEX.s_mgy_per_mbq_s == 2.2e-4
    assert pytest.approx(local.s_mgy_per_mbq_s, rel=0.01) == 2.2e-4


def test_dose_of_one_mbq_h_per_gram() -> None:
    """0.08532 g·Gy/(MBq·h), the equilibrium dose constant of 177Lu's electrons, in any organ."""
    for mass in (1.0, 107.104, 1800.0):
        organ = local_deposition(mass)
        assert organ.voxel_dose_gy(1.0) == pytest.approx(0.08532, rel=1e-4)


def test_mean_of_voxels_is_the_organs_dose() -> None:
    """S × the organ's time-integrated activity, however that is spread over voxels."""
    rng = np.random.default_rng(0)
    voxel_g = 107.104 / 1000
    tia_mbq_s = rng.uniform(0, 1e4, 1000)
    dose = PAPER_KIDNEY_CORTEX.voxel_dose_gy(tia_mbq_s / 3600 / voxel_g)
    assert dose.mean() == pytest.approx(2.2e-4 * tia_mbq_s.sum() / 1000, rel=1e-12)


def test_s_value_alone_gives_no_voxel_dose() -> None:
    """It needs its organ's mass, and nothing here takes a voxel's activity."""
    with pytest.raises(TypeError, match="organ_mass_g"):
        OrganSValue(s_mgy_per_mbq_s=2.2e-4)  # type: ignore[call-arg]
    with pytest.raises(TypeError):
        PAPER_KIDNEY_CORTEX * 3.0  # type: ignore[operator]
    takers = [name for name in vars(OrganSValue) if callable(getattr(OrganSValue, name))]
    assert [name for name in takers if not name.startswith("_")] == ["voxel_dose_gy"]


def test_suv_becomes_activity_per_gram() -> None:
    """An SUV of 1 held for 60 min: 8 GBq in 80 kg is 0.1 MBq/mL, so 0.1 MBq·h/mL."""
    tia = tia_mbq_h_per_g(60.0, administered_activity_mbq=8000.0, weight_kg=80.0)
    assert tia == pytest.approx(0.1 / 1.04)


@pytest.mark.parametrize(
    ("call", "sentence"),
    [
        (lambda: OrganSValue(s_mgy_per_mbq_s=-1.0, organ_mass_g=1.0), "s_mgy_per_mbq_s must be"),
        (lambda: OrganSValue(s_mgy_per_mbq_s=1e-4, organ_mass_g=0.0), "above 0 g, got 0.0 g"),
        (
            lambda: OrganSValue(s_mgy_per_mbq_s=1e-4, organ_mass_g=np.nan),
            "organ_mass_g must be",
        ),
        (lambda: PAPER_KIDNEY_CORTEX.voxel_dose_gy([1.0, -1.0]), "at least 0 MBq·h/g"),
        (lambda: PAPER_KIDNEY_CORTEX.voxel_dose_gy([np.nan]), "must be finite"),
        (
            lambda: tia_mbq_h_per_g(
                np.array([1.0, np.nan]), administered_activity_mbq=1.0, weight_kg=80.0
            ),
            r"tia_suv_min must be finite and at least 0 \(g/mL\)·min",
        ),
        (
            lambda: tia_mbq_h_per_g([1.0, -3.0], administered_activity_mbq=1.0, weight_kg=80.0),
            "tia_suv_min must be finite and at least 0",
        ),
        (
            lambda: tia_mbq_h_per_g(1.0, administered_activity_mbq=0.0, weight_kg=80.0),
            "administered_activity_mbq must be a finite number above 0 MBq",
        ),
        (
            lambda: tia_mbq_h_per_g(1.0, administered_activity_mbq=1.0, weight_kg=0.0),
            "weight_kg must be a finite number above 0 kg",
        ),
    ],
)
def test_bad_input(call, sentence: str) -> None:
    with pytest.raises(ValueError, match=sentence):
        call()
