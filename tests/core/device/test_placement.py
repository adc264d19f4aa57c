"""Resolution of `auto`, and the memory that malloc keeps."""

import os
import platform
import subprocess
import sys
from pathlib import Path
from textwrap import dedent

import pytest
import torch

import gvt
from gvt.device.placement import keep_freed_memory

IS_GLIBC = platform.libc_ver()[0] == "glibc"
# As the system lists the CPU's instructions, which is not where torch looks.
FLAGS = Path("/proc/cpuinfo").read_text().split() if Path("/proc/cpuinfo").exists() else []
MULTIPLIES_BFLOAT16 = "avx512_bf16" in FLAGS or "amx_bf16" in FLAGS

# Counts the pages that the system maps for a tensor of 64 MiB that comes and goes. A larger one
# went before it, so that what the heap keeps is enough however its small blocks lie.
FAULTS = """
    import resource
    import torch
    from gvt.device.placement import keep_freed_memory

    def faults_of_a_step():
        before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
        torch.ones(16 << 20)
        return resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before

    def least_faults():
        torch.ones(64 << 20)
        return min(faults_of_a_step() for _ in range(5))

    unkept = least_faults()
    assert keep_freed_memory(torch.device("cpu"))
    print(unkept, least_faults())
"""


@pytest.mark.slow
@pytest.mark.skipif(not IS_GLIBC, reason="glibc's malloc alone is asked")
def test_freed_memory_is_kept_for_the_next_step():
    clean = {k: v for k, v in os.environ.items() if not k.startswith(("MALLOC_", "GLIBC_"))}
    command = [sys.executable, "-c", dedent(FAULTS)]
    done = subprocess.run(command, env=clean, capture_output=True, text=True, check=True)
    unkept, kept = map(int, done.stdout.split())
    assert kept < unkept / 2


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("MALLOC_TRIM_THRESHOLD_", "131072"),
        ("GLIBC_TUNABLES", "glibc.malloc.mmap_threshold=131072"),
    ],
)
def test_malloc_settings_of_the_user_are_kept(name, value, monkeypatch):
    monkeypatch.setenv(name, value)
    assert not keep_freed_memory(torch.device("cpu"))


def test_nothing_is_done_on_accelerators():
    assert not keep_freed_memory(torch.device("cuda"))


@pytest.mark.skipif(not FLAGS, reason="the system does not say what this CPU has")
def test_a_cpu_uses_bfloat16_only_with_instructions_and_channels_last():
    chosen = gvt.Placement.resolve("cpu")
    assert chosen.precision == ("bfloat16" if MULTIPLIES_BFLOAT16 else "float32")
    assert chosen.memory_format == "channels_last"
    assert gvt.Placement.resolve("cpu", memory_format="contiguous").precision == "float32"


@pytest.mark.parametrize(
    ("has", "chosen"),
    [
        ({"_is_avx512_bf16_supported"}, "bfloat16"),
        ({"_is_amx_tile_supported", "_init_amx"}, "bfloat16"),
        ({"_is_amx_tile_supported"}, "float32"),
        (set(), "float32"),
    ],
)
def test_amx_needs_its_state_from_the_system(has, chosen, monkeypatch):
    for name in ("_is_avx512_bf16_supported", "_is_amx_tile_supported", "_init_amx"):
        monkeypatch.setattr(torch.cpu, name, lambda name=name: name in has, raising=False)
    assert gvt.Placement.resolve("cpu").precision == chosen


def test_explicit_settings_are_used():
    asked = gvt.Placement.resolve("cpu", "bfloat16", "contiguous")
    assert (asked.precision, asked.memory_format) == ("bfloat16", "contiguous")
    with asked.autocast():
        assert (torch.ones(2, 2) @ torch.ones(2, 2)).dtype == torch.bfloat16
    with asked.autocast("float32"):
        assert (torch.ones(2, 2) @ torch.ones(2, 2)).dtype == torch.float32
