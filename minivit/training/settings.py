"""What differs in the settings of two runs, or of two ranks of one."""


def differences(then, now, name=""):
    """Yield what differs in two nests of dicts: a dotted name, and the value in each."""
    if isinstance(then, dict) and isinstance(now, dict):
        for key in now | then:
            inside = f"{name}.{key}" if name else key
            yield from differences(then.get(key, "nothing"), now.get(key, "nothing"), inside)
    elif then != now:
        yield name, then, now
