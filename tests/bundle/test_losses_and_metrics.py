"""Losses and metrics against closed forms and an independent implementation."""

import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from monai.handlers import IgniteMetricHandler
from scripts.losses import DoseContentLoss, OrganShapeLoss
from scripts.metrics import CaseMetric, lower_is_better, nrmse_euclid, nrmse_range, rmse, ssim
from skimage.metrics import structural_similarity
from sklearn.metrics import mean_gamma_deviance


def maps(seed: int = 0, side: int = 20) -> tuple[torch.Tensor, torch.Tensor]:
    """A reference of rough values and a prediction near it, Gy/GBq, (1, x, y, z)."""
    torch.manual_seed(seed)
    label = torch.rand(1, side, side, side)
    return (label + 0.1 * torch.randn_like(label)).clamp(min=0), label


def test_loss_is_the_gamma_deviance_inside_the_mask() -> None:
    prediction, label = (dose.double() for dose in maps(side=4))
    mask = (label > 0.5).double()
    loss = DoseContentLoss(dose_scale=0.02)(prediction[None], label[None], mask[None])
    inside = mask.bool()
    expected = mean_gamma_deviance(label[inside] + 0.02, prediction[inside] + 0.02)
    assert loss.item() == pytest.approx(expected, rel=1e-6)


def test_loss_of_close_doses_is_their_relative_error_squared() -> None:
    label = torch.tensor([0.1, 5.0]).reshape(1, 1, 1, 1, 2)
    loss = DoseContentLoss(dose_scale=1e-9)(1.01 * label, label, torch.ones_like(label))
    assert loss.item() == pytest.approx(0.01**2, rel=0.02)


def test_loss_is_least_at_the_mean_of_what_may_follow() -> None:
    torch.manual_seed(0)
    label = torch.randn(1, 1, 1, 1, 1000).exp()  # log-normal: its median is 0.6 of its mean
    loss, mask = DoseContentLoss(dose_scale=0.02), torch.ones_like(label)
    at = [
        loss(torch.full_like(label, f * float(label.mean())), label, mask) for f in (0.99, 1, 1.01)
    ]
    assert at[1] < at[0]
    assert at[1] < at[2]


def test_loss_of_a_patch_without_known_dose_is_zero_and_has_a_gradient() -> None:
    prediction = torch.ones(1, 1, 2, 2, 2, requires_grad=True)
    zeros = torch.zeros(1, 1, 2, 2, 2)
    loss = DoseContentLoss(dose_scale=0.02)(prediction, zeros, zeros)
    loss.backward()
    assert loss.item() == 0.0
    assert prediction.grad is not None
    assert prediction.grad.abs().sum() == 0


def test_metrics_of_known_values() -> None:
    label = torch.tensor([[[[3.0, 0.0, math.nan]]]])
    prediction = torch.tensor([[[[0.0, 4.0, 100.0]]]])
    assert rmse(prediction, label).item() == pytest.approx(math.sqrt(12.5))
    assert nrmse_range(prediction, label).item() == pytest.approx(math.sqrt(12.5) / 3)
    assert nrmse_euclid(prediction, label).item() == pytest.approx(5 / 3)


@given(st.integers(0, 10_000), st.floats(0.0, 3.0))
@settings(max_examples=25, deadline=None)
def test_rmse_is_never_below_the_mean_error(seed: int, factor: float) -> None:
    prediction, label = maps(seed, side=6)
    prediction = prediction * factor
    assert rmse(prediction, label) >= (prediction - label).mean().abs() - 1e-6


@given(st.floats(0.01, 100.0))
@settings(max_examples=10, deadline=None)
def test_relative_metrics_do_not_know_the_unit(unit: float) -> None:
    prediction, label = maps(side=12)
    for metric in (nrmse_range, nrmse_euclid, ssim):
        torch.testing.assert_close(
            metric(prediction * unit, label * unit), metric(prediction, label), rtol=1e-3, atol=1e-4
        )


