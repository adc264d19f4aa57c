"""Where and how a run computes. The only place that asks what hardware this is."""

from __future__ import annotations

import ctypes
import os
import platform
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from gvt.errors import OutOfMemoryError, UsageError

_MEMORY = Path("/proc/meminfo")
_DTYPES = {"float32": torch.float32, "bfloat16": torch.bfloat16, "float16": torch.float16}
_FORMATS = {"channels_last": torch.channels_last, "contiguous": torch.contiguous_format}

# Of glibc's malloc.h: what mallopt is asked for, and the values given.
_M_TRIM_THRESHOLD, _NEVER = -1, -1
_M_MMAP_THRESHOLD, _GIBIBYTE = -3, 1 << 30
_MOST_OF_OLD_GLIBC = 1 << 25  # before 2.35 a larger threshold is refused


@dataclass(frozen=True)
class Placement:
    """Everything that `auto` was resolved to.

    Attributes:
        device: The device of the task and its batches.
        precision: `float32`, `bfloat16` or `float16`: what autocast computes in.
        memory_format: `channels_last` or `contiguous`.
        compile: Whether networks are compiled.
    """

    device: torch.device
    precision: str = "float32"
    memory_format: str = "contiguous"
    compile: bool = False

    @classmethod
    def resolve(
        cls,
        device: str = "auto",
        precision: str = "auto",
        memory_format: str = "auto",
        compile: bool | str = "auto",
        local_rank: int = 0,
    ) -> Placement:
        """Decide where and how to compute.

        Args:
            device: `auto`, `cpu`, `cuda`, `cuda:1`, `mps` or `xpu`.
            precision: `auto` is bfloat16 on accelerators that have it, and on CPUs that multiply
                it (AMX, AVX512_BF16) if the memory format is channels_last; float32 elsewhere.
            memory_format: `auto` is channels_last, but on mps contiguous.
            compile: `auto` is off.
            local_rank: Which of several accelerators a process of torchrun takes.

        Raises:
            UsageError: If the device is not there; says which are.
        """
        chosen = _device(device, local_rank)
        if memory_format == "auto":
            memory_format = "contiguous" if chosen.type == "mps" else "channels_last"
        if precision == "auto":
            precision = "bfloat16" if _gains_by_bfloat16(chosen, memory_format) else "float32"
        return cls(chosen, precision, memory_format, compile is True)

    def place(self, task: nn.Module) -> None:
        """Move a task onto the device, in the memory format, compiling its networks if asked."""
        task.to(self.device)
        task.to(memory_format=_FORMATS[self.memory_format])
        if self.compile:
            for network in _networks(task):
                network.compile()

    def images(self, images: Tensor) -> Tensor:
        """Return images on the device, float32 in [0, 1], in the memory format.

        Args:
            images: (N, C, H, W), uint8 or float in [0, 1].
        """
        moved = images.to(self.device, non_blocking=True)
        if moved.dtype == torch.uint8:
            moved = moved.to(torch.float32).div_(255)
        return moved.to(torch.float32).contiguous(memory_format=_FORMATS[self.memory_format])

    def autocast(self, precision: str | None = None) -> AbstractContextManager[Any]:
        """Return the context that a phase computes in; `precision` overrides the run's."""
        dtype = _DTYPES[precision or self.precision]
        if dtype == torch.float32:
            return torch.autocast(self.device.type, enabled=False)
        return torch.autocast(self.device.type, dtype)

    def eager(self, wanted: bool) -> AbstractContextManager[Any]:
        """Return a context in which compiled networks run uncompiled, if that is wanted."""
        if wanted and self.compile:
            stance: AbstractContextManager[Any] = torch.compiler.set_stance("force_eager")
            return stance
        return nullcontext()

    def free_bytes(self) -> int | None:
        """Return the memory that is free on the device, None where it cannot be asked."""
        if self.device.type == "cuda":
            return int(torch.cuda.mem_get_info(self.device)[0])
        if self.device.type == "cpu" and _MEMORY.exists():
            lines = dict(line.split(":", 1) for line in _MEMORY.read_text().splitlines())
            return int(lines["MemAvailable"].split()[0]) * 1024
        return None

    def describe(self) -> str:
        """Return device, precision and memory format in a few words."""
        compiled = ", compiled" if self.compile else ""
        return f"{name_of(self.device)}, {self.precision}, {self.memory_format}{compiled}"


def available() -> list[str]:
    """Return the names of the devices of this machine, the CPU last."""
    kinds: list[tuple[str, Callable[[], bool], Callable[[], int]]] = [
        ("cuda", torch.cuda.is_available, torch.cuda.device_count),
        ("xpu", torch.xpu.is_available, torch.xpu.device_count),
        ("mps", torch.backends.mps.is_available, lambda: 1),
    ]
    found = []
    for kind, is_available, count in kinds:
        if is_available():
            found += [kind] if kind == "mps" else [f"{kind}:{i}" for i in range(count())]
    return [*found, "cpu"]


