"""Regroup: how the members agree on who is left after a failure (thesis 7.7.2).

:mod:`~lab.stacks.mscs.regroup.rules` holds the rules, :mod:`~lab.stacks.mscs.regroup.state` what
nodes know and tell each other, :mod:`~lab.stacks.mscs.regroup.engine` the five phases.
"""
