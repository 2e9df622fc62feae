"""Somebody's code with one line of it changed, as a wrong example."""

import inspect
import itertools
import linecache
import textwrap

NUMBER = itertools.count()


def changed(code, old, new):
    """A function or class again, with `old` in its source replaced by `new`."""
    source = textwrap.dedent(inspect.getsource(code))
    assert source.count(old) == 1, f"{old!r} is {source.count(old)} times in {code.__name__}"
    source = source.replace(old, new)
    filename = f"<{code.__name__} {next(NUMBER)}>"
    linecache.cache[filename] = (len(source), None, source.splitlines(True), filename)
    module = inspect.getmodule(code)
    names = dict(vars(module))
    exec(compile(source, filename, "exec"), names)
    return names[code.__name__]
