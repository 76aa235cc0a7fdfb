"""The journal's tables. A change here needs a new VERSION, and an upgrade for older files."""

APPLICATION = 0x4E42_5031  # "NBP1": distinguishes our files from other databases
VERSION = 5

# See `run_queue`, and `postgres_queue_schema` for what the columns mean.
_QUEUE = """
ALTER TABLE run ADD COLUMN turn INTEGER NOT NULL DEFAULT 0;
ALTER TABLE run ADD COLUMN paused TEXT NOT NULL DEFAULT '';
ALTER TABLE item ADD COLUMN ticket TEXT;
ALTER TABLE item ADD COLUMN payer TEXT;
ALTER TABLE item ADD COLUMN day TEXT;
ALTER TABLE item ADD COLUMN priority INTEGER NOT NULL DEFAULT 0;
ALTER TABLE item ADD COLUMN turn INTEGER NOT NULL DEFAULT 0;
ALTER TABLE item ADD COLUMN not_before REAL;
ALTER TABLE item ADD COLUMN reserved TEXT NOT NULL DEFAULT '0';
ALTER TABLE item ADD COLUMN cancelled INTEGER NOT NULL DEFAULT 0;
ALTER TABLE item ADD COLUMN changed INTEGER NOT NULL DEFAULT 0;
CREATE UNIQUE INDEX item_ticket ON item (ticket) WHERE ticket NOT NULL;
CREATE INDEX item_queue ON item (priority DESC, turn, id) WHERE state = 'queued';
CREATE INDEX item_of_payer ON item (payer, id) WHERE payer NOT NULL;
CREATE INDEX item_changed ON item (changed) WHERE ticket NOT NULL;

CREATE TABLE purse (
    payer TEXT NOT NULL, day TEXT NOT NULL,
    held TEXT NOT NULL, spent TEXT NOT NULL, maybe TEXT NOT NULL, images INTEGER NOT NULL,
    last_turn INTEGER NOT NULL, PRIMARY KEY (payer, day)
) WITHOUT ROWID;
CREATE TABLE budget (
    payer TEXT NOT NULL, period TEXT NOT NULL, dollars TEXT NOT NULL, PRIMARY KEY (payer, period)
) WITHOUT ROWID;
CREATE TABLE reference (digest BLOB PRIMARY KEY, data BLOB NOT NULL);
"""

_NOTES = "CREATE TABLE note (name TEXT PRIMARY KEY, text TEXT NOT NULL) WITHOUT ROWID;"

NAMES_ACCOUNTS = 5
"""The first version whose attempts say which of several accounts was asked."""

_ACCOUNTS = "ALTER TABLE attempt ADD COLUMN account TEXT NOT NULL DEFAULT '';"

# Ids count up in the order of writing, so that order never depends on a clock.
CREATE = f"""
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
{_QUEUE}
{_NOTES}
{_ACCOUNTS}
"""

UPGRADES = {
    1: """
ALTER TABLE attempt ADD COLUMN handle TEXT;
CREATE TABLE batch (name TEXT PRIMARY KEY, record TEXT NOT NULL);
DROP INDEX item_open;
CREATE INDEX item_open ON item (state) WHERE state IN ('armed', 'submitted', 'answered');
""",
    2: _QUEUE,
    3: _NOTES,
    4: _ACCOUNTS,
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
