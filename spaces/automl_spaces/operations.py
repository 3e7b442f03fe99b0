"""Operations of cells: pooling, skip connections, and separable convolutions that small changes turn into one another.

A search space is what a number of such changes (morphisms) reach from the plain 3x3 convolution under a restriction.

Source: Laube and Zell, "Prune and Replace NAS" (2019), sections III-B (morphisms), IV-A (restrictions DL, DR and UR)
and IV-B (similarity).
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cache, cached_property
from typing import Literal

from automl_core.errors import RequestError, unknown
from automl_spaces.genotype import NONE

MAX_POOL, AVERAGE_POOL, SKIP = "max_pool_3x3", "avg_pool_3x3", "skip_connect"

POOLS_AND_SKIP = (MAX_POOL, AVERAGE_POOL, SKIP)
"""What every cell space has beside convolutions; they have no morphisms."""

Kind = Literal["pool", "skip", "convolution", "none"]

MOST_STEPS = 10
"""More morphing steps than this would make search spaces of thousands of operations."""

_NAME = re.compile(r"conv_([1-9]\d?)x\1(?:_d([1-9]\d?))?(?:_e([1-9]\d?(?:-[1-9]\d?)*))?")


@dataclass(frozen=True, order=True)
class Convolution:
    """Separable convolutions one after another: of c channels to m1 c, ..., to mn c, and back to c.

    Args:
        size: Rows and columns of each kernel, odd.
        dilation: Of each kernel.
        widths: The factors m1, ..., mn; there is one convolution more than factors.

    Raises:
        RequestError: For a size that is even, or a number below 1.
    """

    size: int = 3
    dilation: int = 1
    widths: tuple[int, ...] = ()

    def __post_init__(self) -> None:
        if self.size < 1 or self.size % 2 == 0 or min(self.dilation, *self.widths, 1) < 1:
            raise RequestError(
                f"a convolution must have an odd size, a dilation and widths of at least 1, but got {self}; an even "
                "kernel has no centre"
            )

    @property
    def name(self) -> str:
        """``conv_3x3``, ``conv_5x5_d2``, ``conv_3x3_e1-2``: size, dilation if above 1, expansion if there is any."""
        dilation = f"_d{self.dilation}" if self.dilation > 1 else ""
        expansion = f"_e{'-'.join(map(str, self.widths))}" if self.widths else ""
        return f"conv_{self.size}x{self.size}{dilation}{expansion}"

    @classmethod
    def parse(cls, name: str) -> Convolution | None:
        """Reads a name; gives None when it is none of these."""
        match = _NAME.fullmatch(name)
        if match is None or int(match[1]) % 2 == 0 or match[2] == "1":
            return None
        widths = tuple(map(int, match[3].split("-"))) if match[3] else ()
        return cls(int(match[1]), int(match[2] or 1), widths)


START = (*POOLS_AND_SKIP, Convolution().name)
"""What every edge begins with in a search by morphisms."""

DARTS_CONVOLUTIONS = {
    "sep_conv_3x3": Convolution(3, 1, (1,)),
    "sep_conv_5x5": Convolution(5, 1, (1,)),
    "dil_conv_3x3": Convolution(3, 2),
    "dil_conv_5x5": Convolution(5, 2),
}
"""What the convolutions of DARTS are, which applies its separable convolutions twice."""


def convolution_of(name: str) -> Convolution | None:
    """Gives the convolution that a name means, DARTS' own names included; None for anything else."""
    return DARTS_CONVOLUTIONS.get(name) or Convolution.parse(name)


@dataclass(frozen=True)
class Restriction:
    """Which convolutions morphisms may lead to.

    Args:
        sizes: Smallest and largest kernel.
        dilations: Smallest and largest dilation.
        depth: Most widths; None: any number.
        width: Largest sum of widths; None: any.
        dilated_points: Whether kernels of 1x1 may have a dilation, which makes no difference to them. The paper
            excludes them in words, but counts them in its totals of 39 and 83 operations.
    """

    sizes: tuple[int, int] = (3, 7)
    dilations: tuple[int, int] = (1, 2)
    depth: int | None = None
    width: int | None = None
    dilated_points: bool = False

    def children(self, parent: Convolution) -> dict[str, Convolution]:
        """Gives what each applicable morphism makes of a convolution, by the morphism's name.

        ``widen`` raises the smallest width by 1, of equal ones the first.
        """
        size, dilation, widths = parent.size, parent.dilation, parent.widths
        found = {
            "grow": replace(parent, size=size + 2),
            "dilate": replace(parent, dilation=dilation + 1),
            "insert": replace(parent, widths=(*widths, 1)),
        }
        if size > 1:
            found["shrink"] = replace(parent, size=size - 2)
        if dilation > 1:
            found["undilate"] = replace(parent, dilation=dilation - 1)
        if widths:
            place = widths.index(min(widths))
            found["widen"] = replace(parent, widths=(*widths[:place], widths[place] + 1, *widths[place + 1 :]))
        if size == 1:
            del found["dilate"]  # a single point has nothing to spread
        return {name: found[name] for name in MORPHISMS if name in found and self.allows(found[name])}

    def allows(self, convolution: Convolution) -> bool:
        """Tells whether a convolution keeps to the restriction."""
        return (
            self.sizes[0] <= convolution.size <= self.sizes[1]
            and self.dilations[0] <= convolution.dilation <= self.dilations[1]
            and (self.depth is None or len(convolution.widths) <= self.depth)
            and (self.width is None or sum(convolution.widths) <= self.width)
            and (self.dilated_points or convolution.size > 1 or convolution.dilation == 1)
        )

    def reachable(self, steps: int) -> tuple[Convolution, ...]:
        """Gives what at most so many morphisms make of the plain 3x3 convolution, itself included, sorted."""
        found = frontier = {Convolution()}
        for _ in range(steps):
            frontier = {child for one in frontier for child in self.children(one).values()} - found
            found = found | frontier
        return tuple(sorted(found))


