"""What the mass of ligand does to the kidney: the study's one look at receptors that fill up.

The study's other results are linear in the injected amount. A therapy brings about 50 times the
ligand of a PET, and the receptors that it fills take up less.
"""

from typing import Any

import numpy as np

from rpt_kinetics.dose import LU177_HALF_LIFE_MIN
from rpt_kinetics.exponentials import Floats
from rpt_kinetics.inputs import siebinga
from rpt_kinetics.saturable import KIDNEY, change_by_mass

TRACER_NMOL = 3.0
THERAPY_NMOL = 150.0
LIGAND_NMOL = (TRACER_NMOL, 10.0, 30.0, 75.0, THERAPY_NMOL, 300.0)
"""A PET brings about 3 nmol, a therapy about 150; the others are ours."""
REFERENCE_CHANGE = -0.13
"""At 150 nmol against 3: a whole-body PBPK model (theranostic virtual patients, PyCNO)."""


def kidney_changes() -> Floats:
    """Return the change of the kidney's time-integrated activity at each of the masses.

    Returns:
        Relative to :data:`TRACER_NMOL`, −0.1 for 10 % less; shape (masses,).
    """
    return np.array(
        [
            change_by_mass(
                KIDNEY,
                siebinga(),
                ligand_nmol=nmol,
                half_life_min=LU177_HALF_LIFE_MIN,
                tracer_nmol=TRACER_NMOL,
            )
            for nmol in LIGAND_NMOL
        ]
    )


def mass_in_words(changes: Floats) -> dict[str, Any]:
    """Return the changes with what they were computed from, JSON-ready.

    Args:
        changes: Of :func:`kidney_changes`.
    """
    return {
        "meaning": "relative change of the kidney's time-integrated activity of 177Lu, against "
        f"{TRACER_NMOL:g} nmol of ligand, by the saturable two-tissue model",
        "rows": [
            {"ligand_nmol": nmol, "relative_change": change}
            for nmol, change in zip(LIGAND_NMOL, changes.tolist(), strict=True)
        ],
        "reference": {
            "ligand_nmol": THERAPY_NMOL,
            "relative_change": REFERENCE_CHANGE,
            "source": "a whole-body PBPK model (theranostic virtual patients, PyCNO)",
        },
        "parameters": vars(KIDNEY) | {"half_life_min": LU177_HALF_LIFE_MIN, "input": "siebinga"},
        "assumptions": [
            "receptor density, binding, internalisation and release are typical values of the "
            "PBPK model (density 30 ± 10 nmol/L between patients); K1, k2 and V_b are ours",
            "binding to the surface is in quasi-equilibrium; a receptor stays taken until its "
            "ligand is released, and none is made anew",
            "hot and cold ligand behave alike, and the blood curve does not depend on the mass: "
            "other organs, whose receptors fill too, leave it as it is",
            *siebinga().assumptions,
        ],
    }
