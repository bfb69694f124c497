"""Chance and geometry against closed forms."""

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from rpt_kinetics.imaging import FWHM_PER_STD, blurred
from rpt_kinetics.simulation import drawn, gaussian_field, periodic_autocorrelation, two_balls
from scipy.stats import truncnorm

SHAPE = (32, 24, 20)
SPACING_MM = 2.0


def fields(length_mm: float, *, count: int = 60) -> np.ndarray:
    rng = np.random.default_rng(1)
    return np.array(
        [
            gaussian_field(SHAPE, rng, correlation_length_mm=length_mm, spacing_mm=SPACING_MM)
            for _ in range(count)
        ]
    )


@pytest.mark.parametrize("length_mm", [0.0, 1.0, 4.0, 8.0])
def test_field_has_mean_0_and_variance_1(length_mm: float) -> None:
    drawn_fields = fields(length_mm)
    # Independent values: the grid's volume over the volume of the squared autocorrelation.
    each = max((np.pi / 2) ** 1.5 * length_mm**3, SPACING_MM**3)
    independent = drawn_fields.size * SPACING_MM**3 / each
    assert drawn_fields.var() == pytest.approx(1.0, abs=4 * np.sqrt(2 / independent))
    each = max(np.pi**1.5 * length_mm**3, SPACING_MM**3)
    assert abs(drawn_fields.mean()) < 4 / np.sqrt(drawn_fields.size * SPACING_MM**3 / each)


@pytest.mark.parametrize("length_mm", [1.0, 4.0, 8.0])
@pytest.mark.parametrize("step", [(1, 0, 0), (0, 2, 0), (0, 0, 3), (1, 2, 1)])
def test_field_has_the_gaussian_autocorrelation(
    length_mm: float, step: tuple[int, int, int]
) -> None:
    drawn_fields = fields(length_mm)
    moved = np.roll(drawn_fields, step, axis=(1, 2, 3))
    distance_mm = SPACING_MM * np.linalg.norm(step)
    expected = np.exp(-((distance_mm / length_mm) ** 2))
    assert (drawn_fields * moved).mean() == pytest.approx(expected, abs=0.03)


def test_field_of_no_correlation_length_is_white_noise() -> None:
    field = gaussian_field(
        SHAPE, np.random.default_rng(5), correlation_length_mm=0.0, spacing_mm=SPACING_MM
    )
    np.testing.assert_array_equal(field, np.random.default_rng(5).standard_normal(SHAPE))


@given(count=st.integers(2, 60), length=st.floats(0.05, 300.0))
def test_periodic_autocorrelation_is_even_positive_definite_and_1_at_0(
    count: int, length: float
) -> None:
    line = periodic_autocorrelation(count, length)
    assert line[0] == 1.0
    np.testing.assert_allclose(line[1:], line[:0:-1], rtol=1e-10, atol=1e-300)
    assert np.fft.fft(line).real.min() > -1e-12 * count


@pytest.mark.parametrize("distribution", ["truncated_normal", "log_normal"])
def test_draws_have_their_mean_and_cv(distribution: str) -> None:
    chance = np.random.default_rng(0).standard_normal(400_000)
    values = drawn(np.full(chance.shape, 0.2), chance, cv=0.15, distribution=distribution)  # type: ignore[arg-type]
    assert values.mean() == pytest.approx(0.2, rel=2e-3)
    assert values.std() / values.mean() == pytest.approx(0.15, rel=5e-3)


def test_wide_truncated_draw_is_scipys() -> None:
    chance = np.random.default_rng(0).standard_normal(200_000)
    cv = 0.8
    values = drawn(np.ones(chance.shape), chance, cv=cv, distribution="truncated_normal", upper=1.5)
    law = truncnorm(-1 / cv, 0.5 / cv, loc=1.0, scale=cv)
    for share in (0.05, 0.5, 0.95):
        assert np.quantile(values, share) == pytest.approx(law.ppf(share), abs=0.01)
    assert values.max() < 1.5


@settings(max_examples=60, deadline=None)
@given(
    cv=st.floats(0.0, 5.0),
    mean=st.floats(0.0, 0.99),
    distribution=st.sampled_from(["truncated_normal", "log_normal"]),
)
@example(cv=0.5, mean=1.1e-308, distribution="truncated_normal")
def test_draws_are_never_negative_and_keep_order_and_limit(
    cv: float, mean: float, distribution: str
) -> None:
    chance = np.linspace(-6.0, 6.0, 101)
    values = drawn(
        np.full(chance.shape, mean),
        chance,
        cv=cv,
        distribution=distribution,  # type: ignore[arg-type]
        upper=1.0,
    )
    assert values.min() >= 0
    assert values.max() < 1
    assert np.all(np.diff(values) >= 0)


@pytest.mark.parametrize("voxels", [40, 41, 1000, 9888])
def test_organ_has_its_number_of_voxels_and_its_volume(voxels: int) -> None:
    organ = two_balls(voxels=voxels, volume_ml=100.0)
    assert len(organ.subtissue) == voxels
    assert (organ.subtissue == 1).sum() == (voxels + 1) // 2
    assert len(np.unique(organ.index, axis=1).T) == voxels
    assert voxels * organ.spacing_mm**3 == pytest.approx(100_000.0)
    for number in (1, 2):
        share = organ.radius_share[organ.subtissue == number]
        assert share.min() == 0
        assert share.max() == 1
    labels = organ.volume(organ.subtissue.astype(float))
    assert labels.shape == organ.shape
    np.testing.assert_array_equal(organ.values(labels), organ.subtissue)
    assert np.count_nonzero(labels) == voxels
    # Room for blur on all sides.
    room = int(np.ceil(24.0 / organ.spacing_mm))
    assert organ.index.min() >= room
    assert (np.array(organ.shape)[:, None] - 1 - organ.index).min() >= room


def test_balls_are_round_and_touch() -> None:
    organ = two_balls(voxels=9888, volume_ml=103.0)
    position = organ.position_mm()
    radius = (3 * 103_000.0 / 2 / (4 * np.pi)) ** (1 / 3)
    centres = [position[:, organ.subtissue == j].mean(axis=1) for j in (1, 2)]
    for j in (1, 2):
        distance = np.linalg.norm(
            position[:, organ.subtissue == j] - centres[j - 1][:, None], axis=0
        )
        assert distance.max() == pytest.approx(radius, abs=organ.spacing_mm)
    apart = np.linalg.norm(centres[0] - centres[1])
    assert apart == pytest.approx(2 * radius, abs=organ.spacing_mm)


@pytest.mark.parametrize("fwhm_mm", [0.0, 4.0, 12.0])
def test_blur_keeps_the_sum_and_has_its_width(fwhm_mm: float) -> None:
    volume = np.zeros((31, 31, 31))
    volume[15, 15, 15] = 3.0
    image = blurred(volume, fwhm_mm=fwhm_mm, spacing_mm=SPACING_MM)
    assert image.sum() == pytest.approx(3.0, rel=1e-12)
    x_mm = SPACING_MM * (np.arange(31) - 15)
    variance = (image.sum(axis=(1, 2)) * x_mm**2).sum() / 3.0
    assert np.sqrt(variance) == pytest.approx(fwhm_mm / FWHM_PER_STD, rel=0.01)
