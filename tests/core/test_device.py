"""Where and how a run computes: what `auto` comes to, and the memory that malloc keeps."""

import os
import platform
import subprocess
import sys
from textwrap import dedent

import pytest
import torch

import gvt
from gvt.device import keep_freed_memory

IS_GLIBC = platform.libc_ver()[0] == "glibc"
HAS_AMX = getattr(torch.cpu, "_is_amx_tile_supported", lambda: False)()

# Counts the pages that the system maps for a tensor of 64 MiB that comes and goes. A larger one
# went before it, so that what the heap keeps is enough however its small blocks lie.
FAULTS = """
    import resource
    import torch
    from gvt.device import keep_freed_memory

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


@pytest.mark.skipif(not IS_GLIBC, reason="glibc's malloc alone is asked")
def test_what_a_step_frees_is_there_for_the_next_one():
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
def test_what_the_user_said_of_malloc_stands(name, value, monkeypatch):
    monkeypatch.setenv(name, value)
    assert not keep_freed_memory(torch.device("cpu"))


def test_nothing_is_done_on_accelerators():
    assert not keep_freed_memory(torch.device("cuda"))


@pytest.mark.skipif(HAS_AMX, reason="this CPU has AMX")
def test_a_cpu_without_amx_computes_in_float32():
    assert gvt.Placement.resolve("cpu").precision == "float32"
    assert gvt.Placement.resolve("cpu").memory_format == "channels_last"


@pytest.mark.skipif(not HAS_AMX, reason="this CPU has no AMX")
def test_amx_is_used_with_channels_last_only():
    assert gvt.Placement.resolve("cpu").precision == "bfloat16"
    assert gvt.Placement.resolve("cpu", memory_format="contiguous").precision == "float32"


def test_what_is_asked_for_is_taken():
    asked = gvt.Placement.resolve("cpu", "bfloat16", "contiguous")
    assert (asked.precision, asked.memory_format) == ("bfloat16", "contiguous")
    with asked.autocast():
        assert (torch.ones(2, 2) @ torch.ones(2, 2)).dtype == torch.bfloat16
    with asked.autocast("float32"):
        assert (torch.ones(2, 2) @ torch.ones(2, 2)).dtype == torch.float32
