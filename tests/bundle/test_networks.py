"""The generator and the discriminator: scale, shape, locality (traps 1, 3, 5)."""

import math
from pathlib import Path

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from monai.bundle import ConfigParser
from monai.inferers import sliding_window_inference
from monai.losses import PatchAdversarialLoss
from scipy.ndimage import gaussian_filter
from scripts.errors import BadInput
from scripts.networks import FWHM_PER_SIGMA, DoseDiscriminator, DoseGenerator
from torch import Tensor, nn


def generator(**changes: object) -> DoseGenerator:
    options: dict[str, object] = {
        "channels": [8, 16, 32],
        "num_res_units": 2,
        "voxel_mm": [4.8, 4.8, 4.8],
        "prior_fwhm_mm": 10.4,
        "dose_per_suv": 0.02,
        "suv_scale": 1.0,
    }
    return DoseGenerator(**{**options, **changes}).eval()  # type: ignore[arg-type]


def trained_like() -> DoseGenerator:
    """A generator whose head is not zero."""
    torch.manual_seed(0)
    network = generator()
    nn.init.normal_(network.head.weight, std=0.5)
    return network


@torch.no_grad()
def predict(network: nn.Module, suv: Tensor) -> Tensor:
    dose: Tensor = network(suv)
    return dose


def test_training_starts_at_the_blurred_pet_times_a_factor() -> None:
    suv = torch.rand(1, 1, 24, 24, 24) * 10
    sigma = 10.4 / FWHM_PER_SIGMA / 4.8
    expected = 0.02 * gaussian_filter(suv[0, 0].numpy(), sigma, mode="nearest", truncate=3.2)
    actual = predict(generator(), suv)[0, 0].numpy()
    assert abs(actual - expected).max() < 1e-3 * expected.max()


def test_blur_is_in_mm_on_voxels_that_are_not_cubes() -> None:
    suv = torch.zeros(1, 1, 40, 40, 40)
    suv[0, 0, 20, 20, 20] = 1.0
    dose = predict(generator(voxel_mm=[2.4, 4.8, 4.8]), suv)[0, 0]
    offsets = torch.arange(40) - 20.0
    spread = [(dose.sum(dim=d) * offsets**2).sum() / dose.sum() for d in ((1, 2), (0, 2), (0, 1))]
    assert (spread[0] * 2.4**2).sqrt() == pytest.approx(10.4 / FWHM_PER_SIGMA, rel=0.03)
    assert (spread[1] * 4.8**2).sqrt() == pytest.approx(10.4 / FWHM_PER_SIGMA, rel=0.05)
    assert dose.sum() == pytest.approx(0.02, rel=1e-5)


def test_no_layer_normalises_a_patch_or_a_case() -> None:
    norms = (nn.InstanceNorm3d, nn.GroupNorm, nn.LayerNorm, nn.BatchNorm3d)
    assert not [module for module in generator().modules() if isinstance(module, norms)]


@given(st.floats(0.1, 30.0))
@settings(max_examples=10, deadline=None)
def test_untrained_dose_is_proportional_to_the_suv(factor: float) -> None:
    suv = torch.rand(1, 1, 8, 8, 8)
    network = generator()
    torch.testing.assert_close(predict(network, suv * factor), predict(network, suv) * factor)


def test_ten_times_the_suv_gives_much_more_dose_with_the_shipped_weights(
    shipped: DoseGenerator,
) -> None:
    ball = torch.zeros(1, 1, 32, 32, 32)
    ball[..., 12:20, 12:20, 12:20] = 4.0
    ratio = predict(shipped, ball * 10).max() / predict(shipped, ball).max()
    assert 3.0 < ratio < 30.0


def test_no_uptake_gives_no_dose(shipped: DoseGenerator) -> None:
    assert predict(shipped, torch.zeros(1, 1, 16, 16, 16)).abs().max() == 0


@given(st.integers(0, 1000))
@settings(max_examples=10, deadline=None)
def test_dose_is_finite_and_not_negative(seed: int) -> None:
    torch.manual_seed(seed)
    suv = torch.rand(1, 1, 16, 16, 16) * 10 ** torch.randint(-3, 4, (1,)).item()
    dose = predict(trained_like(), suv)
    assert dose.isfinite().all()
    assert dose.min() >= 0


IMPOSSIBLE = {
    "Bq/mL": lambda suv: suv * 5e4,
    "NaN": lambda suv: suv.masked_fill(suv == suv.max(), math.nan),
    "infinity": lambda suv: suv.masked_fill(suv == suv.max(), math.inf),
    "negative": lambda suv: suv - 0.5,
}


@pytest.mark.parametrize("name", IMPOSSIBLE)
def test_what_cannot_be_suv_is_refused_by_the_network_itself(
    shipped: DoseGenerator, tmp_path: Path, name: str
) -> None:
    """A host may run preprocessing and network alone; the refusal travels with the weights."""
    good = torch.rand(1, 1, 8, 8, 8) * 10
    bad = IMPOSSIBLE[name](good)
    with pytest.raises(BadInput, match="must be given SUV in g/mL, finite and from 0 to 1000"):
        predict(shipped, bad)
    with pytest.raises(BadInput, match="must be given SUV"):  # and in windows
        sliding_window_inference(bad, 8, 1, shipped)
    torch.jit.script(shipped).save(tmp_path / "model.ts")
    scripted = torch.jit.load(tmp_path / "model.ts").eval()
    torch.testing.assert_close(predict(scripted, good), predict(shipped, good))
    with pytest.raises(
        torch.jit.Error, match="must be given SUV in g/mL, finite and from 0 to 1000"
    ):
        predict(scripted, bad)


