"""The line-card process: the fabric model in real time on a standing Open vSwitch network.

One single-threaded process sits on both ends of every link. Its loop is compiled
(``lab/native/linecard.h``); Python runs only between two turns of the loop, when a control
connection or a host's U-Net service socket has something to say.

* ``network``  names to indices, and what is configured
* ``service``  the U-Net service of every host: who may attach to which endpoint
* ``control``  the operations that the lab can ask for
* ``record``   time series and counters to files
* ``snapshot`` the present moment, for who watches
"""
