"""The plots take and return ``ax``, name units, and draw what they say."""

import matplotlib.figure
import numpy as np
import pytest
from rpt_eval.dvh import Dvh
from rpt_eval.figures import bland_altman_plot, dvh_plot, identity_plot


@pytest.fixture
def ax() -> matplotlib.axes.Axes:
    return matplotlib.figure.Figure().subplots()


def test_identity_plot_has_the_identity_the_fit_and_all_slopes(ax: matplotlib.axes.Axes) -> None:
    reference = np.linspace(0.1, 1.0, 50)
    assert identity_plot(ax, 0.5 * reference + 0.1, reference, title="kidney") is ax
    identity, fit = (np.array(line.get_xydata()) for line in ax.lines)
    np.testing.assert_allclose(identity[:, 0], identity[:, 1])
    assert np.ptp(fit[:, 1]) / np.ptp(fit[:, 0]) == pytest.approx(0.5)
    for words in ("kidney", "r 1.00", "orthogonal slope 0.50", "prediction on truth 0.50"):
        assert words in ax.get_title()
    assert "truth on prediction 2.00" in ax.get_title()
    assert ax.get_xlabel() == "Reference dose (Gy/GBq)"
    assert ax.get_ylabel() == "Predicted dose (Gy/GBq)"
    assert ax.get_xlim() == ax.get_ylim()


def test_identity_plot_of_a_constant_has_no_slope(ax: matplotlib.axes.Axes) -> None:
    identity_plot(ax, np.zeros(50), np.linspace(0.1, 1.0, 50), title="kidney")
    assert "constant" in ax.get_title()
    assert len(ax.lines) == 1


def test_dvh_plot_falls_from_100_percent_to_0(ax: matplotlib.axes.Axes) -> None:
    reference = Dvh.of(np.linspace(0.5, 1.0, 100), volume_ml=10.0)
    assert dvh_plot(ax, reference, {"a": reference}, title="liver") is ax
    for line in ax.lines:
        volume_pct = np.asarray(line.get_ydata(), dtype=float)
        assert volume_pct[0] == 100
        assert volume_pct[-1] == 0
        assert (np.diff(volume_pct) <= 0).all()
    assert ax.get_xlabel() == "Absorbed dose (Gy/GBq)"
    assert [text.get_text() for text in ax.get_legend().get_texts()] == ["reference", "a"]


def test_bland_altman_plot_has_bias_and_limits(ax: matplotlib.axes.Axes) -> None:
    prediction, reference = np.array([1.0, 3.0, 5.5]), np.array([0.5, 3.0, 5.0])
    assert bland_altman_plot(ax, prediction, reference, title="spleen") is ax
    difference = prediction - reference
    spread = 1.96 * difference.std(ddof=1)
    drawn = sorted(float(np.ravel(line.get_ydata())[0]) for line in ax.lines)
    bias = difference.mean()
    np.testing.assert_allclose(drawn, sorted([0.0, bias - spread, bias, bias + spread]))
    assert "Gy/GBq" in ax.get_ylabel()


def test_bland_altman_plot_of_equal_doses_shows_no_rounding(ax: matplotlib.axes.Axes) -> None:
    reference = np.array([0.5, 0.7])
    bland_altman_plot(ax, reference + 1e-9, reference, title="spleen")
    assert ax.get_ylim()[1] >= 0.02
