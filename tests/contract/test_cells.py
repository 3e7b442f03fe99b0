from automl_core.testing import SearchSpaceContract
from automl_spaces.cells import CellsDL, CellsDR, CellsUR


class TestCellsDL(SearchSpaceContract):
    def make_space(self):
        return CellsDL()


class TestCellsDR(SearchSpaceContract):
    samples = 20

    def make_space(self):
        return CellsDR(cells=3, channels=8, max_skips=1)


class TestCellsUR(SearchSpaceContract):
    samples = 20

    def make_space(self):
        return CellsUR(steps=3, cells=5)
