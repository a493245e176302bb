"""A house of real machines on one machine: systemd as PID 1, NAT, power cuts, cut cables. See ../README.md."""

from .errors import LabError
from .house import Lab
from .machine import Machine, Result
from .wait import wait_until

__all__ = ["Lab", "LabError", "Machine", "Result", "wait_until"]
