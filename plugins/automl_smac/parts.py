"""SMAC3's own parts, each changed in the one respect that a search with a journal needs.

A facade of SMAC3 is put together from parts that may be exchanged: what proposes configurations, what searches for the
most promising ones, what encodes results for the model, what decides on budgets. The ones here propose nothing that is
known or not allowed, decide alike in every process, learn from failures, and begin no more trials than are left.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from itertools import islice
from typing import Any

import numpy as np
from ConfigSpace import Configuration
from numpy.typing import NDArray
from smac.acquisition.maximizer.local_and_random_search import LocalAndSortedRandomSearch
from smac.acquisition.maximizer.local_search import LocalSearch
from smac.intensifier.hyperband import Hyperband
from smac.main.config_selector import ConfigSelector
from smac.main.exceptions import ConfigurationSpaceExhaustedException
from smac.runhistory.dataclasses import TrialInfo, TrialKey, TrialValue
from smac.runhistory.encoder import RunHistoryEncoder, RunHistoryLogScaledEncoder
from smac.runhistory.encoder.abstract_encoder import AbstractRunHistoryEncoder
from smac.scenario import Scenario

from automl_core.drawing import TRIES


class NothingToDo(Exception):  # noqa: N818 - no error: a result has to come in first
    """SMAC3 has nothing to go on with before another result, and may begin no trial."""


class Proposals(ConfigSelector):
    """Proposes what is admitted alone, and a random configuration where SMAC3 finds nothing of that kind.

    Args:
        scenario: What is to be solved.
        admit: Says whether a proposal is taken; what is known of one that is not, it tells SMAC3.
        draw: Gives an allowed, unknown configuration, or None when there is none left.
        options: What the facade's own selector is built with.
    """

    def __init__(
        self,
        scenario: Scenario,
        admit: Callable[[Configuration], bool],
        draw: Callable[[], Configuration | None],
        **options: Any,
    ) -> None:
        super().__init__(scenario, **options)
        self._admit = admit
        self._draw = draw

    def __iter__(self) -> Iterator[Configuration]:
        proposals = super().__iter__()
        while True:
            configuration = self._admitted(proposals)
            if configuration is None:
                configuration = self._draw()
                if configuration is None:
                    return
                self._processed_configs.append(configuration)
            yield configuration

    def _admitted(self, proposals: Iterator[Configuration]) -> Configuration | None:
        try:
            return next(filter(self._admit, islice(proposals, TRIES)), None)
        except ConfigurationSpaceExhaustedException:
            return None


class OrderedLocalSearch(LocalSearch):
    """Begins in the same order in every process.

    SMAC3 goes through a set of configurations here. Their hashes are those of strings, which differ between processes,
    and the search would differ with them.
    """

    def _get_init_points_from_previous_configs(self, *arguments: Any, **options: Any) -> list[Configuration]:
        points = super()._get_init_points_from_previous_configs(*arguments, **options)
        return sorted(points, key=lambda point: point.get_array().tobytes())


def order_search(maximizer: LocalAndSortedRandomSearch, scenario: Scenario) -> LocalAndSortedRandomSearch:
    """Exchanges the local search of a facade's acquisition maximiser for the ordered one."""
    maximizer._local_search = OrderedLocalSearch(configspace=scenario.configspace, seed=scenario.seed)
    return maximizer


class _FailuresAreWorst(AbstractRunHistoryEncoder):
    """Lets a failed trial count as much as the worst one that did not fail.

    A failure's cost is infinite, which ranks it last, but no model can be fitted to that.
    """

    def _build_matrix(
        self, trials: Mapping[TrialKey, TrialValue], store_statistics: bool = False
    ) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        costs = np.array([value.cost for value in trials.values()], dtype=float)
        costs = costs.reshape(len(trials), self._n_objectives)
        finite = np.isfinite(costs).all(axis=1)
        if not finite.all():
            worst = costs[finite].max(axis=0) if finite.any() else np.zeros(costs.shape[1])
            cost = worst.tolist() if len(worst) > 1 else float(worst[0])
            trials = {
                key: value if is_finite else replace(value, cost=cost)
                for (key, value), is_finite in zip(trials.items(), finite, strict=True)
            }
        return super()._build_matrix(trials, store_statistics)  # type: ignore[safe-super]


