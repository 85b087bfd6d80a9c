"""What all tests share: they leave the user's results alone."""

import atexit
import os
import shutil
import signal
import tempfile

from hypothesis import settings

# Before anything of the lab is imported, here or in a process that a test starts.
os.environ["LAB_RESULTS"] = tempfile.mkdtemp(prefix="lab-test-results-")
atexit.register(shutil.rmtree, os.environ["LAB_RESULTS"], ignore_errors=True)

# What a shell starts in the background ignores interrupts, and so would what tests start.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)

# The same examples in every run, and no time limit on one: a test must not fail because the machine
# is busy, nor once in a hundred runs. For other examples: pytest --hypothesis-profile=random
settings.register_profile("repeatable", derandomize=True, deadline=None)
settings.register_profile("random", deadline=None)
settings.load_profile("repeatable")
