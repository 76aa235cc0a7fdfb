"""Merge the items of other journals into one: each once, with all its attempts.

An item is known by its nonce, which is drawn once, when the item is made. One that is in both has
perhaps gone on in one of them, or in both:

| of an item that is in both | is kept |
| --- | --- |
| an attempt that both have | once, as the one that knows more says: that it was billed, or not |
| an attempt that one of them has | beside the others, under the next number |
| its state | the one that is nearest to an image, if its attempts still say so |
| two images | both files; the one that was there first is the outcome |

An item whose file names another item has taken gets a mark into its own.
"""

import json
import sqlite3
from collections.abc import Callable, Iterator
from decimal import Decimal
from pathlib import Path
from typing import Any, NamedTuple, Protocol

import msgspec

from nbp_async._journal import records
from nbp_async._journal.compatibility import version_of
from nbp_async._journal.limit_records import FIRST_WITH_NOTES, is_newer
from nbp_async._journal.records import ImageRecord

Columns = dict[str, Any]
_NEAREST = ("stored", "answered", "submitted", "armed", "failed", "planned")
_BATCH_STATES = ("planned", "creating", "created", "over")
_MARK = 6  # digits of an item's nonce in the names of its files


class MovedFiles(Protocol):
    """Where the files of a journal are after the merge."""

    def moved(self, path: str, mark: str) -> str:
        """What the merged journal calls the file that this one calls `path`."""
        ...

    def known(self, path: str, new: str) -> None:
        """The merged journal has that file already, as `new`; as "", it needs it no more."""
        ...

    def restem(self, stem: str, mark: str) -> None:
        """Files that are named so, and in no item, get this mark as well."""
        ...

    def missing(self) -> list[tuple[Path, Path]]:
        """What is still to be brought, with the files that no item names, and where to."""
        ...


class MergeSource(NamedTuple):
    """A journal to merge: its name for people, a connection that reads it, and its files."""

    name: str
    db: sqlite3.Connection
    files: MovedFiles


class BoughtTwice(msgspec.Struct, frozen=True):
    """A prompt that several runs have bought.

    Attributes:
        index: Its place in the batch, from 0.
        prompt: Its text.
        spent: US dollars that all of them have certainly paid for it.
        maybe: What may have been charged in addition.
        runs: Their folders or journals.
    """

    index: int
    prompt: str
    spent: Decimal
    maybe: Decimal
    runs: tuple[str, ...]