def name_of(device: torch.device) -> str:
    """Return a device with its product's name, or the number of threads of the CPU."""
    if device.type == "cpu":
        return f"cpu ({torch.get_num_threads()} threads)"
    if device.type == "cuda":
        return f"{device} ({torch.cuda.get_device_name(device)})"
    return str(device)


def usable_cores() -> int:
    """Return how many of the CPU's cores this process may use."""
    if hasattr(os, "sched_getaffinity"):  # macOS and Windows have none
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def keep_freed_memory(device: torch.device) -> bool:
    """Let malloc keep what a run on the CPU frees, for its next step; return whether it does.

    By default glibc gives large blocks back to the system as soon as they are freed. A step then
    gets its activations as fresh pages, each of which the system has to clear and map: a quarter
    of the time of a small network's step, and more. Whether a run is struck depends on how its
    blocks happen to lie.

    It costs memory: until the process ends it keeps the most that it ever used, other than in
    blocks of 1 GiB and more (32 MiB where glibc is older than 2.35). It is of the whole process
    and cannot be taken back, so it is for runs, and never done on import.

    Nothing is done on accelerators, without glibc (musl, macOS, Windows), and where the user
    has settings of malloc in the environment (`MALLOC_...` or `GLIBC_TUNABLES`).
    """
    if device.type != "cpu" or platform.libc_ver()[0] != "glibc" or _malloc_is_set():
        return False
    mallopt = ctypes.CDLL(None).mallopt
    trims_never = mallopt(_M_TRIM_THRESHOLD, _NEVER) == 1
    sizes = (_GIBIBYTE, _MOST_OF_OLD_GLIBC)
    return any(mallopt(_M_MMAP_THRESHOLD, size) == 1 for size in sizes) and trims_never


@contextmanager
def deterministic_algorithms(wanted: bool) -> Iterator[None]:
    """Use deterministic algorithms only, inside, if that is wanted."""
    if not wanted:
        yield
        return
    before = torch.are_deterministic_algorithms_enabled()
    # cuBLAS reads it when its handle is made, so it must stand before the first CUDA call.
    os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")
    torch.use_deterministic_algorithms(True)
    try:
        yield
    finally:
        torch.use_deterministic_algorithms(before)


@contextmanager
def explained_memory(placement: Placement, batch_size: int, accumulate: int) -> Iterator[None]:
    """Say in one line what to change if memory runs out inside.

    Raises:
        OutOfMemoryError: In place of what torch raises.
    """
    try:
        yield
    except (RuntimeError, MemoryError) as error:
        if not _is_out_of_memory(error):
            raise
        raise OutOfMemoryError(
            f"out of memory on {placement.device}: lower data.batch_size (now {batch_size}) and "
            f"raise train.accumulate (now {accumulate}) to keep the product, lower "
            "evaluate.batch_size, or use train.precision=bfloat16 (now "
            f"{placement.precision}) or data.resident=false"
        ) from error


def _malloc_is_set() -> bool:
    """Return whether the environment says how malloc is to work."""
    tuned = "glibc.malloc." in os.environ.get("GLIBC_TUNABLES", "")
    return tuned or any(name.startswith("MALLOC_") for name in os.environ)


def _is_out_of_memory(error: BaseException) -> bool:
    signs = ("out of memory", "DefaultCPUAllocator: can't allocate memory", "_ALLOC_FAILED")
    return isinstance(error, torch.OutOfMemoryError | MemoryError) or any(
        sign in str(error) for sign in signs
    )


def _networks(task: nn.Module) -> Iterator[nn.Module]:
    """Yield what a task calls: its submodules, and those in its dicts and lists of modules."""
    for child in task.children():
        if isinstance(child, nn.ModuleDict | nn.ModuleList):
            yield from child.children()
        else:
            yield child


def _gains_by_bfloat16(device: torch.device, memory_format: str) -> bool:
    if device.type == "cuda":
        return bool(torch.cuda.is_bf16_supported(including_emulation=False))
    if device.type == "cpu":
        # With contiguous tensors the copies into blocked layouts can cost more than is gained.
        return memory_format == "channels_last" and _multiplies_bfloat16()
    return device.type == "xpu"


def _multiplies_bfloat16() -> bool:
    """Return whether this process's CPU has instructions for products of bfloat16."""
    # torch promises none of these names. The last asks the system for the state of AMX's tiles,
    # which a container may not be given.
    has_avx512, has_amx, may_use_amx = (
        getattr(torch.cpu, name, lambda: False)
        for name in ("_is_avx512_bf16_supported", "_is_amx_tile_supported", "_init_amx")
    )
    return bool(has_avx512() or (has_amx() and may_use_amx()))


def _device(name: str, local_rank: int) -> torch.device:
    there = available()
    if name == "auto":
        name = there[0].partition(":")[0]
    try:
        device = torch.device(name)
    except RuntimeError:
        raise UsageError(f"device={name}: should be one of auto, {', '.join(there)}") from None
    if name in ("cuda", "xpu"):
        device = torch.device(device.type, local_rank)
    if str(device) not in there:
        raise UsageError(f"device={name}: there is none; this machine has {', '.join(there)}")
    if device.type == "cuda":
        torch.cuda.set_device(device)
    return device
