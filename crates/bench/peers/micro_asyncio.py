"""What the scheduler of asyncio or uvloop costs: the same things, under the same names, as the program `micro`.

    micro_asyncio.py asyncio|uvloop       prints a line of JSON for each figure

One thread: CPU time. Where a second thread takes part: wall time.
"""
import asyncio
import json
import os
import queue
import sys
import threading
from time import perf_counter_ns, process_time_ns

N = 1_000_000
POSTS = 300_000
TRIPS = 30_000


CORES = sorted(os.sched_getaffinity(0))


def pin(place):
    """Keeps the calling thread on the first or the second (1) of the cores that are allowed."""
    os.sched_setaffinity(0, {CORES[min(place, len(CORES) - 1)]})


def report(bench, count, nanoseconds):
    figure = {"peer": KIND, "bench": bench, "n": count, "ns_per_op": round(nanoseconds / count, 1)}
    print(json.dumps(figure), flush=True)


def delays():
    """Below a second, the same in every program (xorshift)."""
    number, mask = 42, (1 << 64) - 1
    for _ in range(N):
        number ^= number << 13 & mask
        number ^= number >> 7
        number ^= number << 17 & mask
        yield number % 1_000_000_000 / 1e9


class Countdown:
    """A future that is done when it was called so many times."""

    def __init__(self, loop, count):
        self.left, self.done = count, loop.create_future()

    def __call__(self, *_):
        self.left -= 1
        if not self.left:
            self.done.set_result(None)


async def callbacks(loop):
    all_done = Countdown(loop, N)

    def chain():
        all_done()
        if all_done.left:
            loop.call_soon(chain)

    start = process_time_ns()
    loop.call_soon(chain)
    await all_done.done
    report("call_soon chain", N, process_time_ns() - start)

    for name in ["call_soon burst", "call_soon burst, warm"]:
        all_done = Countdown(loop, N)
        start = process_time_ns()
        for _ in range(N):
            loop.call_soon(all_done)
        await all_done.done
        report(name, N, process_time_ns() - start)

    start = process_time_ns()
    for _ in range(N):
        loop.call_soon(report).cancel()
    report("call_soon, then cancelled", N, process_time_ns() - start)
    await asyncio.sleep(0)


async def timers(loop):
    soon = list(delays())
    all_done = Countdown(loop, N)
    start = process_time_ns()
    for delay in soon:
        loop.call_later(delay, all_done)
    await all_done.done
    report("timers arm+fire, CPU", N, process_time_ns() - start)

    late = [10 + delay for delay in soon]
    start = process_time_ns()
    handles = [loop.call_later(delay, all_done) for delay in late]
    report("timers arm (then cancelled)", N, process_time_ns() - start)
    start = process_time_ns()
    for handle in handles:
        handle.cancel()
    report("timers cancel", N, process_time_ns() - start)
    # It tidies up when it looks for timers.
    handles.clear()
    await asyncio.sleep(0)


async def futures(loop):
    for name in ["future resolve + callback", "future resolve + callback, warm"]:
        all_done = Countdown(loop, N)
        start = process_time_ns()
        for _ in range(N):
            future = loop.create_future()
            future.add_done_callback(all_done)
            future.set_result(1)
        await all_done.done
        report(name, N, process_time_ns() - start)


async def tasks(loop):
    async def wait_for(future):
        return await future

    start = process_time_ns()
    for _ in range(N // 4):
        future = loop.create_future()
        waiting = loop.create_task(wait_for(future))
        await asyncio.sleep(0)
        future.set_result(1)
        await waiting
    report("future resolve + callback (task waits on it)", N // 4, process_time_ns() - start)

    async def nothing():
        pass

    start = process_time_ns()
    for _ in range(N // 2):
        await loop.create_task(nothing())
    report("task spawn + await", N // 2, process_time_ns() - start)

    async def yields():
        for _ in range(N):
            await asyncio.sleep(0)

    start = process_time_ns()
    await loop.create_task(yields())
    report("task yield", N, process_time_ns() - start)

    future = loop.create_future()
    future.set_result(None)
    start = process_time_ns()
    for _ in range(N):
        await future
    report("await ready", N, process_time_ns() - start)

    start = process_time_ns()
    for _ in range(N):
        future = loop.create_future()
        loop.call_soon(future.set_result, None)
        await future
    report("future awaited in a row", N, process_time_ns() - start)


async def threads(loop):
    """The interpreter lets one of the two run at a time."""
    all_done = Countdown(loop, POSTS)

    def post():
        pin(1)
        for _ in range(POSTS):
            loop.call_soon_threadsafe(all_done)

    start = perf_counter_ns()
    poster = threading.Thread(target=post)
    poster.start()
    await all_done.done
    report("threadsafe throughput", POSTS, perf_counter_ns() - start)
    poster.join()

    all_done = Countdown(loop, TRIPS)
    answers = queue.SimpleQueue()

    def answer():
        answers.put(None)
        all_done()

    def post_and_wait():
        pin(1)
        for _ in range(TRIPS):
            loop.call_soon_threadsafe(answer)
            answers.get()

    start = perf_counter_ns()
    poster = threading.Thread(target=post_and_wait)
    poster.start()
    await all_done.done
    report("threadsafe round trip", TRIPS, perf_counter_ns() - start)
    poster.join()


async def main():
    pin(0)
    loop = asyncio.get_running_loop()
    for part in [callbacks, timers, futures, tasks, threads]:
        await part(loop)


KIND = sys.argv[1] if len(sys.argv) > 1 else "asyncio"
if KIND == "uvloop":
    import uvloop

    uvloop.run(main())
else:
    asyncio.run(main())
