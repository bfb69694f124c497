"""What a user may choose of calibration and dose: command, study file and provenance alike.

Light, because the commands read it for their help.
"""

from typing import TYPE_CHECKING, Annotated, Literal, TypeAlias

from pydantic import Field, model_validator
from rpt_cohort.command import Options, choice
from rpt_cohort.schema import Positive

NotNegative = Annotated[float, Field(ge=0, allow_inf_nan=False)]
Percent = Annotated[float, Field(ge=0, le=100)]
Fraction = Annotated[float, Field(ge=0, lt=1)]
ByRegion = dict[str, Positive]

ENGINES = {
    "local": (
        "rpt_dosimetry.dose.engines:Local",
        "electrons stop in their voxel, photons are left out.",
    ),
    "vsv": (
        "rpt_dosimetry.dose.engines:Vsv",
        "convolution with the voxel kernel of soft tissue, electrons scaled by density.",
    ),
}
"""Dose engine → the class that keeps ``dose.engines.Engine``, and what the help says of it."""
if TYPE_CHECKING:
    EngineName: TypeAlias = str
else:
    EngineName = Literal[tuple(ENGINES)]
Model = Literal[
    "auto", "physical", "mono", "bi_population", "bi", "trapezoid", "haenscheid", "madsen"
]
VoxelCurve = Literal["own", "organ"]
DeadTimeModel = Literal["paralyzable", "non-paralyzable"]
Scatter = Literal["tew", "dew", "none"]


class DeadTime(Options):
    """How a detector loses counts.

    Attributes:
        tau_us: Dead time of one count in the photopeak window, µs; 0 where none is lost.
        sd_pct: Standard uncertainty of it, %.
        model: ``paralyzable`` (a lost count prolongs the dead time) or ``non-paralyzable``.
    """

    tau_us: Annotated[float, Field(ge=0, le=100)]
    sd_pct: Annotated[float, Field(ge=0, lt=100)] = 0.0
    model: DeadTimeModel = "paralyzable"


class SpectOptions(Options):
    """What is told of a SPECT before its header."""

    duration_s: Positive | None = choice(
        None, help="Duration of the SPECT, s; by default the header's."
    )
    time_h: Positive | None = choice(
        None, help="Start of infusion to the middle of the SPECT, h; by default the header's."
    )
    heads: Annotated[int, Field(ge=1, le=16)] = choice(2, help="Detector heads of the camera.")
    decay_reference: Literal["scan", "injection"] | None = choice(
        None,
        help="To what NM counts that name DECY were corrected for decay; undone to mid-scan. "
        "Without it they are refused.",
    )
    head_cps: Positive | None = choice(
        None,
        help="what one head recorded in the peak window during the SPECT, 1/s, with dead_time",
        rare=True,
    )


class CountsOptions(SpectOptions):
    """What is told of a SPECT in counts."""

    dead_time: DeadTime | None = choice(
        None,
        help="tau_us (dead time of a count in the photopeak window, µs), sd_pct (its standard "
        "uncertainty, %) and model (paralyzable or non-paralyzable)",
        rare=True,
    )


