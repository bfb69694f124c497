"""Decay data, cross sections, stopping power and point kernels against published values."""

import numpy as np
import pytest
from rpt_cohort import BadInput
from rpt_dosimetry.radiation.electrons import (
    electron_kernel,
    inverse_transport_length_cm2_per_g,
    stopping_power_kev_cm2_per_g,
)
from rpt_dosimetry.radiation.media import MEDIA, find_medium
from rpt_dosimetry.radiation.nuclide import find_nuclide
from rpt_dosimetry.radiation.photons import (
    TABULATED,
    attenuation,
    isotropic,
    klein_nishina_cm2,
    photon_kernel,
    simulate,
    turned,
)

# ICRP Publication 107, per decay: half-life h, electrons keV, photons keV. Lu-177 as the printed
# tables have it; the others' β energies are those of the printed transitions.
ICRP_107 = {
    "Lu-177": (159.528, 147.92, 35.10),
    "Y-90": (64.10, 933.1, 0.0),
    "I-131": (192.5, 191.8, 382.8),
    "Tb-161": (165.7, 202.5, 36.5),
}


@pytest.mark.parametrize("name", ICRP_107)
def test_decay_data(name) -> None:
    half_life_h, electron_kev, photon_kev = ICRP_107[name]
    found = find_nuclide(name)
    assert found.half_life_h == pytest.approx(half_life_h, rel=5e-4)
    assert found.electron_kev == pytest.approx(electron_kev, rel=3e-4)
    assert found.photon_kev == pytest.approx(photon_kev, rel=1e-3, abs=0.01)


def test_lu177_line_by_line() -> None:
    lu = find_nuclide("Lu-177")
    assert lu.beta.kev_per_decay == pytest.approx(133.27, abs=0.005)
    assert lu.conversion.kev_per_decay == pytest.approx(13.52, abs=0.005)
    assert lu.auger.kev_per_decay == pytest.approx(1.13, abs=0.005)
    assert lu.electron_kev == pytest.approx(147.92, abs=0.005)
    gamma = dict(zip(lu.photons.energy_kev.round(2), lu.photons.per_decay, strict=True))
    assert gamma[208.37] == pytest.approx(0.110)
    assert gamma[112.95] == pytest.approx(0.064)
    assert lu.beta_spectrum is not None
    assert lu.beta_spectrum.energy_kev[-1] == pytest.approx(497.8)


def test_spectrum_gives_the_mean_energy() -> None:
    for name in ICRP_107:
        found = find_nuclide(name)
        spectrum = found.beta_spectrum
        assert spectrum is not None
        kev = np.trapezoid(spectrum.per_kev_decay * spectrum.energy_kev, spectrum.energy_kev)
        assert kev == pytest.approx(found.beta.kev_per_decay, rel=5e-3)


@pytest.mark.parametrize(
    ("name", "hint"), [("Lu177", "Lu-177"), ("lu-177", "Lu-177"), ("", "Lu-177"), ("../x", "ICRP")]
)
def test_unknown_nuclide(name, hint) -> None:
    with pytest.raises(BadInput, match="must be named as ICRP-107") as refused:
        find_nuclide(name)
    assert hint in str(refused.value)


def test_alpha_emitter_is_refused() -> None:
    with pytest.raises(BadInput, match="Ac-225 also has alpha"):
        find_nuclide("Ac-225")


def test_unknown_medium() -> None:
    with pytest.raises(BadInput, match="one of soft, water, lung, bone, cortical, got 'fat'"):
        find_medium("fat")


@pytest.mark.parametrize("name", MEDIA)
def test_compositions_are_whole(name) -> None:
    assert sum(MEDIA[name].mass_percent.values()) == pytest.approx(100.0, abs=0.02)
    assert sum(MEDIA[name].mass_fraction.values()) == pytest.approx(1.0)


# NIST XCOM, water, cm²/g: energy keV, Compton, photoelectric.
@pytest.mark.parametrize(
    ("kev", "compton", "photoelectric"),
    [(112.95, 0.1583, 0.00185), (208.37, 0.1336, 0.000253)],
)
def test_cross_sections_of_water(kev, compton, photoelectric) -> None:
    table = attenuation("water")
    at = np.log(kev)
    assert np.interp(at, table.log_kev, table.compton_cm2_per_g) == pytest.approx(compton, rel=1e-3)
    absorbed = np.interp(at, table.log_kev, table.photoelectric_cm2_per_g)
    assert absorbed == pytest.approx(photoelectric, rel=5e-3)


