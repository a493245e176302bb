"""python3 -m lab.keeper RUN: waits on standard input for the owner of a run to be gone, then undoes what is left of the run."""

import signal
import sys

from .record import Record


def main():
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    sys.stdin.buffer.read()
    record = Record.load(sys.argv[1])
    if record and not record.state["kept"]:
        record.undo()


if __name__ == "__main__":
    main()
