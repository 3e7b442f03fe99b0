"""The smallest equivalent form of a knowledge-transfer graph, on plain tuples.

Two graphs train their target alike when they agree after dropping every node without a directed path to the target
and after renumbering the auxiliary nodes. The smallest of all such forms stands for them all.

A graph of N nodes is given here as one flat tuple of N + N * N strings, so that a search engine can afford to ask for
every configuration it draws: the signatures of nodes 1 to N, then for each destination 1 to N the signatures of its
incoming edges, from the label first and then from the other nodes by number. The empty string is an edge that does
not exist.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from itertools import permutations
from operator import itemgetter

Flat = tuple[str, ...]
Order = tuple[int, ...]


def position(source: int, destination: int, nodes: int) -> int:
    """Gives the place of an edge in the flat tuple of a graph with so many nodes; source 0 is the label."""
    return nodes * destination + (source if source < destination else source - 1)


def smallest(graph: Flat, nodes: int) -> tuple[Flat, Order]:
    """Finds the smallest equivalent form.

    Args:
        graph: A graph of ``nodes`` nodes.
        nodes: Number of nodes.

    Returns:
        The smallest form, and the numbers that its nodes 1, 2, ... have in ``graph``.
    """
    return min([(pick(graph), order) for pick, order in _arrangements(nodes, _influential(graph, nodes))])


def _influential(graph: Flat, nodes: int) -> frozenset[int]:
    reached = {1}
    frontier = [1]
    edges_into = _edges_into(nodes)
    for destination in frontier:  # grows while it is walked
        for source, place in edges_into[destination]:
            if graph[place] and source not in reached:
                reached.add(source)
                frontier.append(source)
    return frozenset(reached)


@cache
def _edges_into(nodes: int) -> tuple[tuple[tuple[int, int], ...], ...]:
    """Gives (source, place) of the edges from other nodes, by destination; index 0 is unused."""
    numbers = range(1, nodes + 1)
    return (), *(
        tuple((source, position(source, destination, nodes)) for source in numbers if source != destination)
        for destination in numbers
    )


@cache
def _arrangements(nodes: int, kept: frozenset[int]) -> tuple[tuple[Callable[[Flat], Flat], Order], ...]:
    """Gives, for every order of the kept auxiliary nodes, what picks that form out of a flat tuple.

    At most 6! = 720 forms for the 7 nodes of the largest space, about a millisecond to compare.
    """
    arrangements: list[tuple[Callable[[Flat], Flat], Order]] = []
    for auxiliaries in permutations(sorted(kept - {1})):
        order = (1, *auxiliaries)
        picks = [number - 1 for number in order]
        for destination in order:
            sources = (0, *(source for source in order if source != destination))
            picks += [position(source, destination, nodes) for source in sources]
        arrangements.append((itemgetter(*picks), order))
    return tuple(arrangements)
