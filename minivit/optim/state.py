"""What lasts from one step of training to the next, by name: what a checkpoint keeps."""

from typing import Any

from ..backend import device_of, to_device


class Stateful:
    """Something with a state that lasts. A subclass names its attributes in `lasting`.

    They are arrays, numbers and whatever else JSON can write; or Stateful themselves, whose names
    are then dotted: Muon's AdamW keeps "rest.m".
    """

    lasting: tuple[str, ...] = ()

    def state(self) -> dict[str, Any]:
        """Return {name: value} of everything that lasts. Arrays are handed out, not copied."""
        state: dict[str, Any] = {}
        for name in self.lasting:
            value = getattr(self, name)
            if isinstance(value, Stateful):
                state |= {f"{name}.{key}": part for key, part in value.state().items()}
            else:
                state[name] = value
        return state

    def load_state(self, state: dict[str, Any]) -> None:
        """Continue from the `state()` of another of its kind; arrays are copied to their device.

        Errors: ValueError unless names, types, shapes and dtypes fit; then nothing is changed.
        """
        expected, actual = _described(self.state()), _described(state)
        for name in sorted(expected.keys() | actual.keys()):
            if expected.get(name) != actual.get(name):
                raise ValueError(
                    f"{type(self).__name__}: the saved state has {name!r} as "
                    f"{actual.get(name, 'nothing')}; expected {expected.get(name, 'nothing')}"
                )
        for name in self.lasting:
            value = getattr(self, name)
            if isinstance(value, Stateful):
                start = f"{name}."
                parts = {key: part for key, part in state.items() if key.startswith(start)}
                value.load_state({key.removeprefix(start): part for key, part in parts.items()})
            elif hasattr(value, "dtype"):
                value[...] = to_device(state[name], device_of(value))
            else:
                setattr(self, name, state[name])


def _described(state):
    """Describe each value: an array by its dtype and shape, anything else by its type."""
    return {
        name: f"{value.dtype} {value.shape}" if hasattr(value, "dtype") else type(value).__name__
        for name, value in state.items()
    }
