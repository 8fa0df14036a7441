"""A stateful application with a session cookie of its own, as a process that can be killed.

    python3 session_server.py STYLE NAME PORT JOURNAL

STYLE servlet: JSESSIONID=ID.NAME (jvmRoute), also read from ;jsessionid= in the path when there is no
such cookie. STYLE php: PHPSESSID=ID, nothing more. Sessions live in memory; a request whose session
is not known here starts one and sets the cookie, but for /quiet..., which only looks. Every request is
written to the journal before it is answered, as JSON: target and Cookie fields, byte for byte.
"""
import asyncio
import json
import os
import re
import sys

STYLES = {"servlet": "JSESSIONID", "php": "PHPSESSID"}


class Application(asyncio.Protocol):
    def __init__(self, style, name, journal, sessions):
        self.style, self.name, self.journal, self.sessions = style, name, journal, sessions
        self.buffer = b""

    def connection_made(self, transport):
        self.transport = transport

    def data_received(self, data):
        self.buffer += data
        while (end := self.buffer.find(b"\r\n\r\n")) >= 0:
            lines = self.buffer[:end].decode("latin-1").split("\r\n")
            self.buffer = self.buffer[end + 4 :]
            fields = [line.partition(":")[::2] for line in lines[1:]]
            self.answer(lines[0].split(" ")[1], [(k.lower(), v.strip()) for k, v in fields])

    def session_of(self, target, cookies):
        """The id that the request brings, as the application reads it."""
        name = STYLES[self.style]
        for pair in ";".join(cookies).split(";"):
            key, equals, value = pair.strip().partition("=")
            if equals and key == name:
                return value
        found = re.search(r";jsessionid=([^;/?]*)", target) if self.style == "servlet" else None
        return found.group(1) if found else None

    def answer(self, target, fields):
        if target == "/healthz":
            self.transport.write(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")
            return
        cookies = [value for key, value in fields if key == "cookie"]
        os.write(self.journal, (json.dumps({"target": target, "cookies": cookies}) + "\n").encode())
        session, set_cookie = self.session_of(target, cookies), ""
        bare = session.rpartition(".")[0] if session and self.style == "servlet" else session
        if bare not in self.sessions and not target.startswith("/quiet"):
            bare = os.urandom(8).hex() + ("~t" if self.style == "php" else "")
            self.sessions[bare] = 0
            session = f"{bare}.{self.name}" if self.style == "servlet" else bare
            set_cookie = (
                "Set-Cookie: theme=dark\r\n"
                f"Set-Cookie: {STYLES[self.style]}={session}; Path=/;HttpOnly ; Odd=\"a b\"\r\n"
            )
        if bare in self.sessions:
            self.sessions[bare] += 1
        body = json.dumps(
            {
                "server": self.name,
                "session": session,
                "count": self.sessions.get(bare, 0),
                "told": dict(fields).get("holdfast-session"),
            }
        )
        self.transport.write(
            f"HTTP/1.1 200 OK\r\nCache-Control: no-cache\r\n{set_cookie}"
            f"Content-Length: {len(body)}\r\n\r\n{body}".encode()
        )


async def main():
    style, name, port, path = sys.argv[1], sys.argv[2], int(sys.argv[3]), sys.argv[4]
    journal = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o644)
    sessions = {}
    server = await asyncio.get_running_loop().create_server(
        lambda: Application(style, name, journal, sessions), "127.0.0.1", port, backlog=1024
    )
    async with server:
        await server.serve_forever()


if __name__ == "__main__":
    asyncio.run(main())
