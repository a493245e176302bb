#!/usr/bin/python3
"""Shows bad news of the fleet, such as a process that failed, as a notification on the desktop: notify.py [KIND]...

Debian packages: python3-dbus, python3-gi. KIND names the events to show, as the table in docs/dbus.md has them. Without a desktop it prints
them.
"""

import sys

import dbus
from dbus.mainloop.glib import DBusGMainLoop
from gi.repository import GLib

BAD_NEWS = ["process-failed", "node-lost", "domain-down", "edge-down"]
KINDS = BAD_NEWS + ["process-running", "process-stopped", "process-killed", "node-joined", "node-back", "node-removed", "domain-live", "edge-up"]
wanted = sys.argv[1:] or BAD_NEWS


def show(text):
    try:
        desktop = dbus.SessionBus().get_object("org.freedesktop.Notifications", "/org/freedesktop/Notifications")
        desktop.Notify("p2prc", dbus.UInt32(0), "network-server", "p2prc", text, dbus.Array([], "s"), dbus.Dictionary({}, "sv"), -1,
                       dbus_interface="org.freedesktop.Notifications")
    except dbus.DBusException:
        print(text, flush=True)


def happened(_time, kind, _object, details):
    if kind in wanted:
        show(details["text"])


def main():
    for kind in wanted:
        if kind not in KINDS:
            sys.exit(f"notify.py: there is no kind of event '{kind}'; the kinds are {', '.join(sorted(KINDS))}")
    DBusGMainLoop(set_as_default=True)
    # Wherever p2prcd runs now or later: the signal needs no object that is there already.
    dbus.SystemBus().add_signal_receiver(happened, "Event", "org.p2prc1.Manager", "org.p2prc1", "/org/p2prc1")
    GLib.MainLoop().run()


if __name__ == "__main__":
    main()
