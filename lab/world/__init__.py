"""The simulated world: hundreds of nodes of a stack in one process under virtual time.

It carries out the same plans as containers do, and leaves the same logs. Time, the order of
simultaneous events, loss, waits for a processor: all of it follows from the plan and its seed, bit
for bit, on any machine; a digest over whatever entered and left the cores proves it.

    from lab.stacks.plan import Action, Ask, CasePlan, Fault
    from lab.world import World, run_case

    plan = CasePlan(
        name="try", stack="mscs", nodes=4, over_s=60.0, options={"members": [1, 2, 3, 4]},
        actions=(Action(10.0, Fault("kill", nodes=(3,))), Action(30.0, Ask("status"))),
    )
    result = run_case(plan, checkers=CHECKERS, traffic=False)
    result.events       # list[Event] in order of time: what cores emit, started, halted, fault, ...
    result.violations   # what the checkers (lab.stacks.checking) found, with time and reason
    result.digest

With ``traffic=True`` (the default) every datagram leaves a ``send`` and a ``receive`` event, too;
``directory=`` writes the logs. ``stack=`` takes a :class:`~lab.stacks.core.Stack` object, as for
tests. For a closer look run a :class:`World` in steps: ``world.run(until_s=12.0)``,
``world.ask(node, name, arguments)``, ``world.hosts[3].core.state()``, ``world.result()``.

What a core raises is a violation, too, of a checker ``core: ...``, and ends that node's program.
"""

from lab.world.machine import Contention, Machine
from lab.world.world import CaseResult, World, run_case

__all__ = ["CaseResult", "Contention", "Machine", "World", "run_case"]
