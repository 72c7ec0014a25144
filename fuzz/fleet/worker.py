"""A worker: processes of this machine that do slices for a scheduler, for as long as they are
wanted."""

from __future__ import annotations

import asyncio
import logging
import os
import socket
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, replace
from typing import Any

from distributed import Nanny, rpc

from fuzz import stopping
from fuzz.fleet.offers import memory_mb, offered, scratch_directory
from fuzz.fleet.place import CONNECT_S, ClusterError, Place, knock, quiet, spare_tracker, why
from targets.kvm.remote.address import Address

AGAIN_S = 5.0
TICK_S = 0.5
START_S = 180.0
"""How long the processes may take to start and to find the scheduler."""
LAST_PORT = 0xFFFF


@dataclass(frozen=True, slots=True)
class Post:
    """What this machine gives: so many `slots`, and `memory` in MB for all of them together; 0
    for all there is. `metrics`: where the first process serves its own; `contact`: where others
    reach it, if not under an address of this machine. Each further one has the next port."""

    name: str = ""
    slots: int = 0
    memory: int = 0
    metrics: Address | None = None
    contact: Address | None = None


def serve(where: Place, post: Post, say: Callable[..., Any]) -> int:
    """Do slices until a signal ends it; return which. Raises ClusterError if there is no scheduler
    to begin with; one that is lost later is looked for."""
    quiet()
    spare_tracker()
    with stopping.patiently() as stop:
        asyncio.run(_serve(where, post, say, stop))
    return stop.number


async def _serve(where: Place, post: Post, say: Callable[..., Any], stop: stopping.Request) -> None:
    await _knock(where)
    trouble = ""
    while not stop:
        nannies = _nannies(where, post)
        try:
            async with asyncio.timeout(START_S):
                await asyncio.gather(*nannies)
            say("worker serves", scheduler=where.address, slots=len(nannies))
            trouble = ""
            await _until_lost(nannies, stop)
            if not stop:
                say("scheduler lost", scheduler=where.address)
        except (OSError, TimeoutError, RuntimeError) as error:
            said = why(error)
            if said != trouble:
                say("no scheduler", scheduler=where.address, why=said)
            trouble = said
        finally:
            await asyncio.gather(*(_close(nanny) for nanny in nannies))
        if not stop:
            await _knocked(where, stop)


async def _knock(where: Place) -> None:
    """Find out whether a scheduler is there and lets us in. Raises ClusterError."""
    knock(where)
    security = where.certificates.security() if where.certificates else None
    args = security.get_connection_args("worker") if security else None
    try:
        async with asyncio.timeout(CONNECT_S):
            async with rpc(where.address, connection_args=args, timeout=CONNECT_S) as scheduler:
                await scheduler.identity()
    except (OSError, TimeoutError, ValueError) as error:
        raise ClusterError(f"{where.address}: {why(error)}") from None


async def _knocked(where: Place, stop: stopping.Request) -> None:
    """Wait until a scheduler is there again."""
    while not stop:
        with suppress(ClusterError):
            await _knock(where)
            return
        for _ in range(int(AGAIN_S / TICK_S)):
            if stop:
                return
            await asyncio.sleep(TICK_S)


def _nannies(where: Place, post: Post) -> list[Nanny]:
    """One process for each slot, each with somebody who starts it again when it dies."""
    slots = post.slots or len(os.sched_getaffinity(0))
    memory = (post.memory or memory_mb()) // slots
    name = post.name or socket.gethostname()
    security = where.certificates.security() if where.certificates else None
    found = []
    for index in range(slots):
        at = post.metrics
        more: dict[str, Any] = {}
        if at:
            more["dashboard_address"] = str(_nth(at, index))
        if post.contact:
            reached = _nth(post.contact, index)
            scheme = where.address.partition("://")[0]
            more |= {"contact_address": f"{scheme}://{reached}", "worker_port": reached.port}
        found.append(
            Nanny(
                where.address,
                nthreads=1,
                name=f"{name}-{os.getpid()}-{index}",
                resources=offered(memory),
                memory_limit=0,
                silence_logs=logging.CRITICAL,
                local_directory=str(scratch_directory()),
                security=security,
                death_timeout=START_S,
                dashboard=at is not None,
                **more,
            )
        )
    return found


def _nth(first: Address, index: int) -> Address:
    """Where a process is reached. Raises ClusterError."""
    if first.port + index > LAST_PORT:
        raise ClusterError(f"{first} leaves no port to process {index + 1}")
    return replace(first, port=first.port + index)


async def _until_lost(nannies: list[Nanny], stop: stopping.Request) -> None:
    """Until a signal comes, or no process is left that finds the scheduler."""
    ends = [asyncio.ensure_future(nanny.finished()) for nanny in nannies]
    try:
        while not stop and not all(end.done() for end in ends):
            await asyncio.wait(ends, timeout=TICK_S)
    finally:
        for end in ends:
            end.cancel()


async def _close(nanny: Nanny) -> None:
    with suppress(Exception):
        async with asyncio.timeout(15):
            await nanny.close(timeout=5)
