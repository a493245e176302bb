"""A root in the wrong hands: what its registry says is written into its database, past every rule.

For tests of what a home believes: `with conquered(lab.root) as registry: registry.put("/nodes/home1", {...})`. When the block ends
p2prcd runs again, and the homes are fed what was written as if the registry had decided it.
"""

import contextlib
import json
import os
import sqlite3

from .errors import LabError

FILE = "/var/lib/p2prc/registry.db"
UNITS = ["p2prcd.service", "p2prcd-control.socket"]
AGREED = "registry"   # the table that every node has a copy of
SECRETS = "private"   # the registry's own: invitations


@contextlib.contextmanager
def conquered(root, reset=False):
    """Stops p2prcd of the machine, hands out its registry, and starts p2prcd again.

    The homes get the changes after the revision that they have. With `reset` the store looks restored from a copy: it takes another
    identity, and the homes get the whole state.
    """
    # The control socket as well: it would start p2prcd at the next connection.
    root.run(["systemctl", "stop", *UNITS])
    try:
        with contextlib.closing(ConqueredRegistry(f"{root.root}{FILE}")) as registry:
            yield registry
            registry.commit()
        if not reset:
            _seal(f"{root.root}{FILE}")
    finally:
        root.run(["systemctl", "reset-failed", *UNITS], check=False)
        root.run(["systemctl", "start", *reversed(UNITS)])


class ConqueredRegistry:
    """The documents of a registry that is not running, by key. All changes become one revision."""

    def __init__(self, path):
        self.database = sqlite3.connect(path, isolation_level=None)
        self.database.execute("BEGIN IMMEDIATE")
        self.revision = self.database.execute("SELECT value FROM meta WHERE name = 'revision'").fetchone()[0] + 1
        self.changes = 0

    def keys(self, prefix="", table=AGREED):
        """All keys that begin so."""
        rows = self.database.execute("SELECT key FROM items WHERE tab = ? ORDER BY key", (table.encode(),))
        return [key.decode() for (key,) in rows if key.decode().startswith(prefix)]

    def get(self, key, table=AGREED):
        """The document of a key, or None."""
        row = self._row("value", key, table)
        return None if row is None else json.loads(row[0])

    def put(self, key, document, table=AGREED):
        """Writes a document: anything that JSON can say. Bytes are written as they are (the registry itself refuses to open what is no JSON)."""
        value = document if isinstance(document, bytes) else json.dumps(document).encode()
        row = self._row("created", key, table)
        created = self.revision if row is None else row[0]
        self.database.execute("INSERT OR REPLACE INTO items (tab, key, value, revision, sub, created, lease) VALUES (?, ?, ?, ?, ?, ?, 0)",
                              (table.encode(), key.encode(), value, self.revision, self.changes, created))
        self._note(key, value, table)

    def delete(self, key, table=AGREED):
        """Removes a key."""
        if self._row("key", key, table) is None:
            raise LabError(f"the registry has no {key}; it has {', '.join(self.keys(table=table))}")
        self.database.execute("DELETE FROM items WHERE tab = ? AND key = ?", (table.encode(), key.encode()))
        self._note(key, None, table)

    def commit(self):
        """Makes one revision of what was changed."""
        if self.changes:
            self.database.execute("UPDATE meta SET value = ? WHERE name = 'revision'", (self.revision,))
        self.database.execute("COMMIT")

    def close(self):
        """Gives the file back; what was not committed is gone."""
        self.database.close()

    def _row(self, column, key, table):
        return self.database.execute(f"SELECT {column} FROM items WHERE tab = ? AND key = ?", (table.encode(), key.encode())).fetchone()

    def _note(self, key, value, table):
        # What a member that was away is fed when it comes back (store/sqlite/watch.cpp).
        if table == AGREED:
            self.database.execute("INSERT INTO history (revision, sub, tab, key, value) VALUES (?, ?, ?, ?, ?)",
                                  (self.revision, self.changes, table.encode(), key.encode(), value))
        self.changes += 1


def _seal(path):
    """Vouches for the file as a store that was closed in order does (store/sqlite/file.h); without it the store takes another identity."""
    info = os.stat(path)
    with open(f"{path}.closed", "w", encoding="ascii") as file:
        file.write(f"{info.st_ino} {info.st_ctime_ns // 10**9}.{info.st_ctime_ns % 10**9} {info.st_size}\n")
