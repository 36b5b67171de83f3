"""The trajectory model: an image in, how each of its points moves out (paper section 5).

One denoising step. What the noise schedule is, the network never knows; it predicts clean data.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING

import torch
import torch.nn.functional as F
from diffusers.configuration_utils import ConfigMixin, register_to_config
from diffusers.models.attention_processor import Attention
from diffusers.models.modeling_utils import ModelMixin
from diffusers.models.resnet import ResnetBlock2D
from diffusers.models.unets.unet_2d import UNet2DModel
from torch import Tensor, nn

from models.animation.encoding import ENCODING_CHANNELS, TrajectoryEncoding
from models.animation.image_encoder import ImageEncoder

if TYPE_CHECKING:
    from jaxtyping import Bool, Float, Int


class TrajectoryModel(ModelMixin, ConfigMixin):  # type: ignore[misc]
    """Denoises trajectories given the features of the image they start in.

    The grid of trajectories has one point per ``stride`` × ``stride`` pixels. With ``patch`` p the
    U-Net sees p × p points as one cell: a 64 × 64 grid then costs what a 32 × 32 grid does.
    """

    @register_to_config
    def __init__(
        self,
        num_frames: int = 24,
        size: int = 256,
        stride: int = 4,
        patch: int = 2,
        widths: Sequence[int] = (96, 160, 192),
        attention: Sequence[bool] = (False, True, True),
        layers_per_block: int = 1,
        head_width: int = 32,
        feature_channels: int = 64,
        feature_blocks: int = 2,
        dropout: float = 0.0,
        softness: float = 1 / 64,
        growth: float = 0.5,
        diffused: str = "state",
    ) -> None:
        """See `TrajectoryEncoding` for the last three.

        Args:
            num_frames: frames of a clip, the first one included.
            size: side of the square frames in pixels.
            stride: pixels per grid point, a power of two.
            patch: grid points per cell of the U-Net, along either axis.
            widths: channels of each level of the U-Net, multiples of 8 and of ``head_width``.
            attention: which levels have self-attention; the innermost cells always do.
            layers_per_block: residual blocks per level on the way down, one more on the way up.
            head_width: channels of an attention head.
            feature_channels, feature_blocks: width and depth of the image encoder.
        """
        super().__init__()
        cells = size // (stride * patch)
        halvings = 2 ** (len(widths) - 1)
        if size % (stride * patch) or cells % halvings:
            raise ValueError(
                f"a size of {size} pixels is no multiple of stride {stride} x patch {patch} x "
                f"{halvings} for the {len(widths)} levels of widths"
            )
        if len(attention) != len(widths):
            raise ValueError(f"attention names {len(attention)} levels, widths {len(widths)}")
        self.stride, self.patch = stride, patch
        self.encoding = TrajectoryEncoding(num_frames, size, softness, growth, diffused)
        self.image_encoder = ImageEncoder(feature_channels, stride, feature_blocks)
        self.null_features = nn.Parameter(torch.zeros(feature_channels, 1, 1))
        width = widths[0]
        in_channels = num_frames * ENCODING_CHANNELS
        self.embed_data = nn.Conv2d(in_channels, width, patch, patch)
        self.embed_features = nn.Conv2d(feature_channels, width, patch, patch)
        self.unet = UNet2DModel(
            in_channels=width,
            out_channels=width,
            down_block_types=tuple(f"{_ATTENTION[on]}DownBlock2D" for on in attention),
            up_block_types=tuple(f"{_ATTENTION[on]}UpBlock2D" for on in reversed(attention)),
            block_out_channels=tuple(widths),
            layers_per_block=layers_per_block,
            attention_head_dim=head_width,
            norm_num_groups=math.gcd(32, *widths),
            resnet_time_scale_shift="scale_shift",
            attn_norm_num_groups=math.gcd(32, *widths),
            dropout=dropout,
        )
        self.unet.conv_out = nn.Identity()
        self.head = nn.Conv2d(width, self.encoding.channels * patch**2, 3, padding=1)
        _zero_last_layers(self)

    @property
    def grid_shape(self) -> tuple[int, int]:
        """Rows and columns of trajectories."""
        side = self.encoding.size // self.stride
        return side, side

    def encode_image(self, image: Float[Tensor, "b 3 s s"]) -> Float[Tensor, "b f h w"]:
        """Features of images in [-1, 1]; computed once, used in every denoising step."""
        size = self.encoding.size
        if image.shape[1:] != (3, size, size):
            raise ValueError(f"images have shape {list(image.shape)}, not [b, 3, {size}, {size}]")
        return self.image_encoder(image.to(self.dtype))

    def forward(
        self,
        noisy: Float[Tensor, "b c h w"],
        timestep: Int[Tensor, " b"] | Int[Tensor, ""] | int,
        features: Float[Tensor, "b f h w"],
        drop: Bool[Tensor, " b"] | None = None,
    ) -> Float[Tensor, "b c h w"]:
        """The clean data, float32, for noisy data in the layout of `TrajectoryEncoding.diffuse`.

        Where ``drop`` is true, the image is kept from the network, for classifier-free guidance.
        """
        features = features.to(self.dtype)
        if drop is not None:
            features = torch.where(drop[:, None, None, None], self.null_features, features)
        encoded = self.encoding.network_input(noisy.float()).to(self.dtype)
        hidden = self.embed_data(encoded) + self.embed_features(features)
        hidden = self.unet(hidden, timestep, return_dict=False)[0]
        with torch.autocast(hidden.device.type, enabled=False):
            # In bfloat16 a displacement of 100 pixels would come in steps of half a pixel.
            weight, bias = (parameter.float() for parameter in self.head.parameters())
            clean = F.conv2d(hidden.float(), weight, bias, padding=1)
        clean = F.pixel_shuffle(clean, self.patch)
        return self.encoding.with_first_frame(clean)


_ATTENTION = {False: "", True: "Attn"}


def _zero_last_layers(model: TrajectoryModel) -> None:
    """Every residual branch starts as nothing, and so does the prediction."""
    last: list[nn.Module] = [model.head]
    for module in model.unet.modules():
        if isinstance(module, ResnetBlock2D):
            last.append(module.conv2)
        elif isinstance(module, Attention):
            last.append(module.to_out[0])
    for layer in last:
        for parameter in layer.parameters():
            nn.init.zeros_(parameter)
