from automl_core.testing import SearcherContract
from automl_searchers.asha import ASHA


class TestStoppingASHA(SearcherContract):
    def make_searcher(self):
        return ASHA(kind="stop")


class TestPromotingASHA(SearcherContract):
    def make_searcher(self):
        return ASHA(kind="promote", eta=3)


class TestASHAWithOneRung(SearcherContract):
    min_budget = 5
    max_budget = 5

    def make_searcher(self):
        return ASHA()
