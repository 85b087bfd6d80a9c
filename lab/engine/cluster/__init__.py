"""Nodes of a stack in containers: the runtime that carries out the plan of a case for real.

The simulated world (:mod:`lab.world`) carries out the same plans and leaves the same logs. Here
every node is a container on an Ethernet lab, its program is the shell (:mod:`lab.shell`), and this
package does what nobody inside can: it starts and kills programs, brings faults about, hands in
requests, all at their virtual times, and gathers what the nodes have logged.

* ``standing``  builds the lab, for a run or by hand
* ``nodes``     the nodes' programs and files
* ``faults``    carries out the faults of a plan, and knows which of them stand
* ``requests``  hands requests to nodes
* ``driver``    a plan's actions in real time, and what waits for events
* ``case``      one case from its start to its logs
"""
