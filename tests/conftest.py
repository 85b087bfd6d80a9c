"""What all tests share: they leave the user's results alone."""

import atexit
import os
import shutil
import tempfile

# Before anything of the lab is imported, here or in a process that a test starts.
os.environ["LAB_RESULTS"] = tempfile.mkdtemp(prefix="lab-test-results-")
atexit.register(shutil.rmtree, os.environ["LAB_RESULTS"], ignore_errors=True)
