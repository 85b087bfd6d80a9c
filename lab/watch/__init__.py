"""The live view of a standing lab, for ``lab watch``: in the terminal and as a page.

* ``snapshot``  what the line cards say of one moment
* ``view``      two moments compared: rates, all in virtual time
* ``source``    moments from the lab that stands, one after the other
* ``terminal``  a view drawn with characters
* ``web``       a view as a page, served by this process
"""
