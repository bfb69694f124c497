"""The dose engines by name."""

from collections.abc import Callable, Mapping

from rpt_cohort import BadInput

from rpt_dosimetry.dose.engine import Engine
from rpt_dosimetry.dose.local import Local
from rpt_dosimetry.dose.vsv import Vsv
from rpt_dosimetry.radiation.nuclide import Nuclide

ENGINES: Mapping[str, Callable[[Nuclide], Engine]] = {"local": Local, "vsv": Vsv}
"""Name → what makes the engine for a nuclide."""


def find_engine(name: str, nuclide: Nuclide) -> Engine:
    """Make the engine of that name.

    Raises:
        BadInput: There is none.
    """
    if name not in ENGINES:
        raise BadInput(f"The engine must be one of {', '.join(ENGINES)}, got '{name}'.")
    return ENGINES[name](nuclide)
