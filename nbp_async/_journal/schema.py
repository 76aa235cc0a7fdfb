"""The journal's tables. A change here needs a new VERSION, and an upgrade for older files."""

APPLICATION = 0x4E42_5031  # "NBP1": distinguishes our files from other databases
VERSION = 2

# Ids count up in the order of writing, so that order never depends on a clock.
CREATE = """
CREATE TABLE run (account TEXT NOT NULL, created REAL NOT NULL);

CREATE TABLE session (
    id INTEGER PRIMARY KEY, pid INTEGER NOT NULL, host TEXT NOT NULL,
    started REAL NOT NULL, ended REAL
);

CREATE TABLE item (
    id INTEGER PRIMARY KEY,
    identity BLOB NOT NULL,
    session INTEGER NOT NULL,           -- the one that claimed it last
    place INTEGER NOT NULL,             -- its index in that session's batch
    state TEXT NOT NULL,
    nonce TEXT NOT NULL,
    asked TEXT NOT NULL,                -- JSON: records.RequestRecord
    image TEXT,                         -- JSON: records.ImageRecord, where the state is stored
    reason TEXT NOT NULL DEFAULT '',
    message TEXT NOT NULL DEFAULT '',
    links TEXT,                         -- JSON: links of a paid image that is not here yet
    expires REAL
);
CREATE INDEX item_claim ON item (identity, session, id);
CREATE INDEX item_open ON item (state) WHERE state IN ('armed', 'submitted', 'answered');

CREATE TABLE attempt (
    item INTEGER NOT NULL, number INTEGER NOT NULL,
    price TEXT NOT NULL, most TEXT NOT NULL, armed_at REAL NOT NULL, stem TEXT NOT NULL,
    links TEXT, expires REAL, request_id TEXT NOT NULL DEFAULT '',
    billing TEXT, cost TEXT, settled_at REAL,   -- NULL while it may be out
    record TEXT,                                -- JSON: models.Attempt
    handle TEXT,                                -- JSON: Handle, once it is known
    PRIMARY KEY (item, number)
) WITHOUT ROWID;

CREATE TABLE batch (name TEXT PRIMARY KEY, record TEXT NOT NULL);
"""

UPGRADES = {
    1: """
ALTER TABLE attempt ADD COLUMN handle TEXT;
CREATE TABLE batch (name TEXT PRIMARY KEY, record TEXT NOT NULL);
DROP INDEX item_open;
CREATE INDEX item_open ON item (state) WHERE state IN ('armed', 'submitted', 'answered');
""",
}
"""By version: the statements that bring a journal to the next version."""

# One connection writes, all others only read: SQLite before 3.51.3 may damage a file when two
# connections reset its write-ahead log at the same time.
# synchronous=FULL: if a power cut took an armed row back, its request would be paid twice in
# silence.
# locking_mode=EXCLUSIVE is not used: readers (`nbp show`) may read while a run goes on.
PRAGMAS = (
    "PRAGMA journal_mode=WAL",
    "PRAGMA synchronous=FULL",
    "PRAGMA journal_size_limit=67108864",
    "PRAGMA mmap_size=0",
    "PRAGMA busy_timeout=5000",
)