class Encoder(_FailuresAreWorst, RunHistoryEncoder):
    """SMAC3's plain encoder; see :class:`_FailuresAreWorst`."""


class LogScaledEncoder(_FailuresAreWorst, RunHistoryLogScaledEncoder):
    """SMAC3's log-scaling encoder; see :class:`_FailuresAreWorst`."""


class BoundedHyperband(Hyperband):
    """Begins no bracket with more configurations than may still be begun.

    SMAC3's Hyperband begins another bracket whenever it has nothing else to ask for. The last one is cut here to as
    many configurations as are left; when none is left, asking raises :class:`NothingToDo` and changes nothing, so that
    what runs can still be gone on with.

    Args:
        left: Gives how many configurations may still be begun.
        options: As for SMAC3's Hyperband.
    """

    def __init__(self, *, left: Callable[[], int], **options: Any) -> None:
        self._left = left
        self._batch: Iterator[Configuration] = iter(())
        self._prepared = False
        super().__init__(**options)

    @property
    def config_generator(self) -> Iterator[Configuration]:
        """The configurations of the bracket that begins."""
        return self._batch

    def __post_init__(self) -> None:
        if not self._prepared:  # beginning anew after NothingToDo must not forget the brackets that were cut
            super().__post_init__()
            self._prepared = True

    def __iter__(self) -> Iterator[TrialInfo]:
        return _Resumable(super().__iter__, self._stages)

    def _stages(self) -> list[int]:
        """Counts what is at each stage of each bracket; a promotion changes it."""
        return [len(pairs) for pairs in self._tracker.values()]

    def holds(self, configuration: Configuration) -> bool:
        """Whether a configuration may still be asked for; it is told by identity."""
        return any(one is configuration for pairs in self._tracker.values() for _, batch in pairs for one in batch)

    def _get_next_bracket(self) -> int:
        source = super().config_generator
        before = self._next_bracket
        bracket = super()._get_next_bracket()
        size = self._n_configs_in_stage[bracket][0]
        batch = list(islice(source, min(size, self._left())))
        if not batch:
            self._next_bracket = before
            raise NothingToDo
        self._batch = iter(batch)
        return bracket if len(batch) == size else self._cut(bracket, len(batch))

    def _cut(self, bracket: int, size: int) -> int:
        """Makes a bracket of a smaller size; each of its stages has a configuration at least."""
        cut = len(self._n_configs_in_stage)
        sizes = self._n_configs_in_stage[bracket]
        self._n_configs_in_stage[cut] = [max(1, one * size // sizes[0]) for one in sizes]
        self._budgets_in_stage[cut] = self._budgets_in_stage[bracket]
        self._max_iterations[cut] = self._max_iterations[bracket]
        return cut


class _Resumable(Iterator[TrialInfo]):
    """Goes on after :class:`NothingToDo`, which ends a generator; what there is to go on with, the tracker holds.

    A generator that promotes gives what it has promoted in its next round only. So there is nothing to do when a round
    has come to nothing without changing anything.

    Args:
        begin: Begins a generator.
        state: Gives what a round changes.
    """

    def __init__(self, begin: Callable[[], Iterator[TrialInfo]], state: Callable[[], list[int]]) -> None:
        self._begin = begin
        self._state = state
        self._trials = begin()

    def __next__(self) -> TrialInfo:
        while True:
            before = self._state()
            try:
                return next(self._trials)
            except NothingToDo:
                self._trials = self._begin()
                if self._state() == before:
                    raise