class ItemMerge:
    """One merge into the journal of `db`, within a transaction that the caller begins and ends.

    Attributes:
        added: Items that the journal did not have.
        changed: Something was written.
    """

    def __init__(self, db: sqlite3.Connection, name: str, sources: list[MergeSource]) -> None:
        self._db = db
        self._name = name
        self._sources = sources
        self._session = 0
        self._columns: dict[str, list[str]] = {}  # by table
        self._both: dict[int, list[str]] = {}  # items that each of these runs went on to buy
        self.added = 0
        self.changed = False

    def run(self) -> None:
        """Merge all sources."""
        for statement in _PREPARE:
            self._db.execute(statement)
        for number, source in enumerate(self._sources):
            self._add_sessions(source.db)
            self._add_batches(source.db)
            self._add_notes(source.db)
            self._db.executemany(
                "INSERT INTO found VALUES (?, ?, ?)",
                ((place, number, item) for item, place in source.db.execute(_PLACES)),
            )
        newest = self._db.execute("SELECT coalesce(max(id), 0) FROM session").fetchone()
        self._session = int(newest[0])
        # By their places: then the merged journal has the order of the prompts.
        for number, item in self._db.execute(_BY_PLACE):
            self._take(number, item)
        if self.changed:
            self._db.execute(_DROP_PLANNED)
            for statement in _NEAREST_FIRST:
                self._db.execute(statement, {"session": self._session})

    def bought_twice(self) -> Iterator[BoughtTwice]:
        """What more than one run has bought, or may have."""
        for index, text, ids, origins in self._db.execute(_TWICE).fetchall():
            runs = [self._run_name(int(number)) for number in str(origins).split(",")]
            yield self._twice(index, text, str(ids), runs)
        for item, runs in self._both.items():
            row = self._db.execute(_ITEM_TEXT, (item,)).fetchone()
            yield self._twice(row[0], row[1], str(item), runs)

    def _run_name(self, number: int) -> str:
        return self._name if number < 0 else self._sources[number].name

    def _twice(self, index: int, text: str, ids: str, runs: list[str]) -> BoughtTwice:
        spent = maybe = Decimal(0)
        query = f"SELECT billing, coalesce(cost, most) FROM attempt WHERE item IN ({ids})"
        for billing, dollars in self._db.execute(query):
            spent += Decimal(dollars) if billing == "yes" else 0
            maybe += Decimal(dollars) if billing in ("maybe", None) else 0
        return BoughtTwice(index, text, spent, maybe, tuple(dict.fromkeys(runs)))

    def _take(self, number: int, item: int) -> None:
        source = self._sources[number]
        row = _rows(source.db, "SELECT * FROM item WHERE id = ?", item)[0]
        attempts = _rows(source.db, "SELECT * FROM attempt WHERE item = ? ORDER BY number", item)
        key = row["nonce"] or row["identity"].hex()  # a damaged item has no nonce
        known = self._db.execute("SELECT item FROM known WHERE key = ?", (key,)).fetchone()
        if known is not None:
            self._db.execute("UPDATE known SET origin = ? WHERE key = ?", (number, key))
            self._reconcile(source, known[0], row, attempts)
        elif row["state"] != "planned" or attempts or not self._has_another(row):
            made = self._insert_item(source.files, row, attempts, key[:_MARK])
            self._db.execute("INSERT INTO known VALUES (?, ?, ?)", (key, made, number))
            self.added += 1

    def _has_another(self, row: Columns) -> bool:
        query = "SELECT 1 FROM item WHERE identity = ? AND place = ?"
        return self._db.execute(query, (row["identity"], row["place"])).fetchone() is not None

    def _insert_item(
        self, files: MovedFiles, row: Columns, attempts: list[Columns], mark: str
    ) -> int:
        mark = mark if any(map(self._is_taken, attempts)) else ""
        image = _moved_image(row["image"], lambda path: files.moved(path, mark))
        made = self._insert("item", {**row, "id": None, "session": self._session, "image": image})
        for attempt in attempts:
            self._insert_attempt(files, made, attempt, attempt["number"], mark)
        return made

    def _is_taken(self, attempt: Columns) -> bool:
        query = "SELECT 1 FROM stems WHERE stem = ?"
        return self._db.execute(query, (attempt["stem"],)).fetchone() is not None

    def _insert_attempt(
        self, files: MovedFiles, item: int, attempt: Columns, number: int, mark: str
    ) -> None:
        stem = attempt["stem"]
        if mark:
            files.restem(stem, mark)
            stem = f"{stem}-{mark}"
        record = _moved_record(attempt["record"], number, lambda path: files.moved(path, ""))
        self._insert(
            "attempt", {**attempt, "item": item, "number": number, "stem": stem, "record": record}
        )
        self._db.execute("INSERT OR IGNORE INTO stems VALUES (?)", (stem,))

    def _reconcile(
        self, source: MergeSource, item: int, row: Columns, attempts: list[Columns]
    ) -> None:
        """Merge an item that the journal has already."""
        ours = _rows(self._db, "SELECT * FROM item WHERE id = ?", item)[0]
        there = _rows(self._db, "SELECT * FROM attempt WHERE item = ? ORDER BY number", item)
        spare, new = list(there), []
        for attempt in attempts:
            same = next((each for each in spare if _is_same(each, attempt)), None)
            if same is None:
                new.append(attempt)
                continue
            spare.remove(same)
            if same["stem"] != attempt["stem"]:
                source.files.restem(attempt["stem"], same["stem"][-_MARK:])
            self._settle(source.files, same, attempt)
        number = max((each["number"] for each in there), default=0)
        for attempt in new:
            number += 1
            self._insert_attempt(source.files, item, attempt, number, "")
        self._choose_state(source, ours, row)
        if any(map(_may_be_billed, spare)) and any(map(_may_be_billed, new)):
            self._both.setdefault(item, [self._name]).append(source.name)

    def _settle(self, files: MovedFiles, ours: Columns, theirs: Columns) -> None:
        """Let an attempt that both have say what the one knows that knows more."""
        if _knowledge(theirs) <= _knowledge(ours):
            if theirs["record"] is not None:
                unread = records.decode_attempt(theirs["record"]).unread
                kept = records.decode_attempt(ours["record"]).unread
                files.known(unread, kept)
            return
        record = _moved_record(theirs["record"], ours["number"], lambda path: files.moved(path, ""))
        names = ("billing", "cost", "settled_at", "links", "expires", "request_id", "handle")
        values = {name: theirs.get(name) for name in names}
        self._update("attempt", {**values, "record": record}, ours, ("item", "number"))

    def _choose_state(self, source: MergeSource, ours: Columns, theirs: Columns) -> None:
        if _digest(theirs) is not None and _digest(ours) == _digest(theirs):
            _pair(source.files, ours["image"], theirs["image"])
            image = ours["image"]
        else:
            image = _moved_image(theirs["image"], lambda path: source.files.moved(path, ""))
        open_now = self._db.execute(_IS_OPEN, (ours["id"],)).fetchone()[0]
        if _distance(theirs["state"], open_now) < _distance(ours["state"], open_now):
            names = ("state", "reason", "message", "links", "expires")
            values = {**{name: theirs[name] for name in names}, "image": image}
            self._update("item", values, ours, ("id",))

    def _add_sessions(self, db: sqlite3.Connection) -> None:
        for row in _rows(db, "SELECT * FROM session ORDER BY id"):
            same = self._db.execute(_SAME_SESSION, (row["pid"], row["host"], row["started"]))
            if same.fetchone() is None:
                self._insert("session", {**row, "id": None})

    def _add_batches(self, db: sqlite3.Connection) -> None:
        if version_of(db) < 2:
            return
        for row in _rows(db, "SELECT * FROM batch ORDER BY rowid"):
            query = "SELECT record FROM batch WHERE name = ?"
            ours = self._db.execute(query, (row["name"],)).fetchone()
            if ours is None:
                self._insert("batch", row)
            elif _age(row["record"]) > _age(ours[0]):
                self._update("batch", {"record": row["record"]}, row, ("name",))

    def _add_notes(self, db: sqlite3.Connection) -> None:
        for row in _rows(db, "SELECT * FROM note") if version_of(db) >= FIRST_WITH_NOTES else ():
            query = "SELECT text FROM note WHERE name = ?"
            ours = self._db.execute(query, (row["name"],)).fetchone()
            if ours is None:
                self._insert("note", row)
            elif is_newer(row["text"], ours[0]):
                self._update("note", {"text": row["text"]}, row, ("name",))

    def _insert(self, table: str, row: Columns) -> int:
        self.changed = True
        if table not in self._columns:
            info = self._db.execute(f"PRAGMA table_info({table})")
            self._columns[table] = [column[1] for column in info]
        names = [name for name in self._columns[table] if name in row]
        marks = ", ".join("?" * len(names))
        made = self._db.execute(
            f"INSERT INTO {table} ({', '.join(names)}) VALUES ({marks})",
            [row[name] for name in names],
        )
        return made.lastrowid or 0

    def _update(self, table: str, values: Columns, row: Columns, keys: tuple[str, ...]) -> None:
        self.changed = True
        self._db.execute(
            f"UPDATE {table} SET {', '.join(f'{name} = ?' for name in values)} "
            f"WHERE {' AND '.join(f'{key} = ?' for key in keys)}",
            [*values.values(), *(row[key] for key in keys)],
        )


