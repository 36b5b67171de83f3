"""The pixel model: denoises one frame of an animation, given the first frame carried to it.

Paper section 5: it sees three noisy frames around the one it denoises, the first frame warped
along the trajectories, and features of the first frame warped likewise; it predicts the noise.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import torch
from diffusers.configuration_utils import ConfigMixin, register_to_config
from diffusers.models.modeling_utils import ModelMixin
from diffusers.models.unets.unet_2d import UNet2DModel
from diffusers.schedulers.scheduling_ddpm import DDPMScheduler
from torch import Tensor, nn
from torch.nn import functional as F

from models.animation.image_encoder import ImageEncoder

if TYPE_CHECKING:
    from jaxtyping import Float, Int

_NOISY = 3  # frames: before, at, after
_RGB = 3


def pixel_scheduler(
    num_train_timesteps: int = 1000, beta_schedule: str = "squaredcos_cap_v2"
) -> DDPMScheduler:
    """The noise schedule of training, and the configuration of samplers: ``from_config`` it."""
    return DDPMScheduler(
        num_train_timesteps=num_train_timesteps,
        beta_schedule=beta_schedule,
        prediction_type="epsilon",
        timestep_spacing="trailing",  # the first step is the one with all the noise
    )


class PixelModel(ModelMixin, ConfigMixin):  # type: ignore[misc]
    """A U-Net at half resolution around what the warp already knows.

    The warp is a good guess of the frame, and the noise in a noisy frame is what is left of it
    when the guess is taken away, up to the guess's own error. The network supplies that error
    only, scaled to unit variance at every noise level: without any training it answers as if the
    frame were the warp plus white noise, of ``covered_std`` where a surface was carried there and
    of ``hole_std`` where none was. On clips of everyday video the warp is off by 0.13 and 0.4, root
    mean square, and by 0.03 and 0.15 in the median pixel. A model expects less rather than more:
    after 1,700 steps with 0.4 the small one still left most of the noise it was given in holes.

    It is convolutional but for one attention layer at the coarsest level: sides may be any
    multiple of ``patch * 2 ** (levels - 1)``, and it may be trained on crops.

    Args:
        feature_channels: of the first frame's features, at 1 / ``patch`` of its resolution.
        block_out_channels: of the U-Net's levels, the first at 1 / ``patch`` of the resolution.
        layers_per_block: residual blocks per level on the way down.
        patch: side of the squares of pixels that the U-Net takes as one.
        covered_std, hole_std: typical difference of a frame from its warp, in [-1, 1] units.
        num_train_timesteps: of the schedule of noise the model is trained for.
        beta_schedule: as in diffusers' schedulers; samplers must use the same.
    """

    @register_to_config
    def __init__(
        self,
        feature_channels: int = 16,
        block_out_channels: tuple[int, ...] = (48, 64, 96, 160),
        layers_per_block: int = 1,
        patch: int = 2,
        norm_num_groups: int = 8,
        attention_head_dim: int = 32,
        covered_std: float = 0.1,
        hole_std: float = 0.12,
        num_train_timesteps: int = 1000,
        beta_schedule: str = "squaredcos_cap_v2",
    ) -> None:
        super().__init__()
        self.patch, self.covered_std, self.hole_std = patch, covered_std, hole_std
        levels = len(block_out_channels)
        pixels = patch * patch
        self.image_encoder = ImageEncoder(feature_channels, patch, num_blocks=1)
        self.unet = UNet2DModel(
            in_channels=(_RGB * _NOISY + _RGB + 1) * pixels + feature_channels,
            out_channels=_RGB * pixels,
            down_block_types=("DownBlock2D",) * levels,
            up_block_types=("UpBlock2D",) * levels,
            block_out_channels=tuple(block_out_channels),
            layers_per_block=layers_per_block,
            norm_num_groups=norm_num_groups,
            attention_head_dim=attention_head_dim,
        )
        nn.init.zeros_(self.unet.conv_out.weight)
        nn.init.zeros_(self.unet.conv_out.bias)
        # No buffer: it would follow the weights to bfloat16.
        kept = pixel_scheduler(num_train_timesteps, beta_schedule).alphas_cumprod
        self._levels = torch.stack((kept.sqrt(), (1 - kept).sqrt()))

    def encode_image(self, image: Float[Tensor, "b 3 S S"]) -> Float[Tensor, "b c s s"]:
        """Features of the first frame, at 1 / ``patch`` of its resolution."""
        return self.image_encoder(image.to(self.dtype))

    def levels(
        self, timestep: Int[Tensor, " b"]
    ) -> tuple[Float[Tensor, "b 1 1 1"], Float[Tensor, "b 1 1 1"]]:
        """How much of the clean frame and of unit noise a noisy frame is made of."""
        if self._levels.device != timestep.device:
            self._levels = self._levels.to(timestep.device)
        signal, noise = self._levels[:, timestep].view(2, -1, 1, 1, 1)
        return signal, noise

    def residual_std(self, covered: Float[Tensor, "b 1 S S"]) -> Float[Tensor, "b 1 S S"]:
        """How far the warp is expected to be off, by how far it is to be trusted."""
        low, high = math.log(self.covered_std), math.log(self.hole_std)
        return torch.exp(high + (low - high) * covered.float().clamp(0, 1))

    def loss_weight(
        self, timestep: Int[Tensor, " b"], covered: Float[Tensor, "b 1 S S"]
    ) -> Float[Tensor, "b 1 S S"]:
        """Weight of the squared error of the noise: all noise levels and pixels count alike.

        It turns that error into the error of what the network is asked for, whose variance is 1.
        """
        signal, noise = self.levels(timestep)
        spread = (signal * self.residual_std(covered)).square()
        return (spread + noise.square()) / spread

    def forward(
        self,
        noisy: Float[Tensor, "b 9 S S"],
        timestep: Int[Tensor, " b"] | Int[Tensor, ""] | int,
        warped: Float[Tensor, "b 3 S S"],
        covered: Float[Tensor, "b 1 S S"],
        warped_features: Float[Tensor, "b c s s"],
    ) -> Float[Tensor, "b 3 S S"]:
        """The noise in the middle one of three noisy frames, as float32.

        Args:
            noisy: the frames before, at and after the one to denoise, all at ``timestep``.
            warped: the first frame carried to this one, holes filled.
            covered: 0 where ``warped`` is a fill only.
            warped_features: those of `encode_image`, carried likewise.
        """
        timestep = torch.as_tensor(timestep, device=noisy.device).long().expand(len(noisy))
        signal, noise = self.levels(timestep)
        std = self.residual_std(covered)
        total = (signal.square() * std**2 + noise.square()).sqrt()

        # Unit variance when the warp is off as expected, at any noise level.
        surprise = (noisy.float() - signal * warped.float().repeat(1, _NOISY, 1, 1)) / total
        seen = torch.cat((surprise, warped.float(), covered.float()), dim=1).to(self.dtype)
        seen = F.pixel_unshuffle(seen, self.patch)
        seen = torch.cat((seen, warped_features.to(self.dtype)), dim=1)
        answer = self.unet(seen, timestep, return_dict=False)[0]
        answer = F.pixel_shuffle(answer, self.patch).float()
        middle = surprise[:, _RGB : 2 * _RGB]
        return (noise * middle - signal * std * answer) / total
