"""An image strip for TensorBoard: PET, truth and prediction of one case, side by side."""

import math

import torch
from ignite.engine import Engine, Events
from torch import Tensor
from torch.utils.tensorboard import SummaryWriter

SEPARATOR_PIXELS = 2
LEAST_HEIGHT_PIXELS = 480


class ImageStrip:
    """Handler of the evaluator: log the first case's coronal maximum projections.

    Left to right: PET, reference dose, predicted dose; black is 0, white is ``max_suv``
    in the PET and ``max_dose`` in both doses.

    Args:
        writer: TensorBoard's.
        max_suv: White in the PET, g/mL.
        max_dose: White in the doses, Gy/GBq.
    """

    def __init__(self, writer: SummaryWriter, max_suv: float, max_dose: float) -> None:
        self.writer = writer
        self.max_suv = max_suv
        self.max_dose = max_dose

    def attach(self, engine: Engine) -> None:
        """Attach to the first case of each validation."""
        engine.add_event_handler(Events.ITERATION_COMPLETED(event_filter=_is_first), self)

    def __call__(self, engine: Engine) -> None:
        """Log one strip."""
        first = engine.state.output[0]
        strip = image_strip(
            first["image"] / self.max_suv,
            first["label"] / self.max_dose,
            first["pred"] / self.max_dose,
        )
        tag = (
            f"PET 0-{self.max_suv:g} g per mL, truth and prediction 0-{self.max_dose:g} Gy per GBq"
            ", the patient's right on the left"
        )
        self.writer.add_image(tag, strip, global_step=engine.state.epoch)


def image_strip(*maps: Tensor) -> Tensor:
    """Project maps on the coronal plane, head up, patient's right on the left.

    Args:
        *maps: Each (1, x, y, z), RAS+, scaled so that 1 is white; NaN is black.

    Returns:
        Grey picture (1, height, width), 0 to 1, each voxel large enough to be seen.
    """
    panels: list[Tensor] = []
    for volume in maps:
        projection = torch.as_tensor(volume)[0].nan_to_num(nan=0.0).amax(dim=1)  # x, z
        panel = projection.T.flip(0, 1).clamp(0, 1)
        panels += [panel, torch.ones(panel.shape[0], SEPARATOR_PIXELS, device=panel.device)]
    strip = torch.cat(panels[:-1], dim=1)[None].cpu()
    times = math.ceil(LEAST_HEIGHT_PIXELS / strip.shape[1])
    return strip.repeat_interleave(times, dim=1).repeat_interleave(times, dim=2)


def _is_first(engine: Engine, event: int) -> bool:
    return bool(event % engine.state.epoch_length == 1 or engine.state.epoch_length == 1)
