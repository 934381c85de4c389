"""What is known of a remote file: bytes at their offsets. No I/O."""

from bisect import bisect_right


class ByteRanges:
    """Disjoint byte ranges, merged where they touch."""

    def __init__(self) -> None:
        self._starts: list[int] = []
        self._data: list[bytes] = []

    def add(self, offset: int, data: bytes) -> None:
        """Adds bytes. Where they overlap what is known, the known bytes stay."""
        while data:
            known = self.run(offset)
            if known:
                offset, data = offset + known, data[known:]
                continue
            at = bisect_right(self._starts, offset)
            room = self._starts[at] - offset if at < len(self._starts) else len(data)
            self._insert(at, offset, data[:room])
            offset, data = offset + room, data[room:]

    def run(self, offset: int) -> int:
        """How many bytes are known from `offset` on, without a gap."""
        at = bisect_right(self._starts, offset) - 1
        return max(0, self._starts[at] + len(self._data[at]) - offset) if at >= 0 else 0

    def get(self, offset: int, length: int) -> bytes:
        """Up to `length` bytes from `offset`, as far as they are known without a gap."""
        at = bisect_right(self._starts, offset) - 1
        if at < 0:
            return b""
        begin = offset - self._starts[at]
        return self._data[at][begin : begin + length]

    def _insert(self, at: int, offset: int, data: bytes) -> None:
        if at and self._starts[at - 1] + len(self._data[at - 1]) == offset:
            at -= 1
            self._data[at] += data
        else:
            self._starts.insert(at, offset)
            self._data.insert(at, data)
        following = at + 1
        if following < len(self._starts) and self._starts[at] + len(self._data[at]) == self._starts[following]:
            self._data[at] += self._data.pop(following)
            self._starts.pop(following)
