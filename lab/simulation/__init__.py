"""Scenarios on the simulator: the fabric model under an event queue, in virtual time.

The same scenario, routes and rules of sending as an emulation, the same observations out of it;
only that nothing is real. Repeatable bit for bit from the seed, on any machine.
"""
