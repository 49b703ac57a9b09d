"""Garbage is looked for again after an import, also after one that failed, and not where it was not before."""

import gc

import pytest

from tools.importing import uncollected


def test_it_is_as_before_afterwards():
    with uncollected():
        assert not gc.isenabled()
        with uncollected():
            pass
        assert not gc.isenabled()
    assert gc.isenabled()
    with pytest.raises(ImportError), uncollected():
        raise ImportError
    assert gc.isenabled()
