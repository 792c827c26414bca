"""The engines that a grid can be handed to: joblib's own backends, each opened and its faults put into words."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from typing import Any

from ..errors import ConfigError

BACKENDS = ("loky", "dask", "ray")


@contextlib.contextmanager
def pool(backend: str, scheduler: str | None, jobs: int, threads: int) -> Iterator[Any]:
    """joblib's Parallel on ``backend``: the whole grid is handed over at once, one run a task."""
    import joblib

    with contextlib.ExitStack() as stack:
        if backend == "loky":
            stack.enter_context(joblib.parallel_config("loky", n_jobs=jobs, inner_max_num_threads=threads))
        elif backend == "dask":
            stack.enter_context(joblib.parallel_config(stack.enter_context(_dask(scheduler)), n_jobs=-1))
        else:
            _ray(scheduler)
            stack.enter_context(joblib.parallel_config("ray", n_jobs=-1))
        yield joblib.Parallel(pre_dispatch="all", batch_size=1)


@contextlib.contextmanager
def _dask(scheduler: str) -> Iterator[Any]:
    """joblib's backend on the cluster at the address ``scheduler``."""
    try:
        from distributed import Client
        from joblib._dask import DaskDistributedBackend
    except ImportError as error:
        raise ConfigError("backend 'dask' needs dask's distributed: pip install \"pfa-edu[dask]\"") from error

    class Backend(DaskDistributedBackend):
        """Two things that joblib 1.6 does otherwise would be wrong here."""

        def effective_n_jobs(self, n_jobs):
            """Never 1: with one worker, and be it the first of many, joblib would run all of it in this process."""
            return max(2, super().effective_n_jobs(n_jobs))

        def submit(self, func, callback=None):
            """Tells joblib of a task that dask gave up, its workers dead, too; it would wait for it for ever."""
            future = super().submit(func, callback)
            future.add_done_callback(lambda ended: ended.exception() and callback(ended.exception()))
            return future

        def retrieve_result_callback(self, out):
            if isinstance(out, BaseException):
                raise out
            return super().retrieve_result_callback(out)

    try:
        client = Client(scheduler, timeout=30, set_as_default=False)
    except (OSError, ValueError) as error:
        raise ConfigError(f"no dask scheduler answers at {scheduler!r}: {error}") from error
    with client:
        for worker, n in client.nthreads().items():
            if n > 1:
                raise ConfigError(
                    f"the dask worker {worker} has {n} threads, but a run needs a process of its own: start workers "
                    f"with --nthreads 1 --nworkers {n}"
                )
        yield Backend(client=client, wait_for_workers_timeout=24 * 3600)  # a queue may take its time to grant them


def _ray(scheduler: str | None) -> None:
    try:
        import ray
        from ray.util.joblib import register_ray
    except ImportError as error:
        raise ConfigError("backend 'ray' needs ray: pip install \"pfa-edu[ray]\"") from error
    if not ray.is_initialized():
        try:
            ray.init(address=scheduler, log_to_driver=False)
        except Exception as error:  # ray raises bare Exceptions too
            where = f"no ray cluster answers at {scheduler!r}" if scheduler else "ray does not start"
            raise ConfigError(f"{where}: {error}") from error
    if ray.cluster_resources().get("CPU", 0) < 2:  # joblib would run all of it in this process
        raise ConfigError("the ray cluster has less than two CPUs: there is nothing to share out. Say backend 'loky'")
    register_ray()
