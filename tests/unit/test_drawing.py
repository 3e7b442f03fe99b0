"""What searchers share that draw: a stranger's is built on it in a few lines, and ours say none of it again."""

from __future__ import annotations

from automl_core import DrawingSearcher, Job, Objective, Outcome, Problem
from automl_core.plugins import get_registry
from automl_core.testing import SearcherContract
from automl_core.testing.doubles import ToySpace
from automl_core.types import Configuration

SHARED = ("extend", "planned_trials", "_ahead", "_peek", "_comparable")


class Alternating(DrawingSearcher):
    """A stranger's: every second trial has a configuration of its own, the one that is allowed and comes first."""

    multi_fidelity = False

    def ask(self, next_trial: int) -> Job | None:
        configuration = self._proposal() if self._begun % 2 and self._peek() else None
        if configuration is None:
            configuration = self._take()
        else:
            self._know(configuration)
            self._begun += 1
        return None if configuration is None else Job(next_trial, configuration, 0, self.problem.max_budget)

    def tell(self, job: Job, outcome: Outcome) -> None:
        """Learns nothing."""

    def finished(self) -> bool:
        return self._peek() is None

    def may_continue(self, trial: int) -> bool:
        return False

    def _proposal(self) -> Configuration | None:
        space = self.problem.space
        return next((one for one in space.enumerate(0) if space.canonical(one) not in self._sampler.known), None)


class TestAStrangersSearcher(SearcherContract):
    """With nothing but the base, its own proposals and draws together keep the contract."""

    def make_searcher(self) -> Alternating:
        return Alternating()


def started(searcher: DrawingSearcher, space: ToySpace, trials: int | None = None) -> DrawingSearcher:
    searcher.start(Problem(space, (Objective("loss", "min"),), 1, 3, trials, 5))
    return searcher


def test_what_is_taken_is_not_the_one_ahead_any_more() -> None:
    searcher = started(Alternating(), ToySpace(2))
    ahead = searcher._peek()
    assert ahead is not None and searcher._peek() is ahead, "looking changes nothing"
    searcher._know(ahead)
    following = searcher._peek()
    assert following is not None and following != ahead
    other = next(one for one in ToySpace(2).enumerate(0) if one not in (ahead, following))
    searcher._know(other)
    assert searcher._peek() is following, "which is still to come"


def test_drawn_ahead_even_when_no_trial_may_begin() -> None:
    searcher = started(Alternating(), ToySpace(2), trials=1)
    assert searcher.ask(0) is not None
    assert searcher._peek() is None is searcher.ask(1) and searcher.finished()
    assert searcher._ahead is not None
    searcher.extend(2)
    assert searcher._peek() is searcher._ahead and searcher.planned_trials == 2


def test_no_searcher_of_ours_says_again_what_is_shared() -> None:
    registry = get_registry()
    searchers = {name: registry.load("searcher", name) for name in registry.names("searcher")}
    assert {"random", "grid", "asha", "hyperband", "bohb", "smac", "optuna"} <= set(searchers)
    for name, searcher in searchers.items():
        ours = searcher.__module__.startswith("automl_") and not searcher.__module__.startswith("automl_fixture")
        # Those that train something of their own derive what they ask for from it; what a refinement draws depends on
        # what is under way, so it draws when something is journalled, and never when it is looked ahead.
        if ours and not searcher.evaluator and name != "refine":
            assert issubclass(searcher, DrawingSearcher), name
            assert not set(SHARED) & {own for base in searcher.__mro__ for own in vars(base) if _is_ours(base)}, name


def _is_ours(base: type) -> bool:
    return issubclass(base, DrawingSearcher) and base is not DrawingSearcher