def _rows(db: sqlite3.Connection, query: str, *values: object) -> list[Columns]:
    found = db.execute(query, values)
    names = [column[0] for column in found.description]
    return [dict(zip(names, row, strict=True)) for row in found]


def _is_same(ours: Columns, theirs: Columns) -> bool:
    """One attempt in two journals; its number and the names of its files may differ."""
    return all(ours[name] == theirs[name] for name in ("armed_at", "price", "most"))


def _may_be_billed(attempt: Columns) -> bool:
    return bool(attempt["billing"] != "no")


def _digest(row: Columns) -> bytes | None:
    return None if row["image"] is None else records.decode_image_record(row["image"]).digest


def _knowledge(attempt: Columns) -> int:
    """How much is known of it: whether it was billed, more than that it may be, or was sent."""
    if attempt["record"] is not None:
        return {"yes": 5, "no": 4}.get(attempt["billing"], 3)
    return 2 if attempt["links"] is not None else int(attempt.get("handle") is not None)


def _distance(state: str, is_open: int) -> float:
    """How far an item is from its image; one that was out, and of which nothing is, is far."""
    is_stale = state in ("armed", "submitted") and not is_open
    return _NEAREST.index("failed") + 0.5 if is_stale else _NEAREST.index(state)


def _age(record: str) -> int:
    """How far a batch job has come."""
    state = json.loads(record).get("state")
    return _BATCH_STATES.index(state) if state in _BATCH_STATES else -1


