"""How full the memory is that a training runs in: a GPU's, or what a process may use of the computer's."""

from __future__ import annotations

import logging
import math
import resource
import sys
from contextlib import suppress
from functools import cache
from pathlib import Path, PurePosixPath
from typing import Protocol

import torch

from automl_core.spec import parse_size

PROCESS = Path("/proc/self")
GROUPS = Path("/sys/fs/cgroup")

NO_LIMIT = 2**60
"""Bytes from which a control group's limit means that there is none."""

log = logging.getLogger(__name__)


class MemoryProbe(Protocol):
    """Tells how full a memory was."""

    def fraction(self) -> float:
        """Gives the largest share of the memory in use since the last reset, 1 being all of it."""
        ...

    def reset(self) -> None:
        """Begins anew with what is in use now."""


class ConstantMemory:
    """A memory that is always equally full.

    Args:
        share: How full; 1, at which no batch grows, is for a memory of which nothing is known.
    """

    def __init__(self, share: float = 1.0) -> None:
        self._share = share

    def fraction(self) -> float:
        return self._share

    def reset(self) -> None:
        """Nothing changes."""


class CudaMemory:
    """The memory of a GPU: what tensors of this process take at their peak, and what all others take now.

    Blocks that torch keeps for later are not in use. Everything else that is gone, such as other processes' memory and
    the context of CUDA, counts as others'.

    Args:
        device: The GPU.
    """

    def __init__(self, device: torch.device) -> None:
        self._device = device

    def fraction(self) -> float:
        free, total = torch.cuda.mem_get_info(self._device)
        others = total - free - torch.cuda.memory_reserved(self._device)
        return (others + torch.cuda.max_memory_allocated(self._device)) / total

    def reset(self) -> None:
        torch.cuda.reset_peak_memory_stats(self._device)


class ProcessMemory:
    """What this process uses of what it may use, whichever of two limits is nearer.

    Both uses are peaks. Linux lets the resident one begin anew; where it cannot, what was before in the process counts
    too, and the batch may grow less than it could, but not more.

    Args:
        resident: Bytes that it may occupy in memory, as control groups limit them; infinite when nothing does.
        virtual: Bytes of its address space, as ``ulimit -v`` limits them; infinite when nothing does.
        process: Where Linux describes the process.
    """

    def __init__(self, resident: float = math.inf, virtual: float = math.inf, process: Path = PROCESS) -> None:
        self._resident, self._virtual, self._process = resident, virtual, process

    def fraction(self) -> float:
        try:
            status = (self._process / "status").read_text()
        except OSError:  # no Linux
            peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * (1 if sys.platform == "darwin" else 1024)
            return peak / min(self._resident, self._virtual)
        lines = (line.split() for line in status.splitlines())
        sizes = {words[0]: 1024 * int(words[1]) for words in lines if words[2:] == ["kB"]}
        resident = sizes.get("VmHWM:", sizes["VmRSS:"])
        virtual = sizes.get("VmPeak:", sizes["VmSize:"])
        return max(resident / self._resident, virtual / self._virtual)

    def reset(self) -> None:
        with suppress(OSError):
            (self._process / "clear_refs").write_text("5")  # sets the peak of resident memory to what is resident now


def memory_probe(device: torch.device, memory_limit: str = "") -> MemoryProbe:
    """Gives the probe of what a training on a device may use.

    Args:
        device: Where it runs.
        memory_limit: What the process may use when that is not a GPU, such as "4GB"; empty: what its control group may
            use. What ``ulimit -v`` says holds in any case.
    """
    if device.type == "cuda":
        return CudaMemory(device)
    resident = parse_size(memory_limit) if memory_limit else group_limit()
    virtual = address_space_limit()
    if min(resident, virtual) == math.inf:
        _warn_of_no_limit()
        return ConstantMemory()
    return ProcessMemory(resident, virtual)


@cache
def _warn_of_no_limit() -> None:
    """Says once a process why no batch grows."""
    log.warning(
        "batches stay at their smallest size, since nothing says how much memory may be used; "
        "set trainer.memory_limit, for example to 4GB, or largest_batch to 0"
    )


def address_space_limit() -> float:
    """Gives the bytes that ``ulimit -v`` leaves this process; infinite when it does not limit them."""
    limit = resource.getrlimit(resource.RLIMIT_AS)[0]
    return math.inf if limit == resource.RLIM_INFINITY else limit


def group_limit(process: Path = PROCESS, groups: Path = GROUPS) -> float:
    """Gives the least bytes that this process's control group or one above it may use; infinite when none is limited.

    Args:
        process: Where Linux describes the process.
        groups: Where it describes control groups, of version 2 or 1.
    """
    try:
        lines = (process / "cgroup").read_text().splitlines()
    except OSError:
        return math.inf
    limits = [math.inf]
    for line in lines:
        _, controllers, path = line.split(":", 2)
        if controllers == "":
            folder, name = groups, "memory.max"
        elif "memory" in controllers.split(","):
            folder, name = groups / "memory", "memory.limit_in_bytes"
        else:
            continue
        group = PurePosixPath(path.lstrip("/"))
        limits += [_limit_in(folder / part / name) for part in (group, *group.parents)]
    return min(limits)


def _limit_in(file: Path) -> float:
    try:
        limit = int(file.read_text())
    except (OSError, ValueError):  # not seen from within a container; "max"
        return math.inf
    return limit if limit < NO_LIMIT else math.inf
