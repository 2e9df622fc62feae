import pytest


@pytest.fixture(autouse=True)
def on_every_backend(everywhere):
    """All tests of layers run on each of them."""
