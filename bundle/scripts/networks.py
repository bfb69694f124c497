"""The two networks of 3D RPT DoseGAN: the dose generator and its discriminator.

The paper names a 3D U-Net generator and a CNN discriminator (Xue et al., EJNMMI 2024,
Fig. 2); widths, normalisation and scaling are not published and are ours.
"""

import math
from collections.abc import Sequence

import torch
from monai.networks.nets import PatchDiscriminator, UNet
from torch import Tensor, nn
from torch.nn import functional as F

from scripts.errors import BadInput

FWHM_PER_SIGMA = 2.0 * math.sqrt(2.0 * math.log(2.0))
LARGEST_SUV = 1000.0  # g/mL; ours: a bladder can exceed 100
ROUNDING_SUV = 1e-3  # g/mL; ours: what resampling 1,000 g/mL in single precision may lack
PASS_FEATURES = 5  # of the first level's features, how many a pass holds at a time; measured


class DoseGenerator(nn.Module):
    """Predict the absorbed dose per administered activity from PET alone.

    The dose is a physical prior times a learnt factor: the PET blurred towards SPECT
    resolution, times ``dose_per_suv``, times exp(f) with f from a 3D U-Net. The U-Net's
    head starts at zero, so training starts at the prior. No layer normalises over a
    patch or a case, so the absolute scale of the SUV reaches the dose, and where there
    is no SUV there is no dose.

    In evaluation, and wherever gradients are disabled, it refuses what cannot be SUV,
    because a host may run it without the bundle's own checks, or without ``eval()``;
    scripted too. A traced, compiled or exported network cannot raise, and gives NaN
    everywhere instead. In training the data set has been checked, and no GPU is made to wait.

    Args:
        channels: Features per level of the U-Net.
        num_res_units: Convolutions per residual unit.
        voxel_mm: The voxel size that the input has, mm, three values.
        prior_fwhm_mm: Blur of the prior, mm FWHM; 6 mm PET to 12 mm SPECT in quadrature.
        dose_per_suv: Scale of the prior, Gy/GBq per g/mL.
        suv_scale: Where asinh turns from linear to logarithmic, g/mL.
        max_log_factor: Bound of abs(f); 5 lets the factor span 1/148 to 148.

    Attributes:
        divisor: Voxels by which a window must be placed for the U-Net to halve it as it halves
            the whole volume.
        halo: How far a voxel's dose looks, voxels, rounded up to ``divisor``.
        bytes_per_voxel: What one pass takes at most, without gradients.
    """

    kernel_x: Tensor
    kernel_y: Tensor
    kernel_z: Tensor

    def __init__(
        self,
        channels: Sequence[int],
        num_res_units: int,
        voxel_mm: Sequence[float],
        prior_fwhm_mm: float,
        dose_per_suv: float,
        suv_scale: float,
        max_log_factor: float = 5.0,
    ) -> None:
        super().__init__()
        self.unet = UNet(
            spatial_dims=3,
            in_channels=1,
            out_channels=channels[0],
            channels=channels,
            strides=[2] * (len(channels) - 1),
            num_res_units=num_res_units,
            norm="",  # trap: instance norm would erase the absolute scale of the SUV
        )
        self.head = nn.Conv3d(channels[0], 1, kernel_size=1)
        for parameter in self.head.parameters():
            nn.init.zeros_(parameter)
        self.divisor = 2 ** (len(channels) - 1)
        self.bytes_per_voxel = PASS_FEATURES * channels[0] * 4
        self.dose_per_suv = float(dose_per_suv)
        self.suv_scale = float(suv_scale)
        self.max_log_factor = float(max_log_factor)
        kernels = [_gaussian(prior_fwhm_mm / FWHM_PER_SIGMA / mm) for mm in voxel_mm]
        # Per level a convolution down, one up, and those of the residual units, of 3 voxels each.
        per_level = 2 * num_res_units + 1 if num_res_units else 2
        reach = per_level * (self.divisor - 1) + max(num_res_units, 1) * self.divisor
        reach = max(reach, *(kernel.numel() // 2 for kernel in kernels))
        self.halo = -(-reach // self.divisor) * self.divisor
        # Not in the state dict: a constant of the configuration, not a weight.
        self.register_buffer("kernel_x", kernels[0].reshape(1, 1, -1, 1, 1), persistent=False)
        self.register_buffer("kernel_y", kernels[1].reshape(1, 1, 1, -1, 1), persistent=False)
        self.register_buffer("kernel_z", kernels[2].reshape(1, 1, 1, 1, -1), persistent=False)

    def prior(self, suv: Tensor) -> Tensor:
        """Return the physical prior, Gy/GBq; shapes as in ``forward``."""
        x, y, z = (
            self.kernel_x.shape[2] // 2,
            self.kernel_y.shape[3] // 2,
            self.kernel_z.shape[4] // 2,
        )
        blurred = F.pad(suv, [z, z, y, y, x, x], mode="replicate")
        blurred = F.conv3d(blurred, self.kernel_x)
        blurred = F.conv3d(blurred, self.kernel_y)
        blurred = F.conv3d(blurred, self.kernel_z)
        return self.dose_per_suv * blurred

    def forward(self, suv: Tensor) -> Tensor:
        """Map SUV, g/mL, to absorbed dose, Gy/GBq; both (batch, 1, x, y, z), of any size.

        Raises:
            BadInput: In evaluation or without gradients: SUV that is not finite, is negative or
                above 1,000 g/mL, or weights that give no finite dose.
        """
        given = suv
        suv = suv.clamp(min=0.0)  # rounding of whatever resampled it
        x, y, z = suv.shape[2], suv.shape[3], suv.shape[4]
        # The U-Net halves its input evenly; zeros here would be cold neighbours.
        margin = [0, -z % self.divisor, 0, -y % self.divisor, 0, -x % self.divisor]
        padded = F.pad(suv, margin, mode="replicate")
        features = self.unet(torch.asinh(padded / self.suv_scale))[:, :, :x, :y, :z]
        log_factor = self.max_log_factor * torch.tanh(self.head(features) / self.max_log_factor)
        dose = self.prior(suv) * torch.exp(log_factor)
        if self.training and torch.is_grad_enabled():
            return dose
        if torch.jit.is_scripting():  # type: ignore[attr-defined]
            _refuse_impossible(given, dose)
        elif _cannot_raise():
            usable = ((given >= -ROUNDING_SUV) & (given <= LARGEST_SUV + ROUNDING_SUV)).all()
            dose = torch.where(usable, dose, torch.nan)
        else:
            _refuse_impossible(given, dose)
        return dose


def _cannot_raise() -> bool:
    """Say whether a graph is being recorded: traced, compiled or exported."""
    tracing: bool = torch.jit.is_tracing()  # type: ignore[attr-defined, no-untyped-call]
    return tracing or torch.compiler.is_compiling()


def _refuse_impossible(
    suv: Tensor,
    dose: Tensor,
    # TorchScript takes constants of the module as defaults alone.
    largest: float = LARGEST_SUV,
    rounding: float = ROUNDING_SUV,
) -> None:
    """See that SUV, g/mL, can be SUV, and that the dose is finite."""
    lowest, highest = float(suv.detach().amin()), float(suv.detach().amax())
    if not (lowest >= -rounding and highest <= largest + rounding):  # so of NaN
        raise BadInput(
            f"The network must be given SUV in g/mL, finite and from 0 to {int(largest)}, got "
            f"{lowest} to {highest}. Convert Bq/mL to SUV, and set negative voxels to 0."
        )
    if not bool(dose.isfinite().all()):
        raise BadInput(
            "The weights must give a finite dose of SUV in g/mL, and give NaN or infinity. Use "
            "other weights."
        )


class DoseDiscriminator(nn.Module):
    """Judge whether a dose map belongs to a PET: PatchGAN on the (PET, dose) pair.

    Args:
        channels: Features of its first layer.
        layers: Layers after the first; 2 leave 6³ logits of a 32³ patch.
        suv_scale: As in the generator, g/mL.
        dose_scale: Where asinh turns from linear to logarithmic, Gy/GBq.
    """

    def __init__(self, channels: int, layers: int, suv_scale: float, dose_scale: float) -> None:
        super().__init__()
        self.patches = PatchDiscriminator(
            spatial_dims=3, in_channels=2, channels=channels, num_layers_d=layers
        )
        self.suv_scale = float(suv_scale)
        self.dose_scale = float(dose_scale)

    def forward(self, suv: Tensor, dose: Tensor) -> Tensor:
        """Return a map of logits, high where the pair looks measured.

        Args:
            suv: SUV, g/mL, (batch, 1, x, y, z).
            dose: Absorbed dose, Gy/GBq, same shape.
        """
        pair = [torch.asinh(suv / self.suv_scale), torch.asinh(dose / self.dose_scale)]
        logits: Tensor = self.patches(torch.cat(pair, dim=1))[-1]
        return logits


def _gaussian(sigma_voxels: float) -> Tensor:
    """Sampled Gaussian to 3 σ, of sum 1; a single 1 for no blur."""
    radius = math.ceil(3.0 * sigma_voxels)
    if radius == 0:
        return torch.ones(1)
    offsets = torch.arange(-radius, radius + 1, dtype=torch.float32)
    kernel = torch.exp(-0.5 * (offsets / sigma_voxels) ** 2)
    return kernel / kernel.sum()
