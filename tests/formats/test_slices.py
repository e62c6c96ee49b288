"""LazySlices: decoded on demand, kept within a budget."""

from __future__ import annotations

import numpy as np
import pytest

from dff.formats.slices import LazySlices
from dff.stack import FocalStack


def _counted(count, calls):
    def decoder(k):
        def decode():
            calls.append(k)
            return np.full((4, 5), k, np.uint8)

        return decode

    return [decoder(k) for k in range(count)]


def test_each_is_decoded_once_within_the_budget():
    calls: list[int] = []
    slices = LazySlices(_counted(3, calls))
    FocalStack(slices)
    assert [int(slices[k][0, 0]) for k in (0, 1, 2, -1)] == [0, 1, 2, 2]
    assert calls == [0, 1, 2]
    assert slices.kept_bytes == 60
    assert [s.dtype for s in slices] == [np.uint8] * 3


def test_first_come_first_kept_beyond_the_budget():
    calls: list[int] = []
    slices = LazySlices(_counted(4, calls), budget_bytes=45)
    for _ in range(2):
        assert [int(s[0, 0]) for s in slices] == [0, 1, 2, 3]
    assert calls == [0, 1, 2, 3, 2, 3]
    assert slices.kept_bytes == 40


def test_sequence_manners():
    slices = LazySlices(_counted(4, []))
    assert len(slices) == 4
    assert [int(s[0, 0]) for s in slices[1:3]] == [1, 2]
    assert int(slices[np.int64(3)][0, 0]) == 3
    with pytest.raises(IndexError):
        slices[4]
    with pytest.raises(ValueError, match="read-only"):
        slices[0][0, 0] = 9


def test_checksums_tell_equal_pictures():
    same = LazySlices([lambda: np.ones((2, 2), np.uint8)] * 2 + [lambda: np.zeros((2, 2), np.uint8)])
    assert same.checksums == [None, None, None]
    list(same)
    assert same.checksums[0] == same.checksums[1] != same.checksums[2]
