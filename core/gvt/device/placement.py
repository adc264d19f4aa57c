"""Device, precision and memory format of a run. No other module inspects the hardware."""

from __future__ import annotations

import ctypes
import os
import platform
from collections.abc import Iterator
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

# Parameters of mallopt in glibc's malloc.h, and their values.
_M_TRIM_THRESHOLD, _NEVER = -1, -1
_M_MMAP_THRESHOLD, _GIBIBYTE = -3, 1 << 30
_MOST_OF_OLD_GLIBC = 1 << 25  # the largest threshold before version 2.35


@dataclass(frozen=True)
class Placement:
    """Device, precision, memory format and compilation, with `auto` resolved.

    Attributes:
        device: Device of the task and its batches.
        precision: Precision of autocast: `float32`, `bfloat16` or `float16`.
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
        """Resolve `auto` for this machine.

        Args:
            device: `auto`, `cpu`, `cuda`, `cuda:1`, `mps` or `xpu`.
            precision: `auto` is bfloat16 on accelerators that support it, and on CPUs with
                instructions for it (AMX, AVX512_BF16) if the memory format is channels_last;
                float32 elsewhere.
            memory_format: `auto` is channels_last, except on mps, where it is contiguous.
            compile: `auto` is off.
            local_rank: Index of the accelerator if the device has no index.

        Raises:
            UsageError: If the device is not available. The message lists the available ones.
        """
        target = _device(device, local_rank)
        if memory_format == "auto":
            memory_format = "contiguous" if target.type == "mps" else "channels_last"
        if precision == "auto":
            precision = "bfloat16" if _gains_by_bfloat16(target, memory_format) else "float32"
        return cls(target, precision, memory_format, compile is True)

    def place(self, task: nn.Module) -> None:
        """Move a task to the device and memory format, and compile its networks if requested."""
        task.to(self.device)
        for tensor in (*task.parameters(), *task.buffers()):
            if tensor.ndim == 4:  # `Module.to` also converts weights of 3-D convolutions, and fails
                tensor.data = tensor.data.to(memory_format=_FORMATS[self.memory_format])
        if self.compile:
            for network in networks(task):
                network.compile()

    def images(self, images: Tensor) -> Tensor:
        """Return images on the device, float32 in [0, 1], in the memory format.

        Args:
            images: (N, C, H, W), uint8 or float in [0, 1].
        """
        images = images.to(self.device, non_blocking=True)
        if images.dtype == torch.uint8:
            images = images.to(torch.float32).div_(255)
        return images.to(torch.float32).contiguous(memory_format=_FORMATS[self.memory_format])

    def autocast(self, precision: str | None = None) -> AbstractContextManager[Any]:
        """Return the autocast context of a phase; `precision` overrides that of the run."""
        dtype = _DTYPES[precision or self.precision]
        return torch.autocast(self.device.type, dtype, enabled=dtype != torch.float32)

    def eager(self, wanted: bool) -> AbstractContextManager[Any]:
        """Return a context in which compiled networks run uncompiled if `wanted` is true."""
        is_needed = wanted and self.compile
        return torch.compiler.set_stance("force_eager") if is_needed else nullcontext()

    def free_bytes(self) -> int | None:
        """Return the free memory of the device in bytes, None if it is unknown."""
        if self.device.type == "cuda":
            return int(torch.cuda.mem_get_info(self.device)[0])
        if self.device.type == "cpu" and _MEMORY.exists():
            lines = dict(line.split(":", 1) for line in _MEMORY.read_text().splitlines())
            return int(lines["MemAvailable"].split()[0]) * 1024
        return None

    def describe(self) -> str:
        """Return device, precision, memory format and compilation as text."""
        compiled = ", compiled" if self.compile else ""
        return f"{name_of(self.device)}, {self.precision}, {self.memory_format}{compiled}"


def available() -> list[str]:
    """Return the names of the devices of this machine, the CPU last."""
    accelerator = torch.accelerator.current_accelerator(check_available=True)
    if accelerator is None:
        return ["cpu"]
    if accelerator.type == "mps":
        return ["mps", "cpu"]
    return [*(f"{accelerator.type}:{i}" for i in range(torch.accelerator.device_count())), "cpu"]


def name_of(device: torch.device) -> str:
    """Return the name of a device with its product name, or the threads of the CPU."""
    if device.type == "cpu":
        return f"cpu ({torch.get_num_threads()} threads)"
    if device.type == "cuda":
        return f"{device} ({torch.cuda.get_device_name(device)})"
    return str(device)


def usable_cores() -> int:
    """Return the number of CPU cores that this process may use."""
    if hasattr(os, "sched_getaffinity"):  # not on macOS and Windows
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def keep_freed_memory(device: torch.device) -> bool:
    """Let malloc keep freed memory for the next step on the CPU; return whether it does.

    By default glibc returns large blocks to the system as soon as they are freed. The activations
    of a step are then fresh pages, which the system has to clear and map. This can take a quarter
    of the time of a small network's step, and more, depending on the layout of the blocks.

    It costs memory: the process keeps the most memory that it has ever used, except for blocks of
    1 GiB and more (32 MiB if glibc is older than 2.35). It affects the whole process and cannot be
    undone, so it is called for runs and not on import.

    Nothing is done on accelerators, without glibc (musl, macOS, Windows), or if malloc is
    configured in the environment (`MALLOC_...` or `GLIBC_TUNABLES`).
    """
    is_set = any(name.startswith("MALLOC_") for name in os.environ)
    is_set |= "glibc.malloc." in os.environ.get("GLIBC_TUNABLES", "")
    if device.type != "cpu" or platform.libc_ver()[0] != "glibc" or is_set:
        return False
    mallopt = ctypes.CDLL(None).mallopt
    is_trimming_off = mallopt(_M_TRIM_THRESHOLD, _NEVER) == 1
    sizes = (_GIBIBYTE, _MOST_OF_OLD_GLIBC)
    return any(mallopt(_M_MMAP_THRESHOLD, size) == 1 for size in sizes) and is_trimming_off


@contextmanager
def deterministic_algorithms(wanted: bool) -> Iterator[None]:
    """Use only deterministic algorithms inside the context if `wanted` is true."""
    if not wanted:
        yield
        return
    previous = torch.are_deterministic_algorithms_enabled()
    # cuBLAS reads it when its handle is created, so it has to be set before the first CUDA call.
    os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")
    torch.use_deterministic_algorithms(True)
    try:
        yield
    finally:
        torch.use_deterministic_algorithms(previous)


@contextmanager
def explained_memory(placement: Placement, batch_size: int, accumulate: int) -> Iterator[None]:
    """Raise an error that says which settings to change if memory runs out inside the context.

    Raises:
        OutOfMemoryError: Instead of the error of torch.
    """
    try:
        yield
    except (RuntimeError, MemoryError) as error:
        phrases = ("out of memory", "DefaultCPUAllocator: can't allocate memory", "_ALLOC_FAILED")
        is_typed = isinstance(error, torch.OutOfMemoryError | MemoryError)
        if not is_typed and not any(phrase in str(error) for phrase in phrases):
            raise
        raise OutOfMemoryError(
            f"out of memory on {placement.device}: lower data.batch_size (now {batch_size}) and "
            f"raise train.accumulate (now {accumulate}) to keep the product, lower "
            "evaluate.batch_size, or use train.precision=bfloat16 (now "
            f"{placement.precision}) or data.resident=false"
        ) from error


def networks(task: nn.Module) -> Iterator[nn.Module]:
    """Yield the submodules of a task, and those in its dicts and lists of modules."""
    for child in task.children():
        if isinstance(child, nn.ModuleDict | nn.ModuleList):
            yield from child.children()
        else:
            yield child


def _gains_by_bfloat16(device: torch.device, memory_format: str) -> bool:
    if device.type == "cuda":
        return bool(torch.cuda.is_bf16_supported(including_emulation=False))
    if device.type == "cpu":
        # With contiguous tensors, copies into blocked layouts can cost more time than is saved.
        return memory_format == "channels_last" and _multiplies_bfloat16()
    return device.type == "xpu"


def _multiplies_bfloat16() -> bool:
    """Return whether the CPU has instructions for products of bfloat16."""
    # These names are private to torch. The last one requests the state of AMX's tiles from the
    # system, which may be refused in a container.
    has_avx512, has_amx, may_use_amx = (
        getattr(torch.cpu, name, lambda: False)
        for name in ("_is_avx512_bf16_supported", "_is_amx_tile_supported", "_init_amx")
    )
    return bool(has_avx512() or (has_amx() and may_use_amx()))


def _device(name: str, local_rank: int) -> torch.device:
    names = available()
    if name == "auto":
        name = names[0].partition(":")[0]
    try:
        device = torch.device(name)
    except RuntimeError:
        raise UsageError(f"device={name}: should be one of auto, {', '.join(names)}") from None
    if name in ("cuda", "xpu"):
        device = torch.device(device.type, local_rank)
    if str(device) not in names:
        raise UsageError(f"device={name}: not available; this machine has {', '.join(names)}")
    if device.type == "cuda":
        torch.cuda.set_device(device)
    return device
