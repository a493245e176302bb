"""The measure of a large fleet (bench/scale.py), with a small one: everything that it asks for is done and comes out right."""

import importlib.util
import os

SOURCE = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
MEMBERS, PROCESSES, DOMAINS = 20, 100, 120


def _bench():
    spec = importlib.util.spec_from_file_location("scale", f"{SOURCE}/bench/scale.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


scale = _bench()
MACHINES = scale.MACHINES


def test_a_small_fleet_is_measured(lab):
    found = scale.measure(lab, MEMBERS, PROCESSES, DOMAINS, rounds=1, sample=0.2)
    assert found["up"] == MEMBERS, found
    # Every member is fed what a commit changes, and not the rest.
    for name in ("spin at a home", "map-domain at a home", "kill at a home"):
        assert 200 < found["many"][name]["fed_least"] < 10_000, (name, found["many"][name])
    # A link without anything gets everything.
    assert found["snapshot"]["bytes"] > 200 * (MEMBERS + 2 * PROCESSES + DOMAINS), found["snapshot"]
