"""Fixtures of the command line's tests."""

import os

import pytest


@pytest.fixture
def pipe_with():
    """A descriptor that gives these bytes once."""

    def make(content):
        ours, theirs = os.pipe()
        os.write(theirs, content)
        os.close(theirs)
        return ours

    return make
