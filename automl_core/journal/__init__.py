"""The journal: every ask and tell of every study of a workspace, in one SQLite file."""

from automl_core.journal.database import Database
from automl_core.journal.study import StudyJournal, StudyRow, TrialUpdate

__all__ = ["Database", "StudyJournal", "StudyRow", "TrialUpdate"]
