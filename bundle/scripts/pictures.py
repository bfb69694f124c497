"""An image strip for TensorBoard: PET, truth and prediction of one case, side by side."""

import torch
from ignite.engine import Engine, Events
from torch import Tensor
from torch.utils.tensorboard import SummaryWriter

SEPARATOR_PIXELS = 2


class ImageStrip:
    """Handler of the evaluator: log the first case's coronal maximum projections.

    Left to right: PET, reference dose, predicted dose; black is 0, white is ``max_suv``
    in the PET and ``max_dose`` in both doses.

    Args:
        log_dir: TensorBoard's folder.
        max_suv: White in the PET, g/mL.
        max_dose: White in the doses, Gy/GBq.
    """

    def __init__(self, log_dir: str, max_suv: float, max_dose: float) -> None:
        self.log_dir = log_dir
        self.max_suv = max_suv
        self.max_dose = max_dose
        self.validations = 0

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
        with SummaryWriter(log_dir=self.log_dir) as writer:
            writer.add_image(tag, strip, global_step=self.validations)
        self.validations += 1


def image_strip(*maps: Tensor) -> Tensor:
    """Project maps on the coronal plane, head up, patient's right on the left.

    Args:
        *maps: Each (1, x, y, z), RAS+, scaled so that 1 is white; NaN is black.

    Returns:
        Grey picture (1, height, width), 0 to 1.
    """
    panels: list[Tensor] = []
    for volume in maps:
        projection = torch.as_tensor(volume)[0].nan_to_num(nan=0.0).amax(dim=1)  # x, z
        panel = projection.T.flip(0, 1).clamp(0, 1)
        panels += [panel, torch.ones(panel.shape[0], SEPARATOR_PIXELS, device=panel.device)]
    return torch.cat(panels[:-1], dim=1)[None].cpu()


def _is_first(engine: Engine, event: int) -> bool:
    return bool(event % engine.state.epoch_length == 1 or engine.state.epoch_length == 1)
