#!/usr/bin/python3
"""Prints what happens to the processes of the fleet, as it happens: watch.py

Debian packages: python3-dbus, python3-gi. It asks for the state once, and from then on is told of changes by signals. For news on the desktop
see notify.py.
"""

import dbus
from dbus.mainloop.glib import DBusGMainLoop
from gi.repository import GLib

PROCESS = "org.p2prc1.Process"
names = {}  # of processes, by their objects


def reason_of(properties):
    reason = properties.get("Reason", {})
    return f" ({reason['kind']} {reason.get('code', '')}".rstrip() + ")" if reason else ""


def appeared(path, interfaces):
    if properties := interfaces.get(PROCESS):
        names[path] = properties["Name"]
        print(f"{names[path]}: {properties['State']}", flush=True)


def went(path, interfaces):
    if PROCESS in interfaces:
        print(f"{names.pop(path, path)}: gone", flush=True)


def changed(_interface, properties, _invalidated, path):
    # Only what has changed is in the signal.
    if "State" in properties:
        print(f"{names.get(path, path)}: {properties['State']}{reason_of(properties)}", flush=True)


def main():
    DBusGMainLoop(set_as_default=True)
    bus = dbus.SystemBus()
    tree = dbus.Interface(bus.get_object("org.p2prc1", "/org/p2prc1", follow_name_owner_changes=True),
                          "org.freedesktop.DBus.ObjectManager")
    # First listen, then ask: nothing happens in between unseen.
    tree.connect_to_signal("InterfacesAdded", appeared)
    tree.connect_to_signal("InterfacesRemoved", went)
    bus.add_signal_receiver(changed, "PropertiesChanged", "org.freedesktop.DBus.Properties", "org.p2prc1", path_keyword="path", arg0=PROCESS)
    for path, interfaces in tree.GetManagedObjects().items():
        appeared(path, interfaces)
    GLib.MainLoop().run()


if __name__ == "__main__":
    main()
