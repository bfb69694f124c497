"""What may be chosen about a virtual cohort: options of the commands, a file's keys, provenance."""

from typing import TYPE_CHECKING, Annotated, Any, Literal

from pydantic import Field, model_validator
from rpt_cohort.command import Options, choice
from rpt_cohort.schema import Therapy, Tracer

from rpt_phantom.grid import SLICES_LEAST, SLICES_MOST, SLICES_USUAL

if TYPE_CHECKING:
    from rpt_phantom.anatomy import Atlas, OwnAnatomy
else:  # heavy, and the commands' help needs none of it
    OwnAnatomy = Any

Imaging = Literal["fast", "full"]


class CohortSettings(Options):
    """What all cycles of a cohort have in common.

    Attributes:
        anatomy: In which patients are drawn; ``None`` for what is shipped.
    """

    seed: Annotated[int, Field(ge=0)] = choice(0, help="Same seed, same data files.")
    slices: Annotated[int, Field(ge=SLICES_LEAST, le=SLICES_MOST)] = choice(
        SLICES_USUAL, help=f"Slices of 4.8 mm, {SLICES_LEAST} to {SLICES_MOST}."
    )
    imaging: Imaging = choice(
        "fast",
        help="fast: blur and noise, seconds a cycle. full: SPECT by PyTomography, minutes a cycle.",
    )
    heterogeneity: Annotated[float, Field(ge=0, le=1)] = choice(
        1.0, help="of uptake within organs, 0 for none to 1 for the usual", rare=True
    )
    tracer: Tracer = choice(
        "68Ga-PSMA-11", help="of the PET, one with rates, such as 18F-PSMA-1007", rare=True
    )
    therapy: Therapy = choice("177Lu-PSMA-I&T", help="177Lu-PSMA-I&T or 177Lu-PSMA-617", rare=True)
    fine_truth: bool = choice(
        False, help="true: true dose and decays are written on 2.4 mm too", rare=True
    )
    anatomy: OwnAnatomy | None = None

    @model_validator(mode="after")
    def _with_rates(self) -> "CohortSettings":
        from rpt_phantom.agents import TRACERS

        if self.tracer not in TRACERS:
            raise ValueError(f"tracer must be one of {', '.join(TRACERS)}, got {self.tracer!r}.")
        return self

    def parameters(self) -> dict[str, Any]:
        """Return what images depend on, but the seed, for a provenance; files by hashes."""
        from rpt_phantom.agents import POPULATION

        told = self.model_dump(exclude={"seed", "fine_truth", "anatomy"})
        told["population"] = POPULATION
        return told | ({"anatomy": self.anatomy.sha256()} if self.anatomy else {})

    def atlases(self) -> "tuple[Atlas, ...]":
        """Return the label maps in which patients are drawn.

        Raises:
            BadInput: That of ``anatomy`` cannot be made.
        """
        from rpt_phantom.anatomy import own_atlas, shipped_atlases

        return (own_atlas(self.anatomy),) if self.anatomy else shipped_atlases()