def test_ssim_agrees_with_scikit_image() -> None:
    prediction, label = maps()
    expected = structural_similarity(
        prediction[0].numpy(),
        label[0].numpy(),
        data_range=float(label.max()),
        gaussian_weights=True,
        sigma=1.5,
        use_sample_covariance=False,
    )
    assert ssim(prediction, label).item() == pytest.approx(float(expected), abs=5e-5)


def test_ssim_is_not_a_number_where_no_window_fits() -> None:
    prediction, label = maps(side=10)
    assert ssim(prediction, label).isnan()


def test_ssim_of_identical_maps_is_one() -> None:
    _, label = maps()
    label[0, :4] = torch.nan
    assert ssim(label.nan_to_num(nan=7.0), label).item() == pytest.approx(1.0)


def test_metric_is_averaged_over_cases_not_voxels() -> None:
    metric = CaseMetric(nrmse_euclid)
    handler = IgniteMetricHandler(metric_fn=metric, output_transform=lambda x: x)
    one, two = torch.ones(1, 2, 2, 2), torch.ones(1, 4, 4, 4)
    handler.save_details = False
    handler.update(([one * 1.1], [one]))
    handler.update(([two * 1.4], [two]))
    assert handler.compute() == pytest.approx(0.25, rel=1e-5)


def test_lower_error_is_better_and_none_yet_is_beaten_by_all() -> None:
    assert lower_is_better(0.3, 0.4)
    assert not lower_is_better(0.4, 0.3)
    assert not lower_is_better(0.4, 0.4)
    assert lower_is_better(0.9, -1)


def organ_case(voxels: int = 4) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """A prediction of (1, 3) × 5 where the label is (1, 1) in organ 2, and anything elsewhere."""
    label = torch.ones(1, 1, voxels, 1, 2)
    prediction = torch.tensor([5.0, 15.0]).repeat(voxels, 1).reshape(label.shape)
    return prediction, label, torch.full(label.shape, 2.0)


def test_organ_term_of_known_values_and_blind_to_scale() -> None:
    loss = OrganShapeLoss(organs=[2, 5], least_voxels=1)
    prediction, label, organs = organ_case()
    # shapes (0.5, 1.5) and (1, 1): 0.25 of 1
    assert loss(prediction, label, organs).item() == pytest.approx(0.25)
    assert loss(7 * prediction, label / 3, organs).item() == pytest.approx(0.25)
    # another organ whose shape is right halves the mean over organs; what lies in none counts not
    both = torch.cat([prediction, label * 4, prediction * 100], dim=2)
    of_both = torch.cat([organs, organs * 2.5, organs * 0], dim=2)
    assert loss(both, torch.cat([label] * 3, dim=2), of_both).item() == pytest.approx(0.125)


@pytest.mark.parametrize("spoil", ["no mask", "too few voxels", "no dose in label", "none at all"])
def test_organ_term_is_0_with_a_finite_gradient_where_nothing_counts(spoil: str) -> None:
    prediction, label, organs = organ_case()
    prediction = prediction * (spoil != "none at all")
    prediction.requires_grad_()
    label = label * (spoil not in ("no dose in label", "none at all"))
    organs = organs * (spoil != "no mask")
    loss = OrganShapeLoss(organs=[2], least_voxels=9 if spoil == "too few voxels" else 1)
    value = loss(prediction, label, organs)
    value.backward()
    assert value.item() == 0.0
    assert prediction.grad is not None
    assert prediction.grad.abs().sum() == 0


def test_organ_term_moves_a_flat_prediction_towards_the_label_s_shape() -> None:
    _, flat, organs = organ_case()
    prediction = flat.clone().requires_grad_()
    label = flat * torch.tensor([1.0, 3.0])
    OrganShapeLoss(organs=[2], least_voxels=1)(prediction, label, organs).backward()
    assert prediction.grad is not None
    assert (prediction.grad[..., 0] > 0).all()
    assert (prediction.grad[..., 1] < 0).all()
