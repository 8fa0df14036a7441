"""Fixtures for tests that share a running proxy: one start a module, not one a row."""
import pytest

from .rows import Stage


def stage_fixture(name="stage", **keys):
    """Two fixtures to bind in a module: the process, and `name`, what a test asks for. keys: of
    Stage."""
    process_name = f"{name}_process"

    @pytest.fixture(scope="module", name=process_name)
    def process(tmp_path_factory):
        with Stage(tmp_path_factory.mktemp(name), **keys) as made:
            yield made

    @pytest.fixture(name=name)
    def each(request):
        made = request.getfixturevalue(process_name)
        yield made
        made.after_test()

    return process, each
