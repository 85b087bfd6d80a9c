"""Runs one node of any stack, its core, over real sockets and files: in a container, or by hand.

    python3 -m lab.shell PLAN --node N --directory DIR [--quorum DIR] [--address-keeper SOCKET]
                         [--socket PATH]

``PLAN`` is the same file for all nodes (:mod:`lab.shell.plan`). ``DIR`` is the node's own:

========================== =======================================================================
``N.events.jsonl``         its event log (:mod:`lab.stacks.events`); a restart appends
``N.I.journal``            all that entered the core of incarnation I, if the plan asks for it
``node.sock``              where requests and controls are taken (:mod:`lab.shell.client`);
                           ``--socket`` names another place
``incarnation``            how often the node was started
``faults.json``            the faults that the shell itself carries out (:mod:`lab.shell.faults`)
``disk/``                  the node's own disk; the fault ``wipe`` empties it
========================== =======================================================================

A shell that starts before the plan's epoch waits for it, so that nodes can be started beforehand.
``--quorum`` is the directory that is the quorum volume, the same for all nodes. The process ends
with status 0 when it was told to stop (SIGTERM, or over the socket), 3 when the core halted the
node, 1 when it could not start, 70 when the core (or the shell) failed.

Only the standard library and msgspec are needed, and nothing else is imported: dozens of nodes
start at once on two processors.
"""
