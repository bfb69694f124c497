import numpy as np
import pytest
from rpt_phantom.imaging import CPS_PER_MBQ
from rpt_phantom.spect import measure_factor


@pytest.mark.slow
def test_factor_is_what_the_cylinder_gives() -> None:
    """Another draw of the counts; their statistics are 0.06 %."""
    pytest.importorskip("pytomography")
    measured = measure_factor(np.random.default_rng(1))
    assert measured.cps_per_mbq == pytest.approx(CPS_PER_MBQ, rel=3e-3)
