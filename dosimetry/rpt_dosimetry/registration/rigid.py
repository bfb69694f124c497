"""A rigid transform between the worlds of two scans."""

from dataclasses import dataclass
from typing import Any

import numpy as np
from jaxtyping import Float

from rpt_dosimetry.registration.itk_images import LPS, simpleitk


@dataclass(frozen=True)
class Rigid:
    """Where a point of the fixed scan lies in the moving one.

    Attributes:
        fixed_to_moving: Position in the fixed world → position in the moving world, mm, RAS+.
            The moving image is carried to the fixed grid by looking its values up there.
    """

    fixed_to_moving: Float[np.ndarray, "4 4"]

    @property
    def rotation_deg(self) -> float:
        """Angle of the rotation about its own axis, degrees."""
        # By sine and cosine: the arc cosine alone is coarse near 0.
        turn = self.fixed_to_moving[:3, :3]
        skew = turn - turn.T
        sine = np.linalg.norm([skew[2, 1], skew[0, 2], skew[1, 0]]) / 2.0
        return float(np.degrees(np.arctan2(sine, (np.trace(turn) - 1.0) / 2.0)))

    def moved_mm(self, points_mm: Float[np.ndarray, "points 3"]) -> Float[np.ndarray, "points 3"]:
        """Return where points of the fixed world lie in the moving one, mm, RAS+."""
        moved: Float[np.ndarray, "points 3"] = (
            points_mm @ self.fixed_to_moving[:3, :3].T + self.fixed_to_moving[:3, 3]
        )
        return moved

    def tfm(self) -> bytes:
        """Return the transform as ITK's text file, LPS mm, which 3D Slicer and ITK-SNAP read."""
        in_lps = LPS @ self.fixed_to_moving @ LPS
        numbers = [*in_lps[:3, :3].ravel(), *in_lps[:3, 3]]
        lines = (
            "#Insight Transform File V1.0",
            "#Transform 0",
            "Transform: AffineTransform_double_3_3",
            "Parameters: " + " ".join(repr(float(number)) for number in numbers),
            "FixedParameters: 0 0 0",
        )
        return ("\n".join(lines) + "\n").encode()

    def to_itk(self) -> Any:
        """Return the transform for SimpleITK, LPS mm."""
        in_lps = LPS @ self.fixed_to_moving @ LPS
        return simpleitk().AffineTransform(in_lps[:3, :3].ravel().tolist(), in_lps[:3, 3].tolist())


def shifted(offset_mm: Float[np.ndarray, "3"]) -> Rigid:
    """Return the transform that only shifts, mm, RAS+."""
    matrix = np.eye(4)
    matrix[:3, 3] = offset_mm
    return Rigid(matrix)


def from_euler(euler: Any) -> Rigid:
    """Return SimpleITK's Euler3DTransform as a transform of RAS positions."""
    turn = np.reshape(euler.GetMatrix(), (3, 3))
    centre = np.array(euler.GetCenter())
    matrix = np.eye(4)
    matrix[:3, :3] = turn
    matrix[:3, 3] = np.array(euler.GetTranslation()) + centre - turn @ centre
    return Rigid(LPS @ matrix @ LPS)
