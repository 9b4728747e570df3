"""The memory that onnxruntime's arena takes from the system for a sequence of allocations and releases.

The arena takes regions from the system and keeps them. It serves a request from the smallest free chunk that is large
enough, and leaves the rest of a chunk free where that is large. What no request has reached is not resident.
"""

from __future__ import annotations

from bisect import bisect_left, insort

ALIGNMENT_BYTES = 256
MIN_REGION_BYTES = 1 << 20
MAX_DOUBLED_BYTES = 1 << 30
"""Size up to which the next region is twice as large as the last one."""
MAX_UNUSED_BYTES = 128 << 20
"""Maximum rest of a chunk that a request leaves unused."""


class Arena:
    """Regions of memory, in chunks that are free or in use."""

    def __init__(self, *, doubles: bool = True) -> None:
        """With `doubles`, regions get larger and larger; else each is as large as the request that needs it."""
        self._doubles = doubles
        self._next_region_bytes = MIN_REGION_BYTES
        self._resident: list[int] = []
        """By region: the bytes up to the end of the last one that was ever in use."""
        self._free: list[tuple[int, int, int]] = []
        """Size, region and offset of free chunks, sorted."""
        self._free_starts: dict[tuple[int, int], int] = {}
        self._free_ends: dict[tuple[int, int], int] = {}
        self._used: dict[tuple[int, int], int] = {}

    @property
    def resident_bytes(self) -> int:
        return sum(self._resident)

    def allocate(self, size: int) -> tuple[int, int]:
        """The region and the offset of a new chunk in use."""
        needed = -(-max(size, 1) // ALIGNMENT_BYTES) * ALIGNMENT_BYTES
        index = bisect_left(self._free, (needed, 0, 0))
        if index == len(self._free):
            self._extend(needed)
            index = bisect_left(self._free, (needed, 0, 0))
        chunk, region, offset = self._free[index]
        self._take_free(chunk, region, offset)
        if chunk >= 2 * needed or chunk - needed >= MAX_UNUSED_BYTES:
            self._add_free(chunk - needed, region, offset + needed)
            chunk = needed
        self._used[region, offset] = chunk
        self._resident[region] = max(self._resident[region], offset + needed)
        return region, offset

    def release(self, place: tuple[int, int]) -> None:
        """Frees a chunk, and joins it with free neighbours."""
        region, start = place
        end = start + self._used.pop(place)
        following = self._free_starts.get((region, end))
        if following is not None:
            self._take_free(following, region, end)
            end += following
        preceding = self._free_ends.get((region, start))
        if preceding is not None:
            start -= preceding
            self._take_free(preceding, region, start)
        self._add_free(end - start, region, start)

    def _extend(self, needed: int) -> None:
        size = needed
        if self._doubles:
            has_grown = False
            while self._next_region_bytes < needed:
                self._next_region_bytes *= 2
                has_grown = True
            size = self._next_region_bytes
            if not has_grown:
                self._next_region_bytes = min(2 * self._next_region_bytes, MAX_DOUBLED_BYTES)
        self._resident.append(0)
        self._add_free(size, len(self._resident) - 1, 0)

    def _add_free(self, size: int, region: int, offset: int) -> None:
        insort(self._free, (size, region, offset))
        self._free_starts[region, offset] = size
        self._free_ends[region, offset + size] = size

    def _take_free(self, size: int, region: int, offset: int) -> None:
        del self._free[bisect_left(self._free, (size, region, offset))]
        del self._free_starts[region, offset], self._free_ends[region, offset + size]
