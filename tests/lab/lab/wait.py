"""Waiting for conditions instead of for time."""

import os
import time

from .errors import LabError

# A loaded or slow box: every patience of every test is multiplied by this.
PATIENCE = float(os.environ.get("P2PRC_LAB_PATIENCE", "1"))


def wait_until(predicate, timeout, what, interval=0.05):
    """Returns the first true value of predicate(); a LabError it raises counts as not yet. `what` completes "waited for"."""
    deadline = time.monotonic() + timeout * PATIENCE
    last = None
    while True:
        try:
            value = predicate()
            if value:
                return value
            last = f"last value: {value!r}"
        except LabError as error:
            last = f"last error: {error}"
        if time.monotonic() >= deadline:
            raise LabError(f"waited {timeout:g} s for {what}; {last}")
        time.sleep(interval)
