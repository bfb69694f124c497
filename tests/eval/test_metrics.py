"""Each metric against a closed form, a law or an independent implementation."""

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from monai.metrics.regression import SSIMMetric
from rpt_eval import metrics
from rpt_eval.metrics import bland_altman, identity_lines, ssim, ssim_map
from scipy import odr
from scipy.stats import linregress, pearsonr
from skimage.metrics import structural_similarity
from sklearn.metrics import mean_absolute_percentage_error, root_mean_squared_error

doses = arrays(np.float64, 12, elements=st.floats(0.0, 20.0, allow_subnormal=False))


def pair(seed: int = 0, size: int = 500) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    reference = rng.uniform(0.1, 2.0, size)
    return reference * rng.uniform(0.6, 1.3, size) + 0.05, reference


def test_errors_of_known_values() -> None:
    reference, prediction = np.array([1.0, 2.0, 3.0, 2.0]), np.array([1.0, 2.0, 3.0, 4.0])
    assert metrics.rmse(prediction, reference) == pytest.approx(1.0)
    assert metrics.mae(prediction, reference) == pytest.approx(0.5)
    assert metrics.mean_error(prediction, reference) == pytest.approx(0.5)
    by_range = metrics.nrmse_range(prediction, reference, map_range_gy_per_gbq=8.0)
    assert by_range == pytest.approx(1 / 8)
    # 4 / 100 voxels → RMSE 0.2; the region's range is 2.
    assert metrics.nrmse_masked(prediction, reference, grid_voxels=100) == pytest.approx(0.1)
    assert metrics.nrmse_euclid(prediction, reference) == pytest.approx(2 / np.sqrt(18))
    assert metrics.ape_organ_mean(prediction, reference) == pytest.approx(25.0)
    assert metrics.mape_voxel(prediction, reference) == pytest.approx(25.0)


def test_errors_agree_with_scikit_learn() -> None:
    prediction, reference = pair()
    rmse = root_mean_squared_error(reference, prediction)
    assert metrics.rmse(prediction, reference) == pytest.approx(rmse)
    mape = 100 * mean_absolute_percentage_error(reference, prediction)
    assert metrics.mape_voxel(prediction, reference) == pytest.approx(mape)


def test_masked_nrmse_is_the_rmse_of_both_maps_zeroed_outside_the_region() -> None:
    prediction, reference = (m.reshape(5, 10, 10) for m in pair())
    region = np.zeros((5, 10, 10), dtype=bool)
    region[1:3, 2:7, 4:] = True
    zeroed = np.where(region, prediction, 0), np.where(region, reference, 0)
    expected = np.sqrt(np.mean((zeroed[0] - zeroed[1]) ** 2)) / np.ptp(reference[region])
    value = metrics.nrmse_masked(prediction[region], reference[region], grid_voxels=region.size)
    assert value == pytest.approx(expected)


def test_shape_error_does_not_see_scale_and_sees_shape() -> None:
    prediction, reference = pair()
    value = metrics.shape_error(prediction, reference)
    assert metrics.shape_error(7.4 * prediction, reference) == pytest.approx(value)
    assert metrics.shape_error(7.4 * reference, reference) == pytest.approx(0.0, abs=1e-12)
    assert value > 0.1


def test_voxels_below_the_floor_do_not_count_in_voxel_mape() -> None:
    reference, prediction = np.array([0.001, 1.0]), np.array([5.0, 1.1])
    assert metrics.mape_voxel(prediction, reference) == pytest.approx(10.0)
    assert np.isnan(metrics.mape_voxel(prediction, reference, floor_gy_per_gbq=2.0))


def test_what_is_undefined_is_not_a_number_and_never_zero() -> None:
    zeros, ones = np.zeros(5), np.ones(5)
    assert np.isnan(metrics.nrmse_euclid(ones, zeros))
    assert np.isnan(metrics.ape_organ_mean(ones, zeros))
    assert np.isnan(metrics.shape_error(zeros, ones))
    assert np.isnan(metrics.nrmse_masked(ones, ones, grid_voxels=10))
    assert np.isnan(metrics.nrmse_range(ones, ones, map_range_gy_per_gbq=0.0))
    assert np.isnan(identity_lines(ones, np.arange(5.0)).pearson_r)


@given(doses, doses)
def test_rmse_is_never_below_the_absolute_mean_error(p: np.ndarray, r: np.ndarray) -> None:
    rmse, mae = metrics.rmse(p, r), metrics.mae(p, r)
    assert rmse >= mae - 1e-9
    assert mae >= abs(metrics.mean_error(p, r)) - 1e-9


def test_zero_everywhere_has_an_error_of_one() -> None:
    _, reference = pair()
    assert metrics.nrmse_euclid(0 * reference, reference) == 1.0


