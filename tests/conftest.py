"""What all tests share: each worker keeps to one core, so that two workers do not fight over two."""

import os

# Set before torch is imported anywhere, and inherited by the processes that tests start
if "PYTEST_XDIST_WORKER" in os.environ:
    os.environ.setdefault("OMP_NUM_THREADS", "1")