@pytest.mark.parametrize("name", IMPOSSIBLE)
def test_a_host_that_forgets_eval_is_refused_too(tmp_path: Path, name: str) -> None:
    """Only training, with gradients, goes unchecked."""
    network = generator().train()
    good = torch.rand(1, 1, 8, 8, 8) * 10
    bad = IMPOSSIBLE[name](good)
    torch.jit.script(network).save(tmp_path / "model.ts")
    scripted = torch.jit.load(tmp_path / "model.ts")
    for disabled in (torch.no_grad, torch.inference_mode):
        with disabled(), pytest.raises(BadInput, match="must be given SUV in g/mL"):
            network(bad)
        with disabled(), pytest.raises(torch.jit.Error, match="must be given SUV in g/mL"):
            scripted(bad)
    torch.testing.assert_close(predict(network, good), predict(generator(), good))
    for unchecked in (network, scripted):
        assert unchecked(bad).requires_grad


@pytest.mark.parametrize("name", IMPOSSIBLE)
def test_exported_network_that_cannot_raise_gives_nan_everywhere(
    shipped: DoseGenerator, name: str
) -> None:
    good = torch.rand(1, 1, 8, 8, 8) * 10
    for exported in (
        torch.export.export(shipped, (good,)).module(),
        torch.jit.trace(shipped, good),
        torch.compile(shipped, backend="eager"),
    ):
        torch.testing.assert_close(predict(exported, good), predict(shipped, good))
        assert predict(exported, IMPOSSIBLE[name](good)).isnan().all()


def test_rounding_below_0_is_0_and_gives_no_negative_dose(shipped: DoseGenerator) -> None:
    dose = predict(shipped, torch.full((1, 1, 8, 8, 8), -1e-4))
    assert torch.equal(dose, torch.zeros_like(dose))


def test_broken_weights_are_refused_by_the_network_itself() -> None:
    network = trained_like()
    nn.init.constant_(network.head.bias, math.nan)
    with pytest.raises(BadInput, match="weights must give a finite dose"):
        predict(network, torch.rand(1, 1, 8, 8, 8))
    with pytest.raises(torch.jit.Error, match="weights must give a finite dose"):
        predict(torch.jit.script(network), torch.rand(1, 1, 8, 8, 8))


@pytest.mark.parametrize("size", [(1, 2, 3), (5, 6, 7), (30, 31, 33)])
def test_any_size_goes_in_and_comes_out(size: tuple[int, ...]) -> None:
    assert predict(trained_like(), torch.rand(1, 1, *size)).shape[2:] == size


def test_last_slices_keep_their_dose_whatever_the_number_of_slices(shipped: DoseGenerator) -> None:
    """A column that goes on beyond the volume must not fade at its end."""
    column = torch.ones(1, 1, 24, 24, 32)
    column[:, :, 8:16, 8:16] = 20.0
    middle = predict(shipped, column)[0, 0, 8:16, 8:16].mean(dim=(0, 1))[12:20].mean()
    for slices in (20, 21, 22, 23):
        dose = predict(shipped, column[..., :slices])[0, 0, 8:16, 8:16].mean(dim=(0, 1))
        ends = torch.stack([dose[0], dose[-1]]) / middle
        assert 0.8 < ends.min() <= ends.max() < 1.25


def test_tile_with_halo_equals_the_whole_volume(shipped: DoseGenerator) -> None:
    """Stride-aligned tiles with a halo of half the receptive field are exact."""
    torch.manual_seed(1)
    suv = torch.rand(1, 1, 16, 16, 256) * 10
    halo = 4 * math.ceil(receptive_halo(shipped) / 4)
    assert halo < 96  # the tile must be smaller than the volume for this to say anything
    tile = slice(112, 144)
    with_halo = suv[..., tile.start - halo : tile.stop + halo]
    torch.testing.assert_close(
        predict(shipped, with_halo)[..., halo : halo + 32], predict(shipped, suv)[..., tile]
    )


def receptive_halo(network: DoseGenerator) -> int:
    """Voxels that a voxel's dose looks at to one side, by its gradient, along z."""
    suv = torch.rand(1, 1, 16, 16, 192, requires_grad=True)
    network(suv)[0, 0, 8, 8, 96].backward()
    assert suv.grad is not None
    seen = suv.grad.abs().sum(dim=(0, 1, 2, 3)).nonzero().flatten()
    return int(max(96 - seen.min(), seen.max() - 96))


def test_discriminator_leaves_six_cubed_logits_of_a_patch() -> None:
    discriminator = DoseDiscriminator(channels=8, layers=2, suv_scale=1.0, dose_scale=0.02)
    patch = torch.rand(2, 1, 32, 32, 32)
    assert discriminator(patch, patch).shape == (2, 1, 6, 6, 6)


def test_discriminator_looks_at_both_pet_and_dose() -> None:
    discriminator = DoseDiscriminator(channels=8, layers=2, suv_scale=1.0, dose_scale=0.02).eval()
    suv, dose = (torch.rand(1, 1, 32, 32, 32, requires_grad=True) for _ in range(2))
    discriminator(suv, dose).sum().backward()
    assert suv.grad is not None
    assert dose.grad is not None
    assert suv.grad.abs().sum() > 0
    assert dose.grad.abs().sum() > 0


def test_least_squares_loss_has_no_activation_of_its_own(bundle: Path) -> None:
    parser = ConfigParser()
    parser.read_config(str(bundle / "configs" / "train.yaml"))
    loss = parser.get_parsed_content("adversarial_loss")
    assert isinstance(loss, PatchAdversarialLoss)
    logits = torch.full((1, 1, 2, 2, 2), -0.5)
    assert loss(logits, False, for_discriminator=True).item() == pytest.approx(0.25)
    assert loss(logits, True, for_discriminator=False).item() == pytest.approx(2.25)