def volumes(shape: tuple[int, int, int] = (24, 20, 18)) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(1)
    reference = rng.random(shape)
    return (reference + 0.2 * rng.standard_normal(shape)).clip(0), reference


def test_ssim_agrees_with_monai_and_scikit_image_to_four_decimals() -> None:
    prediction, reference = volumes()
    everywhere = np.ones(reference.shape, dtype=bool)
    ours = ssim(ssim_map(prediction, reference, everywhere), everywhere)
    skimage = structural_similarity(
        reference,
        prediction,
        data_range=reference.max(),
        gaussian_weights=True,
        sigma=1.5,
        use_sample_covariance=False,
    )
    as_tensor = [torch.as_tensor(m)[None, None] for m in (prediction, reference)]
    monai = SSIMMetric(spatial_dims=3, data_range=float(reference.max()), kernel_sigma=1.5)
    assert ours == pytest.approx(skimage, abs=5e-5)
    assert ours == pytest.approx(monai(*as_tensor).item(), abs=5e-5)


def test_ssim_of_a_part_does_not_depend_on_how_tightly_it_is_cropped() -> None:
    prediction, reference = volumes((40, 36, 30))
    known = np.zeros(reference.shape, dtype=bool)
    known[14:22, 12:20, 11:19] = True
    known[15, 13, 12] = False
    ours = ssim_map(prediction, reference, known)
    zeroed = np.where(known, prediction, 0.0), np.where(known, reference, 0.0)
    _, whole = structural_similarity(
        *zeroed,
        data_range=reference[known].max(),
        gaussian_weights=True,
        sigma=1.5,
        use_sample_covariance=False,
        full=True,
    )
    np.testing.assert_allclose(ours[known], whole[known], atol=1e-9)


def test_ssim_of_identical_maps_is_one_and_of_a_thin_volume_not_a_number() -> None:
    _, reference = volumes()
    everywhere = np.ones(reference.shape, dtype=bool)
    assert ssim(ssim_map(reference, reference, everywhere), everywhere) == pytest.approx(1.0)
    thin = reference[:, :, :10]
    assert np.isnan(ssim(ssim_map(thin, thin, everywhere[:, :, :10]), everywhere[:, :, :10]))


def test_slopes_agree_with_scipy() -> None:
    prediction, reference = pair()
    lines = identity_lines(prediction, reference)
    on_truth, on_prediction = linregress(reference, prediction), linregress(prediction, reference)
    assert lines.prediction_on_truth == pytest.approx(on_truth.slope)
    assert lines.truth_on_prediction == pytest.approx(on_prediction.slope)
    assert lines.pearson_r == pytest.approx(pearsonr(reference, prediction).statistic)
    model = odr.Model(lambda beta, x: beta[0] * x + beta[1])
    data = odr.RealData(reference, prediction)
    fitted = odr.ODR(data, model, beta0=[1.0, 0.0], sstol=1e-15, partol=1e-12, maxit=500).run()
    assert lines.orthogonal == pytest.approx(fitted.beta[0], rel=1e-6)


@given(st.floats(0.05, 20.0), st.integers(0, 20))
def test_slopes_of_an_exact_line_are_its_slope(slope: float, seed: int) -> None:
    _, reference = pair(seed, 30)
    lines = identity_lines(slope * reference + 0.3, reference)
    assert lines.prediction_on_truth == pytest.approx(slope)
    assert lines.orthogonal == pytest.approx(slope)
    assert lines.truth_on_prediction == pytest.approx(1 / slope)
    assert lines.pearson_r == pytest.approx(1.0)


@given(st.integers(0, 200))
def test_orthogonal_slope_lies_between_the_two_others_and_inverts_with_the_axes(seed: int) -> None:
    prediction, reference = pair(seed, 40)
    lines, turned = identity_lines(prediction, reference), identity_lines(reference, prediction)
    assert lines.prediction_on_truth <= lines.orthogonal <= 1 / lines.truth_on_prediction
    assert lines.orthogonal == pytest.approx(1 / turned.orthogonal)
    # The product of both least-squares slopes is r².
    product = lines.prediction_on_truth * lines.truth_on_prediction
    assert product == pytest.approx(lines.pearson_r**2)


def test_falling_line_has_a_negative_orthogonal_slope() -> None:
    reference = np.arange(10.0)
    assert identity_lines(5 - 0.5 * reference, reference).orthogonal == pytest.approx(-0.5)


def test_bland_altman_of_known_values() -> None:
    limits = bland_altman(np.array([1.0, 3.0, 5.0]), np.array([0.0, 3.0, 6.0]))
    assert limits.bias == pytest.approx(0.0)
    assert limits.upper == pytest.approx(1.96)
    assert limits.lower == pytest.approx(-1.96)
    assert np.isnan(bland_altman(np.ones(1), np.ones(1)).lower)
