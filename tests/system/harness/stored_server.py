"""A stateful application that keeps its sessions in a Redis, or in a session agent.

    python3 -m harness.stored_server NAME PORT JOURNAL STORE_PORT

The cookie SID carries the id. A request whose session the store does not know starts one; /login
gives a session a new id, as frameworks do when somebody logs in. Answers who, which and how often,
and what the proxy told of the session, as JSON; 500 when the store is away or says that it does not
know. Each request is written to the journal before it is answered: the session's id.
"""
import asyncio
import concurrent.futures
import json
import os
import re
import sys
import threading

from .redis import Wire

LIFETIME_SECONDS = 600
THREADS = 64  # more than there are users at once


class StoreError(Exception):
    """The store is away, or answered with an error: not the same as a miss."""


class Store(threading.local):
    """One connection of each thread, made anew after it ended."""

    wire = None

    def __init__(self, port):
        self.port = port

    def ask(self, *arguments):
        """The bulk string of a reply, b"" for another reply, None for a miss."""
        try:
            self.wire = self.wire or Wire(self.port)
            reply = self.wire.ask(*arguments)
        except (OSError, AssertionError) as failure:
            self.wire = None
            raise StoreError(str(failure)) from failure
        if reply.startswith(b"-"):
            raise StoreError(reply.decode().strip())
        if reply in (b"$-1\r\n", b"_\r\n"):
            return None
        return reply.split(b"\r\n")[1] if reply.startswith(b"$") else b""


class Application(asyncio.Protocol):
    def __init__(self, name, journal, store):
        self.name, self.journal, self.store = name, journal, store
        self.buffer = b""

    def connection_made(self, transport):
        self.transport = transport

    def data_received(self, data):
        self.buffer += data
        while (end := self.buffer.find(b"\r\n\r\n")) >= 0:
            lines = self.buffer[:end].decode("latin-1").split("\r\n")
            self.buffer = self.buffer[end + 4 :]
            pairs = (line.partition(":")[::2] for line in lines[1:])
            fields = {key.lower(): value.strip() for key, value in pairs}
            target = lines[0].split(" ")[1]
            if target == "/healthz":
                self.answer("200 OK", "", {})
                continue
            # A store that lets one user wait keeps nobody else waiting.
            work = asyncio.get_running_loop().run_in_executor(None, self.visit, target, fields)
            work.add_done_callback(lambda done: self.answer(*done.result()))

    def answer(self, status, set_cookie, page):
        body = json.dumps(page)
        length = f"Content-Length: {len(body)}\r\n"
        self.transport.write(f"HTTP/1.1 {status}\r\n{set_cookie}{length}\r\n{body}".encode())

    def visit(self, target, fields):
        try:
            page, set_cookie = self.page(target, fields)
        except StoreError as failure:
            return "500 Internal Server Error", "", {"error": str(failure)}
        return "200 OK", set_cookie, page

    def page(self, target, fields):
        found = re.search(r"(?:^|[; ])SID=([^;]+)", fields.get("cookie", ""))
        session, set_cookie = found and found.group(1), ""
        count = self.store.ask("GET", f"sess:{session}") if session else None
        if count is None or target == "/login":
            if count is not None:
                self.store.ask("DEL", f"sess:{session}")
            session = os.urandom(8).hex()
            set_cookie = f"Set-Cookie: SID={session}; Path=/\r\n"
        count = int(count or 0) + 1
        self.store.ask("SET", f"sess:{session}", count, "EX", LIFETIME_SECONDS)
        os.write(self.journal, f"{session}\n".encode())
        told = fields.get("holdfast-session")
        return {"server": self.name, "session": session, "count": count, "told": told}, set_cookie


async def main():
    name, port, path, store_port = sys.argv[1], int(sys.argv[2]), sys.argv[3], int(sys.argv[4])
    journal = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o644)
    store = Store(store_port)
    loop = asyncio.get_running_loop()
    loop.set_default_executor(concurrent.futures.ThreadPoolExecutor(THREADS))
    server = await loop.create_server(
        lambda: Application(name, journal, store), "127.0.0.1", port, backlog=1024
    )
    async with server:
        await server.serve_forever()


if __name__ == "__main__":
    asyncio.run(main())
