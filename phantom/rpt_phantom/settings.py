"""What may be chosen about a virtual cohort, checked."""

from dataclasses import asdict, dataclass
from typing import Any, Literal, get_args

from rpt_cohort import BadInput
from rpt_cohort.schema import Therapy, Tracer

from rpt_phantom.agents import POPULATION, THERAPIES, TRACERS
from rpt_phantom.anatomy import Atlas, OwnAnatomy, own_atlas, shipped_atlases
from rpt_phantom.grid import SLICES_USUAL, torso_grid

Imaging = Literal["fast", "full"]


@dataclass(frozen=True)
class Settings:
    """What all cycles of a cohort have in common.

    Attributes:
        seed: Same seed, same patients.
        imaging: ``full`` simulates photons and reconstructs; ``fast`` blurs, and adds noise.
        heterogeneity: Of uptake within organs, from 0 for none to 1 for the usual.
        anatomy: In which patients are drawn; ``None`` for what is shipped.
    """

    seed: int = 0
    slices: int = SLICES_USUAL
    imaging: Imaging = "fast"
    heterogeneity: float = 1.0
    tracer: Tracer = "68Ga-PSMA-11"
    therapy: Therapy = "177Lu-PSMA-I&T"
    anatomy: OwnAnatomy | None = None

    def __post_init__(self) -> None:
        """Refuse what no cohort can have.

        Raises:
            BadInput: A value is out of its range, or a name is not known.
        """
        if self.seed < 0:
            raise BadInput(f"seed must be 0 or above, got {self.seed}.")
        torso_grid(self.slices)
        if not 0 <= self.heterogeneity <= 1:
            raise BadInput(
                f"heterogeneity must be 0 (none) to 1 (the usual), got {self.heterogeneity!r}."
            )
        # 1 and 1.0 are one setting, in files too.
        object.__setattr__(self, "heterogeneity", float(self.heterogeneity))
        for name, value, known in (
            ("imaging", self.imaging, get_args(Imaging)),
            ("tracer", self.tracer, TRACERS),
            ("therapy", self.therapy, THERAPIES),
        ):
            if value not in known:
                raise BadInput(f"{name} must be one of {', '.join(known)}, got {value!r}.")

    def parameters(self) -> dict[str, Any]:
        """Return all but the seed, and which population, for a provenance; files by hashes."""
        told = asdict(self)
        del told["seed"], told["anatomy"]
        told["population"] = POPULATION
        return told | ({"anatomy": self.anatomy.sha256()} if self.anatomy else {})

    def atlases(self) -> tuple[Atlas, ...]:
        """Return the label maps in which patients are drawn.

        Raises:
            BadInput: That of ``anatomy`` cannot be made.
        """
        return (own_atlas(self.anatomy),) if self.anatomy else shipped_atlases()
