"""Models of Ethernet networks, pure: what becomes of a frame, and when.

They are driven by an agenda of events in virtual time. The simulated world (:mod:`lab.world`) runs
it as fast as it can; the medium of a real network (:mod:`lab.emulation.medium`) runs it by the
clock. So collisions, load and faults between nodes are the same in both.

* ``agenda``, ``chance``     events in time, and what is drawn
* ``frames``                 sizes, and how much other traffic there is
* ``switch``, ``hub``        the two kinds of network, as the simulated world has them
* ``links``                  the links of a switch alone, where the switch itself is real
* ``paths``                  what is wrong between nodes
"""
