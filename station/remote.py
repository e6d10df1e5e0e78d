"""`station run --json`: commands in on stdin, events out on stdout, one JSON object a line. Nothing else is printed.

Ids are lower-case hex. A command may carry any `"id"`; every event it causes repeats it. Commands run side by side and
share the sockets; a device takes the first free socket of its chip family.

Commands

    {"do": "provision", "auth_id": H, "count": N}   N devices. Waits up to "wait" (60) seconds for the work order.
                                                    "sockets": ["a0", …] uses only these. "force": true asks EdgeHSM
                                                    even where the work order has ended, so that its gate says no.
    {"do": "retry_same", "auth_id": H}              one device whose first answer is lost: it asks again with the same
                                                    key and must get the same DAC (`repeated`, `same_dac`)
    {"do": "other_key", "auth_id": H}               the last good unit comes back with another key: must be refused
    {"do": "fault", "auth_id": H, "kind": K}        one device with K = power_cut | flipped_frame | silence
                                                    "after" (0) operations of its chip
    {"do": "resume", "auth_id": H}                  finishes the units that a station before this one left in the journal
    {"do": "rework", "auth_id": H}                  re-opens debug of the last good unit (or "uid": H), closes it, has it
                                                    re-attested; "reason" and "operator" go into the record
    {"do": "records"}                               asks the Factory Service whether this run's leaves are in the cloud
    {"do": "orders"}                                names the work orders there are
    {"do": "quit"}                                  ends when what runs has ended; so does the end of stdin

Events

    {"event": "ready", "station": ID, "factory": ID, "sockets": {"a0": "generic-wifi", …}}
    {"event": "order", "auth_id": H, "product": TEXT, "soc": S, "quantity": N, "edgehsm": ID}   verified, firmware here
    {"event": "order_refused", "auth_id": H, "reason": WORD, "what": TEXT, "where": TEXT}
    {"event": "order_ended", "auth_id": H}
    {"event": "link", "peer": "edgehsm" | "factory", "up": BOOL}
    {"event": "device", "auth_id": H, "uid": H, "soc": S, "product": TEXT, "socket": "a0", "result": R,
     "reason": WORD | "", "what": TEXT, "duration_ms": N, "log_index": N | null, "outcome_index": N | null,
     "evidence": WORD | "", "repeated": BOOL, "dac_digest": H | "", "serial": H | "", "trips": N,
     "same_dac": BOOL | null}                          null but for retry_same
        R: PASS; FAIL (the unit); REFUSED (EdgeHSM's gate said `reason`, or this station: the unit ended before);
        HELD (no answer yet: the unit stays on the bench and its journal goes on from there)
    {"event": "rework", "auth_id": H, "uid": H, "result": "PASS" | "FAIL" | "REFUSED", "reason": WORD | "", "what": TEXT,
     "session_id": H, "opened_index": N | null, "closed_index": N | null}
    {"event": "records", "buffered_size": N, "cosigned_size": N, "asked": N, "in_cloud": N}
    {"event": "done", "do": NAME, "counts": {"PASS": N, …}, "seconds": X}      once a command, after its other events
    {"event": "error", "do": NAME, "reason": WORD, "what": TEXT, "next_step": TEXT}   instead of done
    {"event": "end", "counts": {"PASS": N, …}, "reasons": {WORD: N, …}, "messages": N, "steps": N}   the last line
"""

from __future__ import annotations

import asyncio
import json
import sys
import time
from collections import Counter
from collections.abc import Awaitable, Callable
from typing import Any, Final, TypeAlias

from obis.refusal import Refused
from obis.v1.reason_pb2 import Reason
from station import events, rework
from station.events import Event, Say
from station.line import Batch, Line

Command: TypeAlias = dict[str, Any]
Doing: TypeAlias = Callable[[Line, Command, Say], Awaitable[Counter[str]]]


def say(event: Event) -> None:
    """One line on stdout."""
    sys.stdout.write(json.dumps(event) + "\n")
    sys.stdout.flush()


async def obey(line: Line, commands: asyncio.StreamReader) -> None:
    """Commands until quit or the end of input; those that run are waited for, but held units no longer than once."""
    async with asyncio.TaskGroup() as group:
        async for text in commands:
            command = _parsed(text)
            if command.get("do") == "quit":
                break
            group.create_task(_run(line, command))
        line.closing = True


async def stdin() -> asyncio.StreamReader:
    """This process's standard input, line by line."""
    reader = asyncio.StreamReader()
    await asyncio.get_running_loop().connect_read_pipe(lambda: asyncio.StreamReaderProtocol(reader), sys.stdin)
    return reader


def _parsed(text: bytes) -> Command:
    try:
        command = json.loads(text)
    except ValueError:
        return {"do": "?"}
    return command if isinstance(command, dict) else {"do": "?"}


async def _run(line: Line, command: Command) -> None:
    """One command: its events carry its id; a refusal is an event, not the end."""
    tag = {"id": command["id"]} if "id" in command else {}

    def say_tagged(event: Event) -> None:
        say({**event, **tag})

    name, started = str(command.get("do")), time.monotonic()
    try:
        counts = await _DOINGS.get(name, _unknown)(line, command, say_tagged)
    except Refused as refused:
        say_tagged(events.error(name, refused))
    except (KeyError, ValueError, TypeError) as error:
        say_tagged(events.error(name, Refused(Reason.REASON_MALFORMED, f"the command lacks something: {error}")))
    else:
        seconds = round(time.monotonic() - started, 3)
        say_tagged({"event": "done", "do": name, "counts": dict(counts), "seconds": seconds})


def _batch(command: Command) -> Batch:
    return Batch(
        auth_id=bytes.fromhex(command["auth_id"]),
        count=int(command.get("count", 1)),
        sockets=frozenset(command.get("sockets", ())),
        force=bool(command.get("force", False)),
        wait_seconds=float(command.get("wait", 60)),
    )


async def _provision(line: Line, command: Command, say: Say) -> Counter[str]:
    return await line.provision(_batch(command), say)


async def _retry_same(line: Line, command: Command, say: Say) -> Counter[str]:
    return await line.retry_same(_batch(command), say)


async def _other_key(line: Line, command: Command, say: Say) -> Counter[str]:
    return await line.other_key(_batch(command), say)


async def _resume(line: Line, command: Command, say: Say) -> Counter[str]:
    return await line.resume(_batch(command), say)


async def _fault(line: Line, command: Command, say: Say) -> Counter[str]:
    return await line.fault(_batch(command), str(command["kind"]), int(command.get("after", 0)), say)


async def _rework(line: Line, command: Command, say: Say) -> Counter[str]:
    reason, operator = str(command.get("reason", "rework")), str(command.get("operator", "line"))
    order = rework.Order(bytes.fromhex(command["auth_id"]), reason, operator)
    return await line.rework(order, bytes.fromhex(command.get("uid", "")), say)


async def _unknown(_: Line, command: Command, __: Say) -> Counter[str]:
    raise Refused(Reason.REASON_MALFORMED, "no such command", str(command.get("do")))


async def _records(line: Line, _: Command, say: Say) -> Counter[str]:
    say(await line.in_cloud())
    return Counter()


async def _orders(line: Line, _: Command, say: Say) -> Counter[str]:
    for ready in line.work.orders:
        say(events.order_ready(ready.order))
    return Counter()


_DOINGS: Final[dict[str, Doing]] = {
    "provision": _provision,
    "retry_same": _retry_same,
    "other_key": _other_key,
    "resume": _resume,
    "fault": _fault,
    "rework": _rework,
    "records": _records,
    "orders": _orders,
}
