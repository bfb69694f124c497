"""A virtual cohort beside publications: what a cycle tells, and the table."""

import numpy as np
import pytest
from rpt_phantom.resemblance import (
    PUBLISHED,
    between_patients,
    cycle_values,
    mean_and_std,
    table,
)
from rpt_phantom.settings import CohortSettings


@pytest.fixture(scope="module")
def values(tmp_path_factory):
    from rpt_phantom.patient import make_cycle

    return cycle_values(make_cycle(CohortSettings(seed=3, slices=48), patient=1))


def test_what_a_cycle_tells(values) -> None:
    keys = {row.key for row in PUBLISHED} - {"suv_lesions", "dose_lesions"}
    assert keys <= set(values)
    assert all(np.isfinite(list(values.values())))
    assert 0 < values["excreted_early"] < values["excreted_late"] < 100
    assert 20 < values["suv_kidney"] < 60
    assert values["suv_kidney"] > values["suv_spleen"] > values["suv_liver"]
    for organ in ("kidney", "liver", "spleen"):
        assert -1 <= values[f"r_{organ}"] <= 1
        assert values[f"half_life_{organ}"] < 6.647 * 24
    # Noise hides what PET and dose have in common.
    assert values["r_noise_free_liver"] > values["r_liver"]


def test_between_patients_a_dose_that_follows_the_suv_is_foretold() -> None:
    """Log-normal SUVs; a kidney's dose follows its own, a spleen's follows nothing."""
    rng = np.random.default_rng(0)
    rows = []
    for _ in range(60):
        kidney, spleen, liver = np.exp(0.3 * rng.standard_normal(3))
        doses = (
            0.7 * kidney * np.exp(0.1 * rng.standard_normal()),
            np.exp(0.4 * rng.standard_normal()),
        )
        rows.append(
            {"suv_kidney": 40 * kidney, "suv_spleen": 8 * spleen, "suv_liver": 5 * liver}
            | {"dose_kidney": doses[0], "dose_spleen": 0.3 * doses[1], "dose_liver": 0.1 * liver}
        )
    lines = {
        line.split("|")[1].strip(): line.split("|")
        for line in between_patients(rows).splitlines()
        if "|" in line
    }
    population, by_pet = (int(cell.strip(" %")) for cell in lines["kidney"][5:7])
    assert 15 < population < 33  # 0.8 times the SD of the logarithm, 0.32
    assert by_pet == pytest.approx(8, abs=3)  # the mean of |exp(0.1 z) - 1|
    population, by_pet = (int(cell.strip(" %")) for cell in lines["spleen"][5:7])
    assert by_pet > 0.8 * population - 5
    assert float(lines["kidney"][4]) > 0.9
    assert "lesions" not in lines


def test_mean_and_spread_of_those_that_tell() -> None:
    rows = [{"a": 1.0}, {"a": 3.0}, {"b": 9.0}]
    assert mean_and_std(rows, "a") == pytest.approx((2.0, 2**0.5))
    assert np.isnan(mean_and_std(rows, "c")[0])


def test_the_table_marks_what_is_outside() -> None:
    middle = {row.key: (row.low + row.high) / 2 for row in PUBLISHED}

    def around(off: float, **other: float) -> list[dict[str, float]]:
        """Two cycles, whose SD is the published one times ``off``."""
        off /= np.sqrt(2.0)
        return [
            {row.key: middle[row.key] + sign * off * row.std for row in PUBLISHED} | other
            for sign in (-1, 1)
        ]

    assert "outside" not in table(around(1.0))
    (line,) = [one for one in table(around(1.0, suv_liver=9.0)).splitlines() if "outside" in one]
    assert line.startswith("| SUVmean liver | 9 ")
    for off in (0.4, 1.6):
        assert table(around(off)).count("SD outside") == 3
