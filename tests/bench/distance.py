"""An API server that is not on this machine: a TCP proxy that holds back what goes through it for half a round trip."""

from __future__ import annotations

import asyncio
import contextlib
import threading
from collections.abc import Iterator


@contextlib.contextmanager
def at_distance(host: str, port: int, seconds: float) -> Iterator[int]:
    """The port, on this machine, of a way to host:port whose round trip takes `seconds` longer."""
    loop = asyncio.new_event_loop()
    thread = threading.Thread(target=loop.run_forever, daemon=True)
    thread.start()

    async def connected(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        there_reader, there_writer = await asyncio.open_connection(host, port)
        await asyncio.gather(_pass_on(reader, there_writer, seconds / 2), _pass_on(there_reader, writer, seconds / 2))

    server = asyncio.run_coroutine_threadsafe(asyncio.start_server(connected, "127.0.0.1", 0), loop).result()
    try:
        yield server.sockets[0].getsockname()[1]
    finally:
        loop.call_soon_threadsafe(server.close)
        loop.call_soon_threadsafe(loop.stop)
        thread.join()


async def _pass_on(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, delay: float) -> None:
    """Everything, in its order, each piece `delay` seconds after it came."""
    loop = asyncio.get_running_loop()
    pieces: asyncio.Queue[tuple[float, bytes]] = asyncio.Queue()

    async def read() -> None:
        data = b"more"
        while data:
            try:
                data = await reader.read(65536)
            except ConnectionError:
                data = b""
            await pieces.put((loop.time() + delay, data))

    reading = asyncio.create_task(read())
    while True:
        due, data = await pieces.get()
        await asyncio.sleep(due - loop.time())
        if not data:
            break
        writer.write(data)
    await reading
    writer.close()
