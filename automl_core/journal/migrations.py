"""The journal's schema, as numbered steps. A step is never edited once released; a new one is appended."""

from __future__ import annotations

MIGRATIONS: tuple[str, ...] = (
    """
    CREATE TABLE studies (
        id INTEGER PRIMARY KEY AUTOINCREMENT,  -- never given twice: checkpoints lie under it
        name TEXT NOT NULL UNIQUE,
        created REAL NOT NULL,
        spec TEXT NOT NULL,        -- JSON: everything that rebuilds the study
        status TEXT NOT NULL,      -- running | finished | interrupted | time-limit | failed
        owner TEXT NOT NULL DEFAULT ''
    );
    CREATE TABLE events (          -- what a study's state is the fold of
        study INTEGER NOT NULL REFERENCES studies (id) ON DELETE CASCADE,
        sequence INTEGER NOT NULL,
        kind TEXT NOT NULL,        -- ask | tell | extend | instruct
        payload TEXT NOT NULL,     -- JSON
        at REAL NOT NULL,          -- seconds on the executor's clock: since the epoch, or simulated
        PRIMARY KEY (study, sequence)
    ) WITHOUT ROWID;
    CREATE TABLE trials (          -- what `show` and `best` read; written in the events' transactions
        study INTEGER NOT NULL REFERENCES studies (id) ON DELETE CASCADE,
        number INTEGER NOT NULL,
        role TEXT NOT NULL,
        label TEXT NOT NULL,
        configuration TEXT NOT NULL,
        instruction TEXT NOT NULL, -- JSON; what a support trial trains
        status TEXT NOT NULL,      -- waiting | running | paused | stopped | completed | failed | diverged | infeasible
        budget INTEGER NOT NULL,
        value REAL,
        loss REAL,                 -- the value turned so that smaller is better
        metrics TEXT NOT NULL,
        cost REAL NOT NULL,
        attempts INTEGER NOT NULL,
        error TEXT NOT NULL,
        PRIMARY KEY (study, number)
    ) WITHOUT ROWID;
    """,
    """
    ALTER TABLE trials ADD COLUMN objectives TEXT NOT NULL DEFAULT '[]';  -- JSON: the values, where there are several
    """,
)
