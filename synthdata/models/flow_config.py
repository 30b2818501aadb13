"""Sizes of the flow, which `vae`, `gan` and the drawer of `translation` share."""

from dataclasses import dataclass, field

from synthdata.models.nets import UNetConfig


@dataclass(frozen=True, kw_only=True, slots=True)
class FlowConfig:
    """All that is needed to build a `FlowGenerator`."""

    patch: int = 4  # voxels of a patch per axis; 1 along z where there is one slice
    image_components: int = 24  # per image channel
    field_components: int = 8  # per label
    aligned: bool = True  # tell shape from appearance by a template
    tissues: int = 6  # classes of tissue
    tissue_components: int = 5  # per class
    network: UNetConfig = field(
        default_factory=lambda: UNetConfig(widths=(32, 96), blocks=(1, 2), heads=4, ends=1)
    )
    refiner: tuple[int, ...] = (32, 48)  # widths of its levels
    drop_conditions: float = 0.1  # share of training items without conditions, for guidance
    time_mean: float = -0.2  # of the logit-normal law of the training times along the path
    time_std: float = 1.2
    start_time: float = 0.1  # the path before it is drawn from a Gaussian in closed form
