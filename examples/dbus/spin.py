#!/usr/bin/python3
"""Runs a command as a process of p2prc until it ends, says why it ended, and removes it: spin.py NAME COMMAND...

Debian package: python3-dbus. It has no event loop, so it asks now and then; watch.py has one, and is told.
"""

import sys
import time

import dbus

PATIENCE = 24 * 3600  # seconds; methods that wait for the work have no time limit of their own


def main(name, command):
    bus = dbus.SystemBus()
    manager = dbus.Interface(bus.get_object("org.p2prc1", "/org/p2prc1"), "org.p2prc1.Manager")
    # The keys of a process file; a table is a dictionary of its own.
    spec = dbus.Dictionary(
        {
            "name": name,
            "run": dbus.Dictionary({"command": dbus.Array(command, signature="s"), "restart": "no"}, signature="sv"),
        },
        signature="sv",
    )
    try:
        manager.SpinProcess(spec, "", timeout=PATIENCE)
    except dbus.DBusException as error:
        # Failed: it was spun, and has ended before it was ready (two seconds). After every other error there is no process of ours.
        if error.get_dbus_name() != "org.p2prc1.Error.Failed":
            raise
    try:
        while (process := manager.ProcessInformation(name))["state"] not in ("stopped", "failed"):
            time.sleep(0.2)
        reason = process.get("reason", {})
        print(f"{name} is {process['state']}: {reason.get('kind', 'no reason')} {reason.get('code', '')}".rstrip())
    finally:
        manager.KillProcess(name, timeout=PATIENCE)


if __name__ == "__main__":
    if len(sys.argv) < 3:
        sys.exit(__doc__.splitlines()[0])
    try:
        main(sys.argv[1], sys.argv[2:])
    except dbus.DBusException as error:
        # org.p2prc1.Error.Conflict and its like; the text is what p2prc prints.
        sys.exit(f"{error.get_dbus_name()}: {error.get_dbus_message()}")