MORPHISMS = ("grow", "shrink", "dilate", "undilate", "insert", "widen")

DL = Restriction(sizes=(3, 7), depth=1, width=1)
DR = Restriction(sizes=(1, 7), depth=1, width=5)
UR = Restriction(sizes=(1, 7))


@dataclass(frozen=True)
class OperationSet:
    """Pools, skip connection, and the convolutions that some morphisms reach from the plain one.

    Args:
        restriction: What morphisms may lead to.
        steps: Most of them; five reach all that the paper counts.

    Raises:
        RequestError: For a number of steps out of range.
    """

    restriction: Restriction
    steps: int = 5

    def __post_init__(self) -> None:
        if not 0 <= self.steps <= MOST_STEPS:
            raise RequestError(
                f"steps must be from 0, for the plain 3x3 convolution alone, to {MOST_STEPS}, but got {self.steps}; "
                "set space.steps, 5 is as published"
            )

    @cached_property
    def operations(self) -> tuple[str, ...]:
        """The names: pools, skip connection, then convolutions by size, dilation and widths."""
        return (*POOLS_AND_SKIP, *(one.name for one in self.restriction.reachable(self.steps)))

    def children(self, name: str) -> tuple[tuple[str, str], ...]:
        """Gives (morphism, child) for every child in this set; nothing for pools and skip connections.

        Raises:
            RequestError: For a name that is not in this set.
        """
        if name not in self._children:
            raise unknown("operation", name, self._children)
        return self._children[name]

    @cached_property
    def _children(self) -> dict[str, tuple[tuple[str, str], ...]]:
        known = frozenset(self.operations)
        children: dict[str, tuple[tuple[str, str], ...]] = dict.fromkeys(POOLS_AND_SKIP, ())
        for one in self.restriction.reachable(self.steps):
            made = self.restriction.children(one).items()
            children[one.name] = tuple((morphism, child.name) for morphism, child in made if child.name in known)
        return children


@cache
def kind_of(name: str) -> Kind:
    """Tells which kind of operation a name means.

    Raises:
        RequestError: For an unknown one.
    """
    if name in (MAX_POOL, AVERAGE_POOL):
        return "pool"
    if name == SKIP:
        return "skip"
    if name == NONE:
        return "none"
    if convolution_of(name) is None:
        raise unknown("operation of a cell", name, (NONE, *POOLS_AND_SKIP, *DARTS_CONVOLUTIONS, Convolution().name))
    return "convolution"


def short_name(name: str) -> str:
    """Gives an operation's name for where there is little room: ``5x5 d2 e1``, ``max 3x3``, ``skip``."""
    words = name.split("_")
    return " ".join(word for word in words if word not in ("conv", "pool", "connect")) or name


@cache
def similarity(a: str, b: str) -> float:
    """Gives how similar two operations are, from 0 to 1.

    Operations of different kinds are not at all. Otherwise it is the mean of 1 and one term for each parameter, 1 where
    it is equal: size and way of pooling; size, dilation and widths of convolutions, where the term for widths counts
    those that are equal from the first on, and whether there are equally many.

    Raises:
        RequestError: For an unknown operation.
    """
    if kind_of(a) != kind_of(b):
        return 0.0
    one, other = convolution_of(a), convolution_of(b)
    if one is None or other is None:
        terms = [1.0, 1.0, float(a == b)] if kind_of(a) == "pool" else [1.0]  # all pools are of 3x3
        return sum(terms) / len(terms)
    equal = 0
    for mine, theirs in zip(one.widths, other.widths, strict=False):
        if mine != theirs:
            break
        equal += 1
    fewest = min(len(one.widths), len(other.widths))
    widths = (equal + (len(one.widths) == len(other.widths))) / (fewest + 1)
    return (1 + (one.size == other.size) + (one.dilation == other.dilation) + widths) / 4


def pool_similarity(names: Sequence[str]) -> float:
    """Gives the mean similarity of every two candidates, each with itself included; 0 without candidates."""
    if not names:
        return 0.0
    return sum(similarity(a, b) for a in names for b in names) / len(names) ** 2
