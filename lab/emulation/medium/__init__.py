"""The medium of an Ethernet lab: one real-time process between all hosts and their switches.

Every host's interface is a veth whose other end lies here, and so does the outer end of every
switch's port:

    n1 eth0 --veth--> [ link of n1: rate ] --veth--> OVS s1 --veth--> [ link of n2: rate, delay;
    what is wrong between n1 and n2 ] --veth--> eth0 n2

A network whose kind is ``hub`` has no switch: frames go from host to host over one medium on which
they collide. The models of links, hub and faults are those of the simulated world
(:mod:`lab.ethernet`); here they are driven by the monotonic clock, in virtual time.

* ``frames``   whose a frame is, and for whom
* ``lan``      the networks: what becomes of a frame
* ``process``  the loop in real time: frames in, frames out, how late they were
* ``control``  the operations that the lab can ask for
* ``keeper``   the addresses that programs on hosts take over, and keep while they live
"""
