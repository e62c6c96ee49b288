"""Work shared out to processes, of which none is left running when one of them, or their parent, ends."""

from __future__ import annotations

import contextlib
import multiprocessing
import os
import pickle
import signal
import threading
import traceback
from collections.abc import Callable, Generator, Iterator, Sequence
from multiprocessing import connection
from multiprocessing.connection import Connection
from multiprocessing.process import BaseProcess

import torch

Work = Callable[[int], None]


@contextlib.contextmanager
def one_torch_thread() -> Iterator[None]:
    """Sums come out alike on any number of cores, and workers do not get in each other's way."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(threads)


def work_off(work: Work, items: Sequence[int], workers: int) -> Generator[int, None, None]:
    """Call ``work`` on every item; yields each item when it is done, in any order.

    When the generator is closed early, or an exception passes, processes that are at work are ended at once.

    Args:
        work: must be picklable if there is more than one worker.
        items: what to call it on.
        workers: processes; with 1 the work is done in this one.

    Raises:
        OSError: a process ended of itself, as when memory ran out.
        Exception: whatever ``work`` raised.
    """
    workers = min(workers, len(items))
    if workers > 1:
        yield from _shared_out(work, items, workers)
        return
    for item in items:
        work(item)
        yield item


def _shared_out(work: Work, items: Sequence[int], workers: int) -> Generator[int, None, None]:
    context = multiprocessing.get_context("spawn")  # forked processes cannot use CUDA, nor threads of torch
    left = iter(items)
    lines: dict[Connection, BaseProcess] = {}
    try:
        for _ in range(workers):
            here, there = context.Pipe()
            process: BaseProcess = context.Process(target=_serve, args=(work, there), daemon=True)
            process.start()
            there.close()  # else the end of the process would not end the line
            lines[here] = process
            here.send(next(left))
        while lines:
            for line in connection.wait(list(lines)):
                assert isinstance(line, Connection)
                item = _answer(line, lines[line])
                after = next(left, None)
                line.send(after)
                if after is None:
                    lines.pop(line).join()
                yield item
    finally:
        for left_over in lines.values():
            left_over.terminate()
        for left_over in lines.values():
            left_over.join()


def _answer(line: Connection, process: BaseProcess) -> int:
    try:
        answer = line.recv()
    except EOFError:
        process.join()
        raise OSError(
            f"a worker process ended (exit code {process.exitcode}), perhaps for lack of memory; "
            "use fewer workers and --resume"
        ) from None
    if isinstance(answer, BaseException):
        raise answer
    return int(answer)


def _serve(work: Work, line: Connection) -> None:
    # Ctrl-C reaches all processes of a terminal: the first one decides what becomes of the others
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    end_with_parent()
    with contextlib.suppress(EOFError):
        while (item := line.recv()) is not None:
            try:
                work(item)
            except Exception as error:
                error.add_note(traceback.format_exc())  # where it happened, which pickling forgets
                line.send(_portable(error))
                return
            line.send(item)


def end_with_parent() -> None:
    """Called in a worker: it ends as soon as its parent has, however that came about."""
    parent = multiprocessing.parent_process()
    assert parent is not None
    sentinel = parent.sentinel

    def wait() -> None:
        connection.wait([sentinel])
        os._exit(1)

    threading.Thread(target=wait, daemon=True).start()


def _portable(error: Exception) -> Exception:
    try:
        pickle.loads(pickle.dumps(error))
    except Exception:
        return RuntimeError(f"{type(error).__name__}: {error}")
    return error