class CalibrationOptions(Options):
    """How a factor is found from whole-body views."""

    biological_h: Positive | None = choice(None, help="Biological half-life of the body, h.")
    effective_h: Positive | None = choice(None, help="Effective half-life of the body, h.")
    excreted: Fraction | None = choice(
        None, help="Fraction excreted from the planar scan to the SPECT, decay-corrected."
    )
    excreted_at_most: Fraction | None = choice(
        None, help="bound of that fraction, the middle is taken", rare=True
    )
    excretion_sd: NotNegative | None = choice(
        None,
        help="standard uncertainty, of a half-life over it, of excreted as it is",
        rare=True,
    )
    outside_views_at_most: Fraction | None = choice(
        None,
        help="bound of the fraction of the activity outside the views, such as in the legs, the "
        "middle is taken, by default 0 where no edge of them holds counts, else not known",
        rare=True,
    )
    administered_sd_pct: Percent | None = choice(
        None, help="standard uncertainty of the net activity, %", rare=True
    )
    scatter: Scatter = choice("tew", help="of the views, tew, dew or none", rare=True)
    dew_factor: Annotated[float, Field(ge=0, le=10)] | None = choice(
        None, help="with dew, scatter in the peak per count in the window below", rare=True
    )
    detector_mm: Annotated[float, Field(gt=0, le=1000)] | None = choice(
        None,
        help="length of a detector along the body, mm, for the sweep, with dead_time",
        rare=True,
    )
    place_mm: Annotated[list[float], Field(min_length=2, max_length=2)] | None = choice(
        None,
        help="[x, z], where the pixel of the views nearest to the patient's left and feet lies in "
        "the world of the SPECT (to the right, to the head), mm, by default found by correlation",
        rare=True,
    )


class CalibrateOptions(CountsOptions, CalibrationOptions):
    """What the command ``calibrate`` is told."""

    nuclide: str = choice("Lu-177", help="name as in ICRP-107, by default Lu-177", rare=True)
    photon_kev: Positive = choice(
        208.37, help="photon of the peak window, keV, by default 208.37", rare=True
    )


class DoseOptions(Options):
    """How a dose is computed from activity images.

    A value that is ``None`` is taken as the help says.
    """

    engine: EngineName = choice(help=" ".join(f"{one}: {ENGINES[one][1]}" for one in ENGINES))
    model: Model = choice(
        "auto",
        help="Curve of the regions; auto chooses. One time point needs haenscheid or madsen, which "
        "are for the voxels too, or physical, an upper bound.",
    )
    population_half_life_h: Positive | None = choice(
        None, help="effective half-life for madsen, h", rare=True
    )
    uptake_half_life_h: float | None = choice(
        None,
        help="uptake half-life of bi_population, h, above 0 and at most 0.45 of the physical "
        "half-life, by default 0.8 or that share of a short one",
        rare=True,
    )
    noise_floor_bq_per_ml: NotNegative | None = choice(
        None,
        help="what noise alone may make of a region's mean concentration, 1 SD, Bq/mL, where late "
        "points within it are fitted through, and a rise within it is no rise, by default with "
        "masks each image's median outside them, else none",
        rare=True,
    )
    voxel_curve: VoxelCurve | None = choice(
        None,
        help="own, each voxel's points, or organ, the curve of its lesion or organ, scaled to it, "
        "voxels of neither by that of the rest, by default organ with masks, else own",
        rare=True,
    )
    alpha_beta_gy: ByRegion = choice(
        {},
        help="region → α/β for the BED, Gy, lesion names all, by default kidneys 2.5, others 3",
        rare=True,
    )
    repair_half_time_h: ByRegion = choice(
        {},
        help="region → half-time of repair for the BED, h, by default kidneys 2.8, others 1.5",
        rare=True,
    )
    calibration_sd_pct: Percent | None = choice(
        None,
        help="Standard uncertainty of the scanner's calibration, %; state your own. By default "
        "total_relative_sd_pct of the JSONs beside the images, else 5.",
    )
    fwhm_mm: Annotated[float, Field(gt=0, le=50)] | None = choice(
        None,
        help="resolution of the activity images, mm, adds recovery coefficients and the volume's "
        "part of the uncertainty to the table, no map changes",
        rare=True,
    )
    recovery_sd_pct: Percent | None = choice(
        None,
        help="with fwhm_mm, standard uncertainty of the recovery coefficients, %, adds that of the "
        "recovered dose to the table",
        rare=True,
    )

    @model_validator(mode="after")
    def _recovery_has_coefficients(self) -> "DoseOptions":
        if self.recovery_sd_pct is not None and self.fwhm_mm is None:
            raise ValueError("recovery_sd_pct needs fwhm_mm, which makes the coefficients")
        return self
