import math

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from automl_core.interfaces import Problem
from automl_core.ranking import best_first, crowding, fronts
from automl_core.testing.doubles import ToySpace
from automl_core.types import Objective, Outcome
from automl_searchers.asha import ASHA
from automl_searchers.fronts import Fronts
from automl_searchers.rungs import OneObjectiveRung, ParetoRung

LOSSES = st.lists(st.one_of(st.integers(0, 6).map(float), st.none()), min_size=1, max_size=40)
POINTS = st.integers(2, 3).flatmap(
    lambda objectives: st.lists(
        st.one_of(st.tuples(*[st.integers(0, 6).map(float)] * objectives), st.none()), min_size=1, max_size=40
    )
)


def tuples(losses):
    return [None if loss is None else (loss,) for loss in losses]


@given(losses=LOSSES, eta=st.integers(2, 5))
def test_a_rung_admits_what_counting_says(losses, eta):
    rung, seen = OneObjectiveRung(eta, least=1), []
    for one in tuples(losses):
        rung.add(one)
        seen.append(math.inf if one is None else one[0])
        for arrival, loss in enumerate(seen):
            better = sum(other < loss for other in seen)
            assert rung.admits(arrival) == (better < max(1, len(seen) // eta))


@given(losses=LOSSES, eta=st.integers(2, 5))
def test_a_rung_promotes_what_sorting_says(losses, eta):
    rung, seen, promoted = OneObjectiveRung(eta, least=0), [], []
    for trial, one in enumerate(tuples(losses)):
        arrival = rung.add(one)
        assert arrival == trial
        if one is not None:
            rung.wait(arrival, trial)
        seen.append((math.inf if one is None else one[0], trial))
        best = [number for _, number in sorted(seen)[: len(seen) // eta]]
        expected = [number for number in best if number not in promoted and losses[number] is not None]
        while rung.can_promote():
            promoted.append(rung.promote())
            assert promoted[-1] == expected.pop(0)
        assert not expected


def order(points):
    """Arrivals, best first, as the core orders them; those without losses are left out."""
    width = next((len(point) for point in points if point is not None), 1)
    ordered = best_first([(math.inf,) * width if point is None else point for point in points])
    return [arrival for arrival in ordered if points[arrival] is not None]


@settings(deadline=None)
@given(points=POINTS)
def test_fronts_kept_up_to_date_are_those_found_anew(points):
    kept = Fronts()
    for number, point in enumerate(points):
        if point is not None:
            kept.add(number, point)
        assert kept.best_first() == order(points[: number + 1])


@settings(deadline=None)
@given(points=POINTS, eta=st.integers(2, 5))
def test_a_pareto_rung_promotes_what_the_core_orders(points, eta):
    rung, promoted = ParetoRung(eta, least=0), []
    for trial, point in enumerate(points):
        arrival = rung.add(point)
        assert arrival == trial
        if point is not None:
            rung.wait(arrival, trial)
        expected = [one for one in order(points[: trial + 1])[: (trial + 1) // eta] if one not in promoted]
        while rung.can_promote():
            promoted.append(rung.promote())
            assert promoted[-1] == expected.pop(0)
        assert not expected


@settings(deadline=None)
@given(points=POINTS, eta=st.integers(2, 5))
def test_a_pareto_rung_admits_whom_too_few_precede(points, eta):
    rung = ParetoRung(eta, least=1)
    for point in points:
        rung.add(point)
    arrivals = [arrival for arrival, point in enumerate(points) if point is not None]
    place = {}
    for number, front in enumerate(fronts([points[arrival] for arrival in arrivals])):
        members = sorted(arrivals[position] for position in front)
        distances = crowding([points[arrival] for arrival in members])
        place |= {arrival: (number, -distance) for arrival, distance in zip(members, distances, strict=True)}
    for arrival in range(len(points)):
        precede = sum(other < place[arrival] for other in place.values()) if arrival in place else len(points)
        assert rung.admits(arrival) == (precede < max(1, len(points) // eta))


def test_the_least_crowded_of_a_front_goes_on():
    rung = ParetoRung(eta=2, least=1)
    front = [(0.0, 10.0), (1.0, 9.0), (2.0, 8.0), (6.0, 4.0), (10.0, 0.0)]
    for point in (*front, (10.0, 10.0), (11.0, 9.0)):
        rung.add(point)
    assert [rung.admits(arrival) for arrival in range(7)] == [True, False, False, True, True, False, False]


@pytest.mark.parametrize(("kind", "expected"), [("stop", [0, 1]), ("promote", [0, 1, 2])])
def test_asha_lets_the_least_crowded_of_the_front_go_on(kind, expected):
    searcher = ASHA(kind, eta=2)
    objectives = (Objective("accuracy"), Objective("flops", "min"))
    searcher.start(Problem(ToySpace(), objectives, 1, 2, 6, 0))
    jobs = [searcher.ask(trial) for trial in range(6)]
    values = [(0.9, 9.0), (0.5, 1.0), (0.7, 5.0), (0.8, 9.5), (0.4, 2.0), (0.6, 6.0)]
    for job, pair in zip(jobs, values, strict=True):
        searcher.tell(job, Outcome("done", 1, values=pair))
    going_on = []
    while (job := searcher.ask(6)) is not None:
        going_on.append(job.trial)
    assert sorted(going_on) == expected
