"""Two and four processes that share the parameters of their networks, and what all of them do."""

import os
import runpy
import socket
import subprocess
import sys
from pathlib import Path

import pytest
import torch

import gvt
from gvt.checkpoint import file
from gvt.device.processes import World
from gvt.device.sharding import clip_gradients
from gvt.loop.losses import mean_losses

SECONDS = 240
"""A collective operation that one process leaves out must not stop the tests for ever."""

PROGRAM = Path(__file__).with_name("several.py")
SHARDED = (
    "weights_of_the_first_process_are_distributed",
    "averages_and_a_clipped_norm",
    "accumulation_rates_and_frozen_parts",
    "a_network_that_shards_itself",
    "phases_that_share_a_graph",
    "heads_whose_targets_one_process_has",
    "heads_with_layers_of_their_own",
    "uneven_held_out_batches",
    "pictures_are_drawn_by_all_and_shown_by_the_first",
    "a_penalty_on_a_sharded_network_is_an_error",
    "an_optimizer_without_sharding_is_an_error",
    "channels_last_is_an_error",
    "logged_losses_are_means",
    "a_loss_of_one_process_stops_all",
    "weights_that_are_not_finite_stop_all",
    "float16_scales_gradients",
    "a_run_without_a_folder_saves_nothing",
)


def launch(folder, processes, *cases):
    """Run cases in several processes, and return their errors by case and rank."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = str(probe.getsockname()[1])
    common = {"WORLD_SIZE": str(processes), "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": port}
    command = [sys.executable, str(PROGRAM), str(folder), *cases]
    running = [
        subprocess.Popen(
            command,
            env=os.environ
            | common
            | {"RANK": str(rank), "LOCAL_RANK": str(rank), "OMP_NUM_THREADS": "1"},
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        for rank in range(processes)
    ]
    try:
        for process in running:
            process.wait(SECONDS)
    finally:
        for process in running:
            process.kill()
            process.wait()
    paths = {(c, rank): folder / f"{c}.{rank}" for c in cases for rank in range(processes)}
    return {k: path.read_text() if path.exists() else "ended" for k, path in paths.items()}


@pytest.fixture(scope="module")
def two(tmp_path_factory):
    """The errors of all cases in two processes, by case and rank."""
    last = "a_network_called_by_one_process_is_an_error"
    return launch(tmp_path_factory.mktemp("two"), 2, *SHARDED, last)


@pytest.fixture(scope="module")
def resumed(tmp_path_factory):
    """The folder of a run by two, four and one processes, and the errors."""
    folder = tmp_path_factory.mktemp("resumed")
    errors = launch(folder, 2, "two_steps")
    first = file.load(folder / "resumed" / "last.safetensors")
    errors |= launch(folder, 4, "four_steps", "uneven_held_out_batches")
    second = file.load(folder / "resumed" / "last.safetensors")
    runpy.run_path(str(PROGRAM))["resumed"](World(), folder / "resumed", steps=6)
    return folder / "resumed", first, second, errors


@pytest.mark.slow
@pytest.mark.parametrize("case", [*SHARDED, "a_network_called_by_one_process_is_an_error"])
def test_in_two_processes(case, two):
    assert [two[case, rank] for rank in range(2)] == ["", ""]


@pytest.mark.slow
def test_a_run_is_resumed_by_any_number_of_processes(resumed):
    folder, *saved, errors = resumed
    assert not any(errors.values())  # also of uneven batches in four processes
    for processes, (document, tensors) in zip((4, 1), saved, strict=True):
        at_once = file.load(folder / f"at_once_{processes}" / "last.safetensors")
        for key in ("step", "optimizer_values", "scalers"):
            assert at_once[0]["training"][key] == document["training"][key]
        assert at_once[1].keys() == tensors.keys()
        assert any(name.startswith("optimizer/net/net.out.weight/") for name in tensors)
        for name, tensor in tensors.items():
            assert torch.equal(at_once[1][name], tensor), name
    document, _ = file.load(folder / "last.safetensors")
    assert document["training"]["step"] == 6


def test_a_loss_is_averaged_over_the_processes_that_have_it():
    first = [(2, {"a": 1.0})]
    second = [(1, {"b": 4.0}), (2, {"a": 3.0, "b": 5.0})]
    assert mean_losses([first, second]) == [(1, {"b": 4.0}), (2, {"a": 2.0, "b": 5.0})]


def test_one_process_shards_nothing():
    task = torch.nn.ModuleDict({"net": torch.nn.Linear(2, 2)})
    World().place(task, gvt.Placement(torch.device("cpu")), shard=True)
    assert not any(hasattr(p, "device_mesh") for p in task.parameters())


@pytest.mark.parametrize("largest", [0.1, 100.0])
def test_clipping_without_sharding_is_that_of_torch(largest):
    one, other = torch.nn.Linear(3, 2), torch.nn.Linear(3, 2)
    for net in (one, other):
        net.weight.grad, net.bias.grad = torch.arange(6.0).view(2, 3), None
    clip_gradients(one.parameters(), largest)
    torch.nn.utils.clip_grad_norm_(other.parameters(), largest)
    assert torch.equal(one.weight.grad, other.weight.grad)
