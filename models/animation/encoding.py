"""How trajectories are laid out for diffusion (paper section 5).

The state holds 3 channels a frame: occlusion, and the displacement from the starting point. What
noise is added to is either the state, the rest of the paper's encoding being computed from it, or
all 37 channels of the encoding: occlusion (1), displacement (2), absolute position (2) and Fourier
features of the absolute position (32).

Real displacements have heavy tails: on clips of everyday video the median after 24 frames is 2
pixels of 256, a tenth of the points move more than 18, and some more than 100. Divided by
their deviation, nearly all clips would look the same beside a little noise, and the loss would
be about the rest alone. So lengths, not directions, are compressed by asinh(length / softness),
with a softness that grows as the square root of time. That leaves values of about unit deviation
in each frame, and a kurtosis of 6 instead of 50 (600 in the first frames).
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch
from torch import Tensor

if TYPE_CHECKING:
    from jaxtyping import Bool, Float

STATE_CHANNELS = 3
NUM_FOURIER = 32
ENCODING_CHANNELS = STATE_CHANNELS + 2 + NUM_FOURIER

_REACH = 2.0  # longest displacement in frame sizes: tracks that jump farther are errors
_BEYOND = 1.5  # positions are told apart up to this far from the centre, 1 being the border
_LOWEST, _HIGHEST = 0.5, 32.0  # cycles per picture; the highest tells neighbours at stride 4 apart
_DIFFUSED = ("state", "encoding")


@dataclass(frozen=True)
class TrajectoryEncoding:
    """Layout of trajectories of ``num_frames`` frames over a picture of ``size`` pixels a side.

    Frame t has its channels side by side: those of a state are 3t, 3t + 1 and 3t + 2. Frame 0 is
    known: every point is seen there, at the centre of its cell.
    """

    num_frames: int = 24
    size: int = 256
    softness: float = 1 / 64
    """Displacement in the last frame, in sizes, up to which lengths are kept in proportion."""
    growth: float = 0.5
    """The softness of frame t is that of the last one times (t / last) ** growth."""
    diffused: str = "state"
    """What noise is added to: "state", or "encoding" for the paper to the letter."""

    def __post_init__(self) -> None:
        if self.num_frames < 2:
            raise ValueError(f"num_frames is {self.num_frames}: a motion needs two frames")
        if self.diffused not in _DIFFUSED:
            raise ValueError(
                f"diffused is {self.diffused!r}: must be one of {', '.join(_DIFFUSED)}"
            )

    @property
    def channels_per_frame(self) -> int:
        """Of what noise is added to."""
        return STATE_CHANNELS if self.diffused == "state" else ENCODING_CHANNELS

    @property
    def channels(self) -> int:
        """Of what noise is added to, over all frames."""
        return self.num_frames * self.channels_per_frame

    def start(self, like: Float[Tensor, "*b h w"]) -> Float[Tensor, "2 h w"]:
        """(x, y) of the points of a grid in frame 0: the centres of its cells, in pixels."""
        return grid_points(like.shape[-2], like.shape[-1], self.size, like)

    def to_state(
        self,
        tracks: Float[Tensor, "b t 2 h w"],
        visible: Bool[Tensor, "b t h w"] | Float[Tensor, "b t h w"],
    ) -> Float[Tensor, "b 3t h w"]:
        """The state of trajectories: occlusion (1 hidden, -1 seen), compressed displacement.

        Trackers guess where a hidden point is, and may be off by half the picture. Such positions
        do not enter: a hidden point moves evenly between the frames that see it, and stays where
        it was seen last.

        Args:
            tracks: (x, y) in pixels of the ``size`` × ``size`` frame.
            visible: whether the point is seen, or the probability that it is.
        """
        occlusion = 1 - 2 * visible.to(tracks.dtype)
        occlusion = torch.cat((torch.full_like(occlusion[:, :1], -1.0), occlusion[:, 1:]), dim=1)
        displacement = tracks - self.start(tracks)
        displacement = bridge_hidden(displacement, occlusion < 0)
        return self.join(occlusion, self._compress(displacement))

    def from_state(
        self, state: Float[Tensor, "b 3t h w"]
    ) -> tuple[Float[Tensor, "b t 2 h w"], Float[Tensor, "b t h w"]]:
        """Tracks in pixels and the probability that each point is seen."""
        occlusion, relative = self.split(state)
        tracks = self._expand(relative) + self.start(state)
        return tracks, ((1 - occlusion) / 2).clamp(0, 1)

    def with_tracks(
        self, state: Float[Tensor, "b 3t h w"], tracks: Float[Tensor, "b t 2 h w"]
    ) -> Float[Tensor, "b 3t h w"]:
        """The state with other positions, and its occlusion as it is."""
        displacement = tracks - self.start(tracks)
        return self.join(self.split(state)[0], self._compress(displacement))

    def split(
        self, state: Float[Tensor, "b 3t h w"]
    ) -> tuple[Float[Tensor, "b t h w"], Float[Tensor, "b t 2 h w"]]:
        """Occlusion and compressed displacement of a state."""
        by_frame = state.unflatten(1, (self.num_frames, STATE_CHANNELS))
        return by_frame[:, :, 0], by_frame[:, :, 1:]

    def join(
        self, occlusion: Float[Tensor, "b t h w"], relative: Float[Tensor, "b t 2 h w"]
    ) -> Float[Tensor, "b 3t h w"]:
        """The inverse of `split`."""
        return torch.cat((occlusion[:, :, None], relative), dim=2).flatten(1, 2)

    def encode(self, state: Float[Tensor, "b 3t h w"]) -> Float[Tensor, "b 37t h w"]:
        """The paper's encoding of a state, also of a noisy one.

        Per frame: the state's 3 channels, the absolute position (-1 to 1 across the picture, and
        up to 1.5 beyond), and sine and cosine of 8 frequencies of either coordinate.
        """
        tracks, _ = self.from_state(state)
        by_frame = state.unflatten(1, (self.num_frames, STATE_CHANNELS))
        return torch.cat((by_frame, self._position_features(tracks)), dim=2).flatten(1, 2)

    def diffuse(self, state: Float[Tensor, "b 3t h w"]) -> Float[Tensor, "b c h w"]:
        """What noise is added to, from a state."""
        return state if self.diffused == "state" else self.encode(state)

    def state_of(self, data: Float[Tensor, "b c h w"]) -> Float[Tensor, "b 3t h w"]:
        """The state in what noise is added to."""
        if self.diffused == "state":
            return data
        by_frame = data.unflatten(1, (self.num_frames, ENCODING_CHANNELS))
        return by_frame[:, :, :STATE_CHANNELS].flatten(1, 2)

    def with_first_frame(self, data: Float[Tensor, "b c h w"]) -> Float[Tensor, "b c h w"]:
        """The data with frame 0 as it is known."""
        first = data.new_zeros(1, STATE_CHANNELS, *data.shape[-2:])
        first[:, 0] = -1
        if self.diffused == "encoding":
            features = self._position_features(self.start(data)[None, None])
            first = torch.cat((first, features[0]), dim=1)
        later = data[:, self.channels_per_frame :]
        return torch.cat((first.expand(len(data), -1, -1, -1), later), dim=1)

    def network_input(self, noisy: Float[Tensor, "b c h w"]) -> Float[Tensor, "b 37t h w"]:
        """All 37 channels a frame from noisy data."""
        noisy = self.with_first_frame(noisy)
        return self.encode(noisy) if self.diffused == "state" else noisy

    def softness_of_frames(self, like: Tensor) -> Float[Tensor, "t 1 1 1"]:
        """In pixels; that of frame 0, where nothing has moved, is the one of frame 1."""
        time = torch.arange(self.num_frames, device=like.device, dtype=like.dtype)
        time[0] = 1
        grown = (time / (self.num_frames - 1)) ** self.growth
        return (self.softness * self.size * grown)[:, None, None, None]

    def _position_features(self, tracks: Float[Tensor, "b t 2 h w"]) -> Float[Tensor, "b t 34 h w"]:
        absolute = (tracks * (2 / self.size) - 1).clamp(-_BEYOND, _BEYOND)
        cycles = _frequencies(NUM_FOURIER // 4).to(tracks)
        phase = absolute[:, :, None] * (math.pi * cycles)[:, None, None, None]
        phase = phase.flatten(2, 3)  # 8 frequencies x 2 coordinates
        return torch.cat((absolute, phase.sin(), phase.cos()), dim=2)

    def _compress(self, displacement: Float[Tensor, "b t 2 h w"]) -> Float[Tensor, "b t 2 h w"]:
        scaled = displacement / self.softness_of_frames(displacement)
        length = scaled.norm(dim=2, keepdim=True).clamp_min(1e-6)
        limited = length.clamp_max(self._longest(displacement))
        return scaled * (torch.asinh(limited) / length)

    def _expand(self, relative: Float[Tensor, "b t 2 h w"]) -> Float[Tensor, "b t 2 h w"]:
        length = relative.norm(dim=2, keepdim=True).clamp_min(1e-6)
        limited = length.minimum(torch.asinh(self._longest(relative)))
        return relative * (torch.sinh(limited) / length) * self.softness_of_frames(relative)

    def _longest(self, like: Tensor) -> Float[Tensor, "t 1 1 1"]:
        return _REACH * self.size / self.softness_of_frames(like)


def grid_points(rows: int, cols: int, size: float, like: Tensor) -> Float[Tensor, "2 h w"]:
    """(x, y) of the centres of rows × cols cells over ``size`` pixels, the grid of `models`."""
    y = (torch.arange(rows, device=like.device, dtype=like.dtype) + 0.5) * (size / rows)
    x = (torch.arange(cols, device=like.device, dtype=like.dtype) + 0.5) * (size / cols)
    return torch.stack((x.expand(rows, cols), y[:, None].expand(rows, cols)))


def bridge_hidden(
    values: Float[Tensor, "b t c h w"], visible: Bool[Tensor, "b t h w"]
) -> Float[Tensor, "b t c h w"]:
    """Values of hidden frames replaced by a line between the frames around them that are seen.

    After the last frame that is seen its value is held. The first frame must be seen.
    """
    num_frames = visible.shape[1]
    time = torch.arange(num_frames, device=values.device)[:, None, None].expand(visible.shape)
    before = torch.where(visible, time, 0).cummax(dim=1).values
    after = torch.where(visible, time, num_frames).flip(1).cummin(dim=1).values.flip(1)
    after = torch.where(after == num_frames, before, after)
    part = (time - before) / (after - before).clamp_min(1)

    def at(index: Tensor) -> Tensor:
        return values.gather(1, index[:, :, None].expand(values.shape))

    return torch.lerp(at(before), at(after), part[:, :, None].to(values.dtype))


def _frequencies(count: int) -> Float[Tensor, " f"]:
    """Geometric, in cycles per picture."""
    return _LOWEST * (_HIGHEST / _LOWEST) ** (torch.arange(count) / (count - 1))