def _moved_image(text: str | None, moved: Callable[[str], str]) -> str | None:
    if text is None:
        return None
    image = records.decode_image_record(text)
    extras = tuple(_with_path(extra, moved) for extra in image.extras)
    return msgspec.json.encode(
        msgspec.structs.replace(_with_path(image, moved), extras=extras)
    ).decode()


def _with_path(image: ImageRecord, moved: Callable[[str], str]) -> ImageRecord:
    return msgspec.structs.replace(image, path=moved(image.path))


def _moved_record(text: str | None, number: int, moved: Callable[[str], str]) -> str | None:
    if text is None:
        return None
    attempt = records.decode_attempt(text)
    unread = moved(attempt.unread)
    return records.encode_attempt(msgspec.structs.replace(attempt, number=number, unread=unread))


def _pair(files: MovedFiles, ours: str, theirs: str) -> None:
    """The files of an image that both have are there already."""
    kept, other = records.decode_image_record(ours), records.decode_image_record(theirs)
    for old, new in zip((other, *other.extras), (kept, *kept.extras), strict=False):
        files.known(old.path, new.path)


_PLACES = "SELECT id, place FROM item"
_SAME_SESSION = "SELECT 1 FROM session WHERE pid = ? AND host = ? AND started = ?"
_IS_OPEN = "SELECT count(*) FROM attempt WHERE item = ? AND record IS NULL"
_ITEM_TEXT = "SELECT place, json_extract(asked, '$.text') FROM item WHERE id = ?"
_KEY = "iif(nonce = '', lower(hex(identity)), nonce)"
_PREPARE = (
    "CREATE TEMP TABLE found (place INTEGER, source INTEGER, item INTEGER)",
    "CREATE TEMP TABLE known (key TEXT PRIMARY KEY, item INTEGER, origin INTEGER)",
    "CREATE TEMP TABLE stems (stem TEXT PRIMARY KEY)",
    f"INSERT OR IGNORE INTO known SELECT {_KEY}, id, -1 FROM item",
    "INSERT OR IGNORE INTO stems SELECT stem FROM attempt",
)
_BY_PLACE = "SELECT source, item FROM found ORDER BY place, source, item"

# A prompt that was drawn, and never sent, and that another run has drawn as well.
_DROP_PLANNED = """
DELETE FROM item WHERE state = 'planned'
AND NOT EXISTS (SELECT 1 FROM attempt WHERE attempt.item = item.id)
AND EXISTS (SELECT 1 FROM item AS other WHERE other.identity = item.identity
    AND other.place = item.place AND other.id <> item.id
    AND (other.state <> 'planned' OR other.id < item.id))
"""
# Of equal items the next call takes those of the latest session first: so it finds the images
# before it finds what it would send, or must not send; and one of each place before their doubles.
_LAYER = """
CASE state WHEN 'stored' THEN 0 WHEN 'answered' THEN 1 WHEN 'submitted' THEN 2 WHEN 'armed' THEN 3
    WHEN 'planned' THEN 6 ELSE (CASE WHEN EXISTS (SELECT 1 FROM attempt WHERE
        attempt.item = item.id AND coalesce(billing, 'maybe') <> 'no') THEN 4 ELSE 5 END) END
"""
_NEAREST_FIRST = (
    "CREATE TEMP TABLE ranked (id INTEGER PRIMARY KEY, layer INTEGER)",
    f"""
INSERT INTO ranked SELECT id, 10 * layer + min(9, row_number() OVER (
    PARTITION BY identity, place, layer ORDER BY id) - 1)
FROM (SELECT id, identity, place, {_LAYER} AS layer FROM item WHERE identity IN (
    SELECT identity FROM item GROUP BY identity HAVING count(*) > 1))
""",
    """
UPDATE item SET session = :session - (SELECT layer FROM ranked WHERE ranked.id = item.id)
WHERE id IN (SELECT id FROM ranked)
""",
)
_TWICE = """
SELECT place, json_extract(asked, '$.text'), group_concat(id), group_concat(origin)
FROM item JOIN known ON known.item = item.id
WHERE EXISTS (SELECT 1 FROM attempt WHERE attempt.item = item.id
    AND coalesce(billing, 'maybe') <> 'no')
GROUP BY identity, place HAVING count(DISTINCT origin) > 1 ORDER BY place
"""
