"""Bytes that come in pieces."""


class Stream:
    """What client and backend share: `buffer` has what came and nobody took; fill() receives once
    more, or raises at the end."""

    def take(self, size):
        while len(self.buffer) < size:
            self.fill()
        taken = bytes(self.buffer[:size])
        del self.buffer[:size]
        return taken

    def take_until(self, mark):
        start = 0
        while (at := self.buffer.find(mark, start)) < 0:
            start = max(0, len(self.buffer) - len(mark))
            self.fill()
        return self.take(at + len(mark))
