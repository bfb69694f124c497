"""A virtual cohort beside publications: what a cycle tells, and the table."""

import numpy as np
import pytest
from rpt_phantom.resemblance import PUBLISHED, cycle_values, mean_and_std, table


@pytest.fixture(scope="module")
def values(tmp_path_factory):
    from rpt_phantom import virtual_cycle

    return cycle_values(virtual_cycle(seed=3, patient=1, slices=48))


def test_what_a_cycle_tells(values) -> None:
    keys = {row.key for row in PUBLISHED} - {"suv_lesions"}
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
