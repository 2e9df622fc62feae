"""What lasts from one step of training to the next, by name: what a checkpoint keeps."""

from .backend import device_of, to_device


class Memory:
    """A thing that remembers. A subclass names the attributes that last in `memory`.

    They are arrays, numbers and what else JSON can write; or Memories themselves, whose names are
    then dotted: Muon's AdamW remembers "rest.m".
    """

    memory = ()

    def state(self):
        """Return {name: value}, all that is remembered. Arrays are handed out, not copied."""
        found = {}
        for name in self.memory:
            value = getattr(self, name)
            if isinstance(value, Memory):
                found |= {f"{name}.{key}": part for key, part in value.state().items()}
            else:
                found[name] = value
        return found

    def load_state(self, state):
        """Go on from the `state()` of another of its kind; arrays are copied to where its own are.

        Errors: ValueError, and nothing is changed, unless names, types, shapes and dtypes fit.
        """
        own, given = _described(self.state()), _described(state)
        for name in sorted(own.keys() | given.keys()):
            if own.get(name) != given.get(name):
                raise ValueError(
                    f"{type(self).__name__}: {name!r} is {given.get(name, 'missing')} in the state "
                    f"to go on from; expected {own.get(name, 'no such thing')}"
                )
        for name in self.memory:
            value = getattr(self, name)
            if isinstance(value, Memory):
                start = f"{name}."
                parts = {key: part for key, part in state.items() if key.startswith(start)}
                value.load_state({key.removeprefix(start): part for key, part in parts.items()})
            elif hasattr(value, "dtype"):
                value[...] = to_device(state[name], device_of(value))
            else:
                setattr(self, name, state[name])


def _described(state):
    """Say what a state is made of: the dtype and shape of each array, else the type's name."""
    return {
        name: f"{value.dtype} {value.shape}" if hasattr(value, "dtype") else type(value).__name__
        for name, value in state.items()
    }
