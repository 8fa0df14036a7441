"""A stateful application as a process of its own, so that it can be killed like one.

    python3 app_server.py NAME PORT JOURNAL

Sessions live in memory, kept by the cookie APP. Every request that carries X-Request is written to
the journal before it is answered: "ID METHOD". ?delay=MS answers later. An upgrade echoes bytes.
"""
import asyncio
import json
import os
import sys
from urllib.parse import parse_qs, urlsplit


class Application(asyncio.Protocol):
    def __init__(self, name, journal, sessions):
        self.name, self.journal, self.sessions = name, journal, sessions
        self.buffer = b""
        self.tunnel = False
        self.waiting = False

    def connection_made(self, transport):
        self.transport = transport

    def data_received(self, data):
        if self.tunnel:
            self.transport.write(data)
            return
        self.buffer += data
        self.serve()

    def serve(self):
        while not self.waiting and (end := self.buffer.find(b"\r\n\r\n")) >= 0:
            lines = self.buffer[:end].decode("latin-1").split("\r\n")
            fields = {
                k.lower(): v.strip() for k, _, v in (line.partition(":") for line in lines[1:])
            }
            need = end + 4 + int(fields.get("content-length", 0))
            if len(self.buffer) < need:
                return
            self.buffer = self.buffer[need:]
            self.answer(*lines[0].split(" ")[:2], fields)

    def answer(self, method, target, fields):
        if "x-request" in fields:
            os.write(self.journal, f"{fields['x-request']} {method}\n".encode())
        if "upgrade" in fields:
            self.tunnel = True
            self.transport.write(
                b"HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\n"
                b"Upgrade: websocket\r\n\r\n" + self.buffer
            )
            return
        if target == "/healthz":
            self.transport.write(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")
            return
        delay = int(parse_qs(urlsplit(target).query).get("delay", ["0"])[0])
        if not delay:
            self.transport.write(self.page(method, target, fields))
            return
        self.waiting = True
        asyncio.get_running_loop().call_later(delay / 1000, self.late, method, target, fields)

    def late(self, method, target, fields):
        self.waiting = False
        self.transport.write(self.page(method, target, fields))
        self.serve()

    def page(self, method, target, fields):
        cookies = dict(
            pair.strip().partition("=")[::2] for pair in fields.get("cookie", "").split(";")
        )
        sid, set_cookie = cookies.get("APP"), ""
        if sid not in self.sessions:
            sid = f"{self.name}-{len(self.sessions)}"
            self.sessions[sid] = 0
            set_cookie = f"Set-Cookie: APP={sid}; Path=/\r\n"
        self.sessions[sid] += 1
        body = json.dumps(
            {
                "server": self.name,
                "target": target,
                "method": method,
                "session": sid,
                "count": self.sessions[sid],
                "told": fields.get("holdfast-session"),
            }
        )
        return (
            f"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n{set_cookie}"
            f"Content-Length: {len(body)}\r\n\r\n{body}"
        ).encode()


async def main():
    name, port, path = sys.argv[1], int(sys.argv[2]), sys.argv[3]
    journal = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o644)
    sessions = {}
    server = await asyncio.get_running_loop().create_server(
        lambda: Application(name, journal, sessions), "127.0.0.1", port, backlog=1024
    )
    async with server:
        await server.serve_forever()


if __name__ == "__main__":
    asyncio.run(main())
