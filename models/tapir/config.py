"""Architecture of a TAPIR network as one frozen dataclass, and the named configurations."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class TapirConfig:
    """Every choice that changes the shape or the arithmetic of the network.

    Defaults are those of the published TAPIR (panning) checkpoint. The last four fields take one
    of its parts away, as the paper's Tables 4 and 5 do.

    Raises ValueError for a causal network of parts that cannot run frame by frame.
    """

    name: str = "tapir"
    group_channels: tuple[int, int, int, int] = (64, 128, 256, 256)
    """Width of the four residual groups; the stem has the width of the first.

    The second group is the high-resolution grid (stride 4), the fourth the low-resolution
    grid (stride 8)."""
    num_extra_convs: int = 0
    """Residual convolution blocks after the low-resolution grid (5 in BootsTAPIR)."""
    cost_channels: tuple[int, int, int] = (16, 32, 16)
    """Widths of the cost-volume head: heat map, occlusion convolution, occlusion linear."""
    pyramid_level: int = 0
    """Average-pooled levels after the two feature grids in the pyramid of local score maps."""
    mixer_channels: int = 512
    mixer_blocks: int = 12
    mixer_expansion: int = 4
    softmax_temperature: float = 20.0
    num_iterations: int = 4
    causal: bool = False
    """Temporal convolutions see the past only, so that frames can be processed one by one."""
    initial_resolution: tuple[int, int] = (256, 256)
    """(height, width) at which tracks are initialised; the unit of refinement updates."""

    initialisation: bool = True
    """False: tracks begin as their query point on every frame, with undecided logits, and there
    is no cost volume (Table 5, "No TAP-Net Initialization"; Table 4, "Chain-Free PIPs")."""
    mixer_window: int = 0
    """Frames of the fixed windows that an MLP-mixer refines apart from each other, as in PIPs
    (8; Table 5, "No Depthwise Conv"). 0: convolutions over time, for any length."""
    uncertainty: bool = True
    """False: no uncertainty logit; estimates say minus infinity, losses and visibility leave it
    out (Table 5, "No Uncertainty Estimate")."""
    highres: bool = True
    """False: refinement sees no grid at stride 4 (Table 5, "No Higher Res Feature")."""

    def __post_init__(self) -> None:
        if self.causal and (self.mixer_window or not self.initialisation):
            raise ValueError(
                "a causal network needs mixer_window 0 and its initialisation: frame by frame "
                "there are neither windows nor a query's frame"
            )

    @property
    def highres_channels(self) -> int:
        """Channels of the stride-4 part of a query feature."""
        return self.group_channels[1] if self.highres else 0

    @property
    def lowres_channels(self) -> int:
        return self.group_channels[3]

    @property
    def feature_channels(self) -> int:
        """Length of a query feature: the high- and low-resolution features side by side."""
        return self.highres_channels + self.lowres_channels

    @property
    def num_score_maps(self) -> int:
        return 1 + self.highres + self.pyramid_level


TAPIR = TapirConfig()
BOOTSTAPIR = TapirConfig(
    name="bootstapir", num_extra_convs=5, pyramid_level=1, softmax_temperature=10.0
)
CAUSAL_TAPIR = TapirConfig(name="causal-tapir", causal=True)
CAUSAL_BOOTSTAPIR = TapirConfig(
    name="causal-bootstapir",
    num_extra_convs=5,
    pyramid_level=1,
    softmax_temperature=10.0,
    causal=True,
)
TAPIR_MINI = TapirConfig(
    name="tapir-mini",
    group_channels=(32, 64, 128, 128),
    cost_channels=(16, 32, 16),
    pyramid_level=1,
    mixer_channels=192,
    mixer_blocks=6,
    softmax_temperature=20.0,
)

CONFIGS: dict[str, TapirConfig] = {
    config.name: config
    for config in (TAPIR, BOOTSTAPIR, CAUSAL_TAPIR, CAUSAL_BOOTSTAPIR, TAPIR_MINI)
}
