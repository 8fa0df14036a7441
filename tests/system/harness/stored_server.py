"""A stateful application that keeps its sessions in a Redis, as one with a session agent does.

    python3 stored_server.py NAME PORT JOURNAL REDIS_PORT

The cookie SID carries the id. A request whose session the store does not know starts one; /login
gives a session a new id, as frameworks do when somebody logs in. Answers who, which and how often,
and what the proxy told of the session, as JSON. Each request is written to the journal before it is
answered: the session's id.
"""
import asyncio
import json
import os
import re
import sys

import redis


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
            self.answer(lines[0].split(" ")[1], {key.lower(): value.strip() for key, value in pairs})

    def answer(self, target, fields):
        if target == "/healthz":
            self.transport.write(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")
            return
        found = re.search(r"(?:^|[; ])SID=([^;]+)", fields.get("cookie", ""))
        session, set_cookie = found and found.group(1), ""
        count = self.store.get(f"sess:{session}") if session else None
        if count is None or target == "/login":
            self.store.delete(f"sess:{session}")
            session = os.urandom(8).hex()
            set_cookie = f"Set-Cookie: SID={session}; Path=/\r\n"
        count = int(count or 0) + 1
        self.store.set(f"sess:{session}", count, ex=600)
        os.write(self.journal, f"{session}\n".encode())
        told = fields.get("holdfast-session")
        page = {"server": self.name, "session": session, "count": count, "told": told}
        body = json.dumps(page)
        self.transport.write(
            f"HTTP/1.1 200 OK\r\n{set_cookie}Content-Length: {len(body)}\r\n\r\n{body}".encode()
        )


async def main():
    name, port, path, redis_port = sys.argv[1], int(sys.argv[2]), sys.argv[3], int(sys.argv[4])
    journal = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o644)
    store = redis.Redis(port=redis_port)
    server = await asyncio.get_running_loop().create_server(
        lambda: Application(name, journal, store), "127.0.0.1", port, backlog=1024
    )
    async with server:
        await server.serve_forever()


if __name__ == "__main__":
    asyncio.run(main())
