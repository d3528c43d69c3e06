"""A remote file that is read like a local one, by byte ranges, each block once."""

import io
from collections import OrderedDict

from catalog.errors import SourceUnavailable, SourceUnreadable
from catalog.product import Access
from pipeline.access import fetch, file_size, shown

BLOCK_BYTES = 2**18
"""Size of one request. NetCDF-4 scatters its descriptions, so that smaller means more asks."""
_KEPT_BLOCKS = 64


class RangeFile(io.RawIOBase):
    """The bytes of a URL, asked for by whole blocks; the last `kept` blocks are held.

    Blocks that lie side by side and are missing together are one request.

    Args:
        href: URL of the file.
        access: How the archive's files are opened.
        block_bytes: Size of a block.
        kept: Number of blocks that are held.
    """

    def __init__(
        self,
        href: str,
        access: Access,
        *,
        block_bytes: int = BLOCK_BYTES,
        kept: int = _KEPT_BLOCKS,
    ) -> None:
        self.failure: SourceUnavailable | SourceUnreadable | None = None
        """What went wrong last: libraries in between hide it behind errors of their own."""
        self._href, self._access = href, access
        self._block_bytes, self._kept = block_bytes, kept
        self._size = file_size(href, access)
        self._place = 0
        self._blocks: OrderedDict[int, bytes] = OrderedDict()

    def readable(self) -> bool:
        """True: it is there to be read."""
        return True

    def seekable(self) -> bool:
        """True: any byte can be read next."""
        return True

    def tell(self) -> int:
        """Return the place of the byte that is read next."""
        return self._place

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        """Go to a byte, counted from the start, from here, or from the end."""
        start = {io.SEEK_SET: 0, io.SEEK_CUR: self._place, io.SEEK_END: self._size}[whence]
        self._place = max(start + offset, 0)
        return self._place

    def readinto(self, buffer: object) -> int:
        """Fill a buffer from here on; return how many bytes there were."""
        view = memoryview(buffer).cast("B")  # type: ignore[arg-type]
        data = self._bytes(self._place, min(self._place + len(view), self._size))
        view[: len(data)] = data
        self._place += len(data)
        return len(data)

    def _bytes(self, start: int, stop: int) -> bytes:
        if stop <= start:
            return b""
        first, last = start // self._block_bytes, (stop - 1) // self._block_bytes
        held = self._take(first, last)
        joined = b"".join(held[number] for number in range(first, last + 1))
        offset = first * self._block_bytes
        return joined[start - offset : stop - offset]

    def _take(self, first: int, last: int) -> dict[int, bytes]:
        """All blocks from `first` to `last`, those that are missing by runs."""
        held = {n: self._blocks[n] for n in range(first, last + 1) if n in self._blocks}
        for number in held:
            self._blocks.move_to_end(number)
        number = first
        while number <= last:
            end = number
            while end <= last and end not in held:
                end += 1
            if end > number:
                held |= self._ask(number, end)
            number = end + 1
        for kept, block in held.items():
            self._blocks[kept] = block
        while len(self._blocks) > self._kept:
            self._blocks.popitem(last=False)
        return held

    def _ask(self, first: int, stop: int) -> dict[int, bytes]:
        size = self._block_bytes
        begin, end = first * size, min(stop * size, self._size)
        try:
            data = self._fetch(begin, end)
        except (SourceUnavailable, SourceUnreadable) as err:
            self.failure = err
            raise
        return {
            n: data[(n - first) * size : (n - first + 1) * size] for n in range(first, stop)
        }

    def _fetch(self, begin: int, end: int) -> bytes:
        data = fetch(
            self._href,
            self._access,
            start=begin,
            stop=end,
            max_bytes=end - begin + self._block_bytes,
        )
        if len(data) != end - begin:
            raise SourceUnreadable(
                f"{shown(self._href)} gave {len(data)} of {end - begin} bytes from byte "
                f"{begin} on; it is shorter than its server says"
            )
        return data
