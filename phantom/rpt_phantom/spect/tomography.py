"""The system matrices, of PyTomography's parts; import by ``engine.tomography``.

PyTomography works in cm. A view turns the object until its detector lies at +x, and adds up
along x.
"""

from collections.abc import Callable

import numpy as np
import pytomography
import torch
from jaxtyping import Float, Float32
from pytomography.algorithms import OSEM
from pytomography.likelihoods import PoissonLogLikelihood
from pytomography.metadata.SPECT import SPECTObjectMeta, SPECTProjMeta
from pytomography.projectors.SPECT import SPECTSystemMatrix
from pytomography.transforms.SPECT import SPECTAttenuationTransform, SPECTPSFTransform
from pytomography.utils import pad_object, rotate_detector_z
from pytomography.utils.scatter import compute_EW_scatter
from scipy.fft import next_fast_len

from rpt_phantom.grid import FWHM_PER_STD
from rpt_phantom.spect.camera import Camera

FwhmMm = Callable[[Float[np.ndarray, " n"]], Float[np.ndarray, " n"]]
_MM_PER_CM = 10.0


class DepthBlur:
    """The collimator's and detector's response, a Gaussian that widens with depth.

    What ``SPECTPSFTransform`` calls as ``psf_operator``: products with one matrix a plane, which
    processors do faster than PyTomography's own convolutions, and untruncated.
    """

    def __init__(self, fwhm_mm: FwhmMm, *, pixel_mm: float, planes_at_once: int = 1) -> None:
        """Make a blur.

        Args:
            fwhm_mm: Distance from the collimator's face, mm → FWHM, mm.
            pixel_mm: Of the planes, mm.
            planes_at_once: Neighbours that are added up before they are blurred by the width
                at their middle; above 1 it is no longer its own transpose, for ``forward`` only.
        """
        self.fwhm_mm = fwhm_mm
        self.pixel_mm = pixel_mm
        self.planes_at_once = planes_at_once
        self._matrices: dict[tuple[float, ...], tuple[torch.Tensor, torch.Tensor]] = {}

    def __call__(
        self,
        planes: torch.Tensor,
        _x: torch.Tensor,
        _y: torch.Tensor,
        distances_cm: torch.Tensor,
        **_: bool,
    ) -> torch.Tensor:
        """Blur the planes of an object of shape (x, r, z)."""
        group = self.planes_at_once
        if group > 1:
            lacking = -len(planes) % group
            planes = torch.nn.functional.pad(planes, (0, 0, 0, 0, 0, lacking))
            planes = planes.reshape(-1, group, *planes.shape[1:]).sum(dim=1)
        across, along = self._of(distances_cm, planes.shape)
        return torch.bmm(torch.bmm(across, planes), along)

    def _of(
        self, distances_cm: torch.Tensor, shape: torch.Size
    ) -> tuple[torch.Tensor, torch.Tensor]:
        key = (float(distances_cm[0]), *shape)
        if key not in self._matrices:
            distances_mm = distances_cm.cpu().numpy().astype(np.float64) * _MM_PER_CM
            lacking = -len(distances_mm) % self.planes_at_once
            distances_mm = np.append(distances_mm, np.repeat(distances_mm[-1:], lacking))
            middle_mm = distances_mm.reshape(-1, self.planes_at_once).mean(axis=1)
            std = self.fwhm_mm(middle_mm) / FWHM_PER_STD / self.pixel_mm
            across, along = (
                torch.as_tensor(_gaussians(std, size), device=pytomography.device)
                for size in shape[1:]
            )
            self._matrices[key] = (across, along)
        return self._matrices[key]


def _gaussians(std: Float[np.ndarray, " n"], size: int) -> Float32[np.ndarray, "n size size"]:
    """Return the matrices of blurs by ``std`` pixels; what leaves the edges is lost."""
    offset = np.arange(-size, size + 1)
    kernel = np.exp(-0.5 * (offset / std[:, None]) ** 2)
    kernel /= kernel.sum(axis=1, keepdims=True)
    index = np.arange(size)[:, None] - np.arange(size)[None, :] + size
    return np.ascontiguousarray(kernel[:, index], dtype=np.float32)


