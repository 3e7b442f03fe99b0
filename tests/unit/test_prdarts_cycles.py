import pytest

from automl_core.errors import RequestError
from automl_prdarts.cycles import Schedule


def test_the_published_table_adds_up():
    table = Schedule(4)
    assert table.total == 100
    assert len(table) == 9
    assert table.trained == (4, 6, 6, 6, 6, 6, 4, 3, 2)
    assert table.dropped == (1, 3, 3, 3, 3, 2, 1, 1, 1)
    assert table.candidates == (6, 6, 6, 6, 6, 4, 3, 2, 1)
    assert table.epochs == (15, 15, 10, 10, 10, 10, 10, 10, 10)
    assert table.grace == (5, 5, 3, 3, 3, 3, 3, 3, 3)
    assert [table.begins(number) for number in range(9)] == [0, 15, 30, 40, 50, 60, 70, 80, 90]
    assert [table.is_last(number) for number in range(9)] == [False] * 8 + [True]


def test_an_edge_with_fewer_candidates_drops_fewer():
    table = Schedule(4)
    assert table.drops(1, 5) == 2
    assert table.drops(6, 3) == 0
    assert table.drops(6, 2) == 0


def test_one_cycle_is_a_table():
    assert Schedule(8, (50,), (0,), (1,), (0,)).dropped == (7,)


@pytest.mark.parametrize(
    ("rows", "told"),
    [
        (((3, 3), (1,), (2, 1), (0, 0)), r"2 of cycle_epochs, 1 of cycle_grace"),
        (((), (), (), ()), "of at least 1"),
        (((3, 3), (3, 0), (2, 1), (0, 0)), "cycle 1 has 3 grace epochs of 3"),
        (((3, 3), (0, -1), (2, 1), (0, 0)), "cycle 2 has -1 grace epochs"),
        (((3, 0), (0, 0), (2, 1), (0, 0)), "cycle 2 has 0 grace epochs of 0"),
        (((3, 3), (0, 0), (2, 2), (0, 0)), "cycle_candidates ends with 2"),
        (((3, 3), (0, 0), (3, 2), (0, 1)), "cycle_morphisms with 1"),
        (((3, 3), (0, 0), (3, 1), (3, 0)), "after cycle 1 there are to be 3 candidates, 3 of them new"),
        (((3, 3), (0, 0), (3, 1), (-1, 0)), "-1 of them new"),
        (((3, 3), (0, 0), (6, 1), (1, 0)), "cycle 1, which trains 4 candidates, 5 are to be left"),
        (((3, 3), (0, 0), (0, 1), (0, 0)), "to be 0 candidates"),
    ],
)
def test_a_table_that_cannot_be_carried_out_is_refused(rows, told):
    with pytest.raises(RequestError, match=told):
        Schedule(4, *rows)