def test_cross_sections_go_on_smoothly_where_the_tables_end() -> None:
    table = attenuation("soft")
    end = np.searchsorted(table.log_kev, np.log(800.0))
    for values, within in ((table.compton_cm2_per_g, 0.002), (table.photoelectric_cm2_per_g, 0.02)):
        slope = np.diff(np.log(values))
        assert abs(slope[end - 1] - slope[end - 2]) < within


def test_klein_nishina_ends_in_thomson() -> None:
    thomson_cm2 = 6.6524587e-25
    low, high = klein_nishina_cm2(np.array([1.0, 661.657]))
    assert low == pytest.approx(thomson_cm2 * (1 - 2 * 1.0 / 510.999), rel=1e-4)
    assert high == pytest.approx(0.2563e-24, rel=1e-3)  # 137Cs on a free electron


# NIST ESTAR, liquid water: collision stopping power, MeV·cm²/g.
@pytest.mark.parametrize(
    ("kev", "power", "within"),
    [(10.0, 22.56, 1e-3), (100.0, 4.1153, 3e-4), (300.0, 2.3549, 3e-4), (1000.0, 1.8491, 6e-3)],
)
def test_stopping_power_of_water(kev, power, within) -> None:
    computed = stopping_power_kev_cm2_per_g(np.array([kev]), find_medium("water"))[0]
    assert computed / 1000.0 == pytest.approx(power, rel=within)


def test_electrons_turn_before_they_stop() -> None:
    energy = np.array([50.0, 500.0])
    length = 1.0 / inverse_transport_length_cm2_per_g(energy, find_medium("water"))
    assert length[0] < 0.0043  # ESTAR's range at 50 keV, g/cm²
    assert 0.5 < length[1] / 0.1766 < 1.5  # and at 500 keV: in water the two are alike


@pytest.mark.parametrize("name", ["Lu-177", "Tb-161"])
def test_point_kernels_hold_all_energy(name) -> None:
    found = find_nuclide(name)
    electrons, photons = electron_kernel(name, "soft"), photon_kernel(name, "soft")
    assert electrons.absorbed_kev == pytest.approx(found.electron_kev, rel=1e-12)
    assert photons.absorbed_kev == pytest.approx(found.photon_kev, rel=1e-9)
    assert photons.shell_kev.min() >= 0
    assert electrons.shell_kev.min() >= 0


def test_the_table_of_photons_is_what_is_simulated() -> None:
    """Within chance, so that another NumPy's stream of random numbers passes too."""
    table, simulated = photon_kernel(*TABULATED), simulate(*TABULATED)
    # To the last bit of a logarithm, which processors round in their own ways.
    np.testing.assert_allclose(table.edge_g_per_cm2, simulated.edge_g_per_cm2, rtol=1e-14)
    for radius in (0.05, 0.5, 2.0, 5.0, 20.0, 60.0):  # g/cm²
        within = [k.within_kev(np.array([radius]))[0] for k in (table, simulated)]
        assert within[0] == pytest.approx(within[1], rel=5e-3)


def test_electrons_stay_within_their_range() -> None:
    edge = electron_kernel("Lu-177", "water").edge_g_per_cm2[-1]
    assert edge == pytest.approx(0.1755, rel=5e-3)  # ESTAR's range at 498 keV, g/cm²


def test_near_the_source_photons_absorb_as_nist_says() -> None:
    """Close by, the absorbed energy grows by y E μ_en; F-18 has no photons but of 511 keV.

    μ_en/ρ of water 0.0330 cm²/g (NIST). What attenuation takes, scattered photons give back.
    """
    within_kev = photon_kernel("F-18", "water").within_kev(np.array([0.5]))[0]
    assert within_kev / 0.5 == pytest.approx(2 * 0.9673 * 511.0 * 0.0330, rel=0.03)


def test_directions() -> None:
    random = np.random.default_rng(0)
    drawn = isotropic(20_000, random)
    assert np.abs(drawn.mean(axis=1)).max() < 0.02
    cosine = random.uniform(-1, 1, 20_000)
    after = turned(drawn, cosine, random)
    assert np.allclose((after * drawn).sum(axis=0), cosine, atol=1e-12)
    assert np.allclose((after**2).sum(axis=0), 1.0)
