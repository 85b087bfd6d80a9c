"""Signalling: from "connect n1 with n33" to routes, labels and OpenFlow entries (thesis 4.3).

A virtual circuit is a chain of label swaps, one a switch. Everything here is computed;
nothing touches a switch. ``lab.emulation`` installs what is computed here.
"""

from lab.signalling.flows import delete_spec, entries_by_switch, flow_entries
from lab.signalling.labels import FIRST_LABEL, LAST_LABEL, LabelSpace
from lab.signalling.routing import Router, route
from lab.signalling.vc import Hop, Vc, VcRequest, open_vcs

__all__ = [
    "FIRST_LABEL",
    "LAST_LABEL",
    "Hop",
    "LabelSpace",
    "Router",
    "Vc",
    "VcRequest",
    "delete_spec",
    "entries_by_switch",
    "flow_entries",
    "open_vcs",
    "route",
]
