"""How work was executed: facts that differ from run to run and from machine to machine, and decide no result."""

import os
import resource
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import Any


@contextmanager
def measured(settings: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
    """A record of what runs in this context, complete when it ends.

    Its memory is the most that this process, or a single child of it, ever held; its devices are those that torch used
    in this process.
    """
    record: dict[str, Any] = {
        "settings": dict(settings),
        "started": datetime.now(UTC).isoformat(timespec="seconds"),
        "machine": os.uname().nodename,
        "cpus": os.cpu_count(),
    }
    began = time.monotonic()
    yield record
    torch = sys.modules.get("torch")
    cuda = torch.cuda if torch and torch.cuda.is_initialized() else None
    usages = [resource.getrusage(who).ru_maxrss for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    record |= {
        "seconds": round(time.monotonic() - began, 3),
        "threads": torch.get_num_threads() if torch else os.environ.get("OMP_NUM_THREADS"),
        "devices": [cuda.get_device_name(number) for number in range(cuda.device_count())] if cuda else [],
        "peak_memory_bytes": max(usages) * (1 if sys.platform == "darwin" else 1024),
    }
