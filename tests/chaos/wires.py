"""The wires between agents on loopback, as a process: forwards, delays, cuts, resets.

Is told on its standard input, a line each, and answers "done":
  wire SOURCE TARGET PORT TARGET_PORT   listen on PORT for SOURCE, who means TARGET
  cut SOURCE TARGET                     what SOURCE sends to TARGET is kept, not delivered
  heal                                  what was kept is delivered, and nothing is kept any more
  delay MS                              each piece is delivered so much later, in order
  reset NAME                            all connections of NAME end by RST
  mischief WHAT PER_MILLE SEED          so many messages come wrong from now on: `twice`; `late`, behind
                                        the next one; `again`, long after. Answers how many did so far
Ends with its input.
"""
import asyncio
import collections
import random
import sys

PIECE = 65536
PROBE_S = 0.02
# Of docs/peer-protocol.md: those below belong to the link, not to sessions; and REQUEST and RELAY carry
# what is to be done, which is done each time they come.
FIRST_MESSAGE, OPERATIONS = 10, (10, 11)
REMEMBERED = 500  # messages that may come again


class Frames:
    """One direction of a connection as messages, which may come wrong."""

    def __init__(self, wires, name):
        self.wires, self.left, self.held = wires, b"", b""
        self.past = wires.past.setdefault(name, collections.deque(maxlen=REMEMBERED))

    def take(self, data):
        """What goes on, now that this has come; at the end (no data) what there is."""
        if not data:
            return self.left
        self.left += data
        going = []
        while len(self.left) >= 4:
            size = 4 + int.from_bytes(self.left[:4], "big")
            if len(self.left) < size:
                break
            going += self.wrong(self.left[:size])
            self.left = self.left[size:]
        return b"".join(going)

    def wrong(self, frame):
        held, self.held = self.held, b""
        concerned = frame[4] >= FIRST_MESSAGE and frame[4] not in OPERATIONS
        what = self.wires.wrong() if concerned else None
        if what == "late" and not held:
            self.held = frame
            return []
        before = [self.wires.random.choice(self.past)] if what == "again" and self.past else []
        if concerned:
            self.past.append(frame)
        return [*before, frame, frame, held] if what == "twice" else [*before, frame, held]


class Way:
    """One direction of a connection. What the sender has sent waits here until its time."""

    def __init__(self, wires, source, target, reader, writer):
        self.wires, self.name, self.reader, self.writer = wires, (source, target), reader, writer
        self.queue = asyncio.Queue(256)  # pieces; then the sender feels it
        self.frames = Frames(wires, self.name)

    async def run(self):
        await asyncio.gather(self._take(), self._give())

    async def _take(self):
        data = b"."
        while data:
            try:
                data = await self.reader.read(PIECE)
            except OSError:
                data = b""
            going = self.frames.take(data)
            due = asyncio.get_running_loop().time() + self.wires.delay_s
            if going:
                await self.queue.put((due, going))
            if not data:
                await self.queue.put((due, b""))

    async def _give(self):
        while True:
            due, data = await self.queue.get()
            left = due - asyncio.get_running_loop().time()
            if left > 0:
                await asyncio.sleep(left)
            while self.name in self.wires.cuts:
                await self.wires.healed.wait()
            if not data:
                self.writer.close()
                return
            self.writer.write(data)
            try:
                await self.writer.drain()
            except OSError:
                return


class Wire:
    """Between one agent that dials and another one. While nobody listens there nobody listens here:
    an agent takes a refused connection for the end of its peer's process."""

    def __init__(self, wires, source, target, port, target_port):
        self.wires, self.source, self.target = wires, source, target
        self.port, self.target_port = port, target_port
        self.server = None

    def cut(self):
        return {(self.source, self.target), (self.target, self.source)} & self.wires.cuts

    async def listen(self):
        self.server = await asyncio.start_server(self.accepted, "127.0.0.1", self.port)

    async def accepted(self, reader, writer):
        while self.cut():  # a call that gets nowhere
            await self.wires.healed.wait()
        try:
            far_reader, far_writer = await asyncio.open_connection("127.0.0.1", self.target_port)
        except OSError:
            writer.transport.abort()
            await self.refuse()
            return
        flow = (self.source, self.target, writer, far_writer)
        self.wires.flows.append(flow)
        await asyncio.gather(Way(self.wires, self.source, self.target, reader, far_writer).run(),
                             Way(self.wires, self.target, self.source, far_reader, writer).run())
        self.wires.flows.remove(flow)

    async def refuse(self):
        """Until somebody listens there again."""
        if self.server is None:
            return
        self.server.close()
        self.server = None
        while not await self.there():
            await asyncio.sleep(PROBE_S)
        await self.listen()

    async def there(self):
        try:
            _, writer = await asyncio.open_connection("127.0.0.1", self.target_port)
        except OSError:
            return False
        writer.close()
        return True


class Wires:
    def __init__(self):
        self.cuts, self.delay_s, self.healed = set(), 0.0, asyncio.Event()
        self.flows, self.wires = [], []
        self.what, self.per_mille, self.random, self.count, self.past = None, 0, random.Random(), 0, {}

    async def wire(self, source, target, port, target_port):
        wire = Wire(self, source, target, int(port), int(target_port))
        self.wires.append(wire)
        await wire.listen()

    async def cut(self, source, target):
        self.cuts.add((source, target))
        self.healed.clear()

    async def heal(self):
        self.cuts.clear()
        self.healed.set()

    async def delay(self, ms):
        self.delay_s = float(ms) / 1000

    async def mischief(self, what, per_mille, seed):
        self.what, self.per_mille, self.random = what, int(per_mille), random.Random(int(seed))
        return self.count

    def wrong(self):
        """What is to happen to a message, None: nothing."""
        if self.random.random() * 1000 >= self.per_mille:
            return None
        self.count += 1
        return self.what

    async def reset(self, name):
        for source, target, near, far in self.flows:
            if name in (source, target):
                near.transport.abort()
                far.transport.abort()


async def main():
    wires = Wires()
    lines = asyncio.StreamReader()
    await asyncio.get_running_loop().connect_read_pipe(lambda: asyncio.StreamReaderProtocol(lines), sys.stdin)
    while line := (await lines.readline()).decode().split():
        said = await getattr(wires, line[0])(*line[1:])
        print("done", "" if said is None else said, flush=True)


if __name__ == "__main__":
    asyncio.run(main())
