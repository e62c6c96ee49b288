import resource
import sys

import numpy as np
import pytest

from dff import allocator
from dff.allocator import reused_memory

_BLOCK = 64 << 20


def _faults_of_blocks(count: int) -> int:
    """Pages that the system has to give while blocks come and go."""
    before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    for _ in range(count):
        np.full(_BLOCK, 1, np.uint8)
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before


@pytest.mark.skipif(allocator._glibc() is None, reason="another C library than glibc")
def test_blocks_are_used_again_within_and_given_back_after():
    with reused_memory():
        _faults_of_blocks(1)
        kept = _faults_of_blocks(8)
    usual = _faults_of_blocks(8)
    assert kept < usual / 4


def test_nested_contexts_end_with_the_outermost(monkeypatch):
    set_to = []
    monkeypatch.setattr(allocator, "_set", set_to.append)
    with reused_memory():
        with reused_memory():
            pass
        assert set_to == [allocator._KEEPING]
    assert set_to == [allocator._KEEPING, allocator._USUAL]


def test_an_error_inside_ends_it_too(monkeypatch):
    set_to = []
    monkeypatch.setattr(allocator, "_set", set_to.append)
    with pytest.raises(KeyError), reused_memory():
        raise KeyError
    assert set_to[-1] == allocator._USUAL


def test_another_system_is_left_alone(monkeypatch):
    allocator._glibc.cache_clear()
    monkeypatch.setattr(sys, "platform", "win32")
    try:
        assert allocator._glibc() is None
        with reused_memory():
            pass
    finally:
        allocator._glibc.cache_clear()


def test_functions_can_be_wrapped():
    @reused_memory()
    def twice(x):
        return 2 * x

    assert twice(twice(3)) == 12
