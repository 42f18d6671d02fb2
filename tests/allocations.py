"""What PyTorch allocates, as its profiler sees it."""

from collections.abc import Callable

import numpy as np
from torch.profiler import ProfilerActivity, profile


def peak_bytes(work: Callable[[], object]) -> int:
    """The most that is alive at once of what `work` allocates on the CPU, its result included."""
    work()  # libraries keep buffers of their own from the first time
    with profile(activities=[ProfilerActivity.CPU], profile_memory=True) as profiled:
        result = work()
    del result
    assert profiled.profiler is not None
    assert profiled.profiler.kineto_results is not None
    events = [
        event for event in profiled.profiler.kineto_results.events() if event.name() == "[memory]"
    ]
    changes = [event.nbytes() for event in sorted(events, key=lambda event: event.start_ns())]
    return int(np.cumsum(changes).max())
