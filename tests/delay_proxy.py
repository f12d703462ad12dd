"""A TCP proxy on a slow line: ``delay_proxy.py PORT HOST:PORT SECONDS BYTES``. What is sent arrives SECONDS later, answers at
once, or so many BYTES a second (0: as fast as they come).
"""

from __future__ import annotations

import asyncio
import contextlib
import sys


async def pump(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, delay: float, rate: float) -> None:
    """Everything in order, each piece as long after its arrival as the line is slow; many may be under way."""
    loop = asyncio.get_running_loop()
    under_way: asyncio.Queue[tuple[float, bytes]] = asyncio.Queue()

    async def deliver() -> None:
        while True:
            due, data = await under_way.get()
            await asyncio.sleep(max(0.0, due - loop.time()))
            if not data:
                writer.close()
                return
            writer.write(data)
            await writer.drain()
            if rate:
                await asyncio.sleep(len(data) / rate)

    delivery = asyncio.create_task(deliver())
    with contextlib.suppress(OSError):
        while data := await reader.read(65536):
            under_way.put_nowait((loop.time() + delay, data))
    under_way.put_nowait((loop.time() + delay, b""))
    with contextlib.suppress(OSError):
        await delivery


async def main(port: int, host: str, delay: float, rate: float) -> None:
    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await asyncio.sleep(delay)  # the handshake of TCP is a round trip as well
        name, _colon, number = host.rpartition(":")
        back_reader, back_writer = await asyncio.open_connection(name, int(number))
        await asyncio.gather(pump(reader, back_writer, delay, 0), pump(back_reader, writer, 0, rate))

    server = await asyncio.start_server(serve, "127.0.0.1", port)
    await server.serve_forever()


if __name__ == "__main__":
    asyncio.run(main(int(sys.argv[1]), sys.argv[2], float(sys.argv[3]), float(sys.argv[4])))