class EffectiveScatterSource:
    """Turns activity into the effective source of its scatter; a transform of PyTomography."""

    def __init__(
        self, kernel: Float32[np.ndarray, "k k k"], density: Float32[np.ndarray, "x y z"]
    ) -> None:
        """Make the transform.

        Args:
            density: Attenuation coefficient over that of water.
        """
        self.kernel = kernel
        self.density = pad_object(torch.as_tensor(density, device=pytomography.device))

    def configure(self, _object: SPECTObjectMeta, views: SPECTProjMeta) -> None:
        """Prepare the kernel's Fourier transform, wide enough that nothing wraps around."""
        self.angles_deg = views.angles
        half = len(self.kernel) // 2
        self.size = tuple(next_fast_len(n + half, real=True) for n in self.density.shape)
        reach = [min(half, (n - 1) // 2) for n in self.size]
        cut = self.kernel[tuple(slice(half - n, half + n + 1) for n in reach)]
        ends = [(0, n - m) for n, m in zip(self.size, cut.shape, strict=True)]
        whole = np.roll(np.pad(cut, ends), [-n for n in reach], axis=(0, 1, 2))
        self.transfer = torch.fft.rfftn(torch.as_tensor(whole, device=pytomography.device))

    def forward(self, turned: torch.Tensor, view: torch.Tensor) -> torch.Tensor:
        """Return the effective source, the detector at +x."""
        spectrum = torch.fft.rfftn(turned, s=self.size) * self.transfer
        source = torch.fft.irfftn(spectrum, s=self.size)
        source = source[tuple(slice(0, n) for n in turned.shape)]
        density = rotate_detector_z(self.density, self.angles_deg[view])
        # Rounding of the transforms may fall below 0.
        effective: torch.Tensor = source.clamp(min=0.0) * density
        return effective


def system_matrix(
    mu_per_cm: Float32[np.ndarray, "n n z"],
    *,
    spacing_mm: float,
    angles_deg: Float[np.ndarray, " view"],
    radii_mm: Float[np.ndarray, " view"],
    blur: DepthBlur,
    scatter: EffectiveScatterSource | None = None,
) -> SPECTSystemMatrix:
    """Build the system matrix of views.

    Args:
        mu_per_cm: Attenuation coefficient, 1/cm, shape (n, n, z).
        radii_mm: From the axis to each collimator's face, mm.
        scatter: What the activity becomes before it is attenuated, if it is scattered.
    """
    spacing_cm = spacing_mm / _MM_PER_CM
    shape = list(mu_per_cm.shape)
    grid = SPECTObjectMeta([spacing_cm] * 3, shape)
    views = SPECTProjMeta(shape[1:], [spacing_cm] * 2, angles_deg, radii_mm / _MM_PER_CM)
    mu = torch.as_tensor(np.ascontiguousarray(mu_per_cm), device=pytomography.device)
    chain = [SPECTAttenuationTransform(mu), SPECTPSFTransform(psf_operator=blur)]
    return SPECTSystemMatrix([*([scatter] if scatter else []), *chain], [], grid, views)


def forward(
    matrix: SPECTSystemMatrix, activity: Float32[np.ndarray, "n n z"]
) -> Float32[np.ndarray, "view n z"]:
    """Project an activity."""
    seen = matrix.forward(torch.as_tensor(np.ascontiguousarray(activity)))
    projected: Float32[np.ndarray, "view n z"] = seen.cpu().numpy()
    return projected


def triple_energy_window(
    counts: Float32[np.ndarray, "window view n z"],
    camera: Camera,
    matrix: SPECTSystemMatrix,
    *,
    smoothing_fwhm_mm: float,
) -> Float32[np.ndarray, "view n z"]:
    """Estimate the scatter in the peak from the windows beside it, smoothed."""
    lower, upper = (torch.as_tensor(one, device=pytomography.device) for one in counts[1:])
    std_cm = smoothing_fwhm_mm / FWHM_PER_STD / _MM_PER_CM
    scatter = compute_EW_scatter(
        lower,
        upper,
        camera.lower.width_kev,
        camera.upper.width_kev,
        camera.peak.width_kev,
        proj_meta=matrix.proj_meta,
        sigma_r=std_cm,
        sigma_z=std_cm,
    )
    estimate: Float32[np.ndarray, "view n z"] = scatter.cpu().numpy()
    return estimate


def osem(
    matrix: SPECTSystemMatrix,
    counts: Float32[np.ndarray, "view n z"],
    scatter: Float32[np.ndarray, "view n z"],
    *,
    iterations: int,
    subsets: int,
) -> Float32[np.ndarray, "n n z"]:
    """Reconstruct by ordered subsets; ``scatter`` is added to what the image projects to."""
    measured, added = (
        torch.as_tensor(one, device=pytomography.device) for one in (counts, scatter)
    )
    likelihood = PoissonLogLikelihood(matrix, measured, additive_term=added)
    image = OSEM(likelihood)(n_iters=iterations, n_subsets=subsets)
    values: Float32[np.ndarray, "n n z"] = image.cpu().numpy()
    return values
