"""An echo server as a Protocol, on asyncio's own event loop or on uvloop's.

    echo_asyncio.py asyncio|uvloop [PORT]       prints "listening on 127.0.0.1:PORT"; 0 picks a free port
    echo_asyncio.py asyncio|uvloop --version
"""
import asyncio
import platform
import sys

BACKLOG = 4096


class Echo(asyncio.Protocol):
    """Sends back what it receives; reads nothing while the client does not take it."""

    def connection_made(self, transport):
        # Both loops set TCP_NODELAY themselves.
        self.transport = transport

    def data_received(self, data):
        self.transport.write(data)

    def pause_writing(self):
        self.transport.pause_reading()

    def resume_writing(self):
        self.transport.resume_reading()


async def serve(port):
    loop = asyncio.get_running_loop()
    server = await loop.create_server(Echo, "127.0.0.1", port, backlog=BACKLOG)
    host, port = server.sockets[0].getsockname()
    print(f"listening on {host}:{port}", flush=True)
    await server.serve_forever()


def main(kind="asyncio", port="0"):
    if kind == "uvloop":
        import uvloop as library
    else:
        library = asyncio
    if port == "--version":
        version = f"CPython {platform.python_version()}"
        print(f"{library.__version__} on {version}" if kind == "uvloop" else version)
    else:
        library.run(serve(int(port)))


main(*sys.argv[1:])
