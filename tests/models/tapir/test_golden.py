"""Outputs equal those of the published PyTorch TAPIR, stage by stage and end to end."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch

from models.tapir import CONFIGS, Estimate, Tapir
from models.tapir.online import OnlineTracker
from tests.models.tapir.golden import (
    LOGIT_TOLERANCE,
    SYNTHETIC_CASE,
    TRACK_TOLERANCE,
    GoldenCase,
    load_case,
    named_network,
)


def _assert_close(estimate: Estimate, arrays: dict[str, np.ndarray], prefix: str, at: int) -> None:
    def golden(name: str) -> np.ndarray:
        array = arrays[f"{prefix}{name}"]
        return array if at < 0 else array[at]

    np.testing.assert_allclose(estimate.tracks[0], golden("tracks"), atol=TRACK_TOLERANCE, rtol=0)
    for ours, theirs in (("occlusion", "occlusion"), ("uncertainty", "expected_dist")):
        np.testing.assert_allclose(
            getattr(estimate, ours)[0], golden(theirs), atol=LOGIT_TOLERANCE, rtol=0
        )


def _assert_case(network: Tapir, case: GoldenCase, **chunks: int) -> None:
    with torch.inference_mode():
        final, iterates = network(case.video, case.queries, **chunks)
    _assert_close(final, case.arrays, "", -1)
    assert len(iterates) == len(case.arrays["unrefined_tracks"]) + 1
    for index, estimate in enumerate(iterates[:-1]):
        _assert_close(estimate, case.arrays, "unrefined_", index)
    if "visible" in case.arrays:
        agree = (final.visible()[0].numpy() == case.arrays["visible"]).mean()
        assert agree > 0.999  # a logit within rounding of the threshold may fall on either side


@pytest.fixture(scope="module")
def tapir() -> Tapir:
    return named_network("tapir")


@pytest.fixture(scope="module")
def synthetic() -> GoldenCase:
    return load_case(SYNTHETIC_CASE)


def test_synthetic_case(tapir: Tapir, synthetic: GoldenCase) -> None:
    _assert_case(tapir, synthetic, query_chunk=16, frame_chunk=4)


def test_synthetic_stages(tapir: Tapir, synthetic: GoldenCase) -> None:
    golden = synthetic.arrays
    frame = synthetic.video[0, :1].permute(0, 3, 1, 2)
    seen: dict[str, torch.Tensor] = {}

    def keep(name: str) -> Callable[..., None]:
        return lambda module, args, out: seen.__setitem__(name, out)

    resnet = tapir.resnet_torch
    hooks = [
        resnet.initial_conv.register_forward_hook(keep("act_initial_conv")),
        resnet.block_groups[0].register_forward_hook(keep("act_resnet_unit_0")),
        resnet.block_groups[3].register_forward_hook(keep("act_resnet_unit_3")),
    ]
    with torch.inference_mode():
        resnet(frame)
    for hook in hooks:
        hook.remove()
    with torch.inference_mode():
        grids = tapir.feature_grids(synthetic.video, [(256, 256)], frame_chunk=4)
        features = tapir.query_features(grids, synthetic.queries)
    for name, activation in seen.items():
        np.testing.assert_allclose(activation[0, :8, ::8, ::8], golden[name], atol=2e-4, rtol=1e-4)
    np.testing.assert_allclose(features.highres[0][0], golden["query_hires"], atol=1e-5)
    np.testing.assert_allclose(features.lowres[0][0], golden["query_lowres"], atol=1e-5)


def test_mixer(tapir: Tapir, synthetic: GoldenCase) -> None:
    with torch.inference_mode():
        out, _ = tapir.torch_pips_mixer(torch.from_numpy(synthetic.arrays["mixer_in_0"]))
    np.testing.assert_allclose(out, synthetic.arrays["mixer_out_0"], atol=1e-4)


def test_chunks_do_not_change_results(tapir: Tapir, synthetic: GoldenCase) -> None:
    video, queries = synthetic.video[:, :4], synthetic.queries[:, :6] * torch.tensor([0.3, 1, 1])
    with torch.inference_mode():
        whole, _ = tapir(video, queries)
        parts, _ = tapir(video, queries, query_chunk=4, frame_chunk=1)
    torch.testing.assert_close(whole.tracks, parts.tracks, atol=5e-3, rtol=0)
    torch.testing.assert_close(whole.occlusion, parts.occlusion, atol=2e-4, rtol=0)


@pytest.mark.slow
@pytest.mark.shared
@pytest.mark.parametrize(
    "name, inputs",
    [
        ("tapir", "inputs"),
        ("bootstapir", "inputs"),
        ("causal-bootstapir", "inputs"),
        ("bootstapir", "golden_multires384_bootstapir"),
    ],
    ids=["tapir", "bootstapir", "causal-bootstapir", "two-resolutions"],
)
def test_published_cases(shared_root: Path, name: str, inputs: str) -> None:
    folder = shared_root / "golden"
    multi = inputs.startswith("golden")
    outputs = inputs if multi else f"golden_{name.replace('-', '_')}"
    case = load_case(folder / f"{outputs}.npz", folder / f"{inputs}.npz")
    _assert_case(named_network(name), case, query_chunk=64, frame_chunk=2)


@pytest.mark.slow
@pytest.mark.shared
def test_online_equals_published_online(shared_root: Path) -> None:
    folder = shared_root / "golden"
    case = load_case(folder / "golden_causal_bootstapir.npz", folder / "inputs.npz")
    network = named_network("causal-bootstapir")
    with torch.inference_mode():
        grids = network.feature_grids(case.video, [(256, 256)], frame_chunk=2)
        tracker = OnlineTracker(network, network.query_features(grids, case.queries))
        frames = [tracker.step(case.video[:, t]) for t in range(case.video.shape[1])]
    for index in range(5):
        tracks = torch.cat([frame[index].tracks for frame in frames], dim=2)
        logits = torch.cat([frame[index].occlusion for frame in frames], dim=2)
        golden = case.arrays["online_tracks_iters"][index]
        np.testing.assert_allclose(tracks[0], golden, atol=TRACK_TOLERANCE, rtol=0)
        golden = case.arrays["online_occlusion_iters"][index]
        np.testing.assert_allclose(logits[0], golden, atol=LOGIT_TOLERANCE, rtol=0)
    assert tracker.contexts is not None
    for iteration in (0, 3):
        for block in (0, 11):
            context = tracker.contexts[iteration][block]
            name = f"ctx_iter{iteration}_block_{block}_causal"
            np.testing.assert_allclose(context.first[:2], case.arrays[f"{name}_1"], atol=1e-3)
            np.testing.assert_allclose(context.second[:2], case.arrays[f"{name}_2"], atol=1e-3)


@pytest.mark.shared
@pytest.mark.parametrize("name", ["tapir", "bootstapir"])
def test_state_dict_names_and_shapes(shared_root: Path, name: str) -> None:
    golden = json.loads((shared_root / "golden" / "tapir_state_dict.json").read_text())[name]
    with torch.device("meta"):
        state = Tapir(CONFIGS[name]).state_dict()
    assert {k: list(v.shape) for k, v in state.items()} == dict(golden)
