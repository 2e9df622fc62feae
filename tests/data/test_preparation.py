import json

import pytest

from minivit.data.framing import MIDDLE, Framing
from minivit.data.normalize import Normalize
from minivit.data.preparation import as_dict, of_dict


@pytest.mark.parametrize("framing", [MIDDLE, Framing(0.875, True, "bicubic")])
def test_what_is_taken_apart_is_put_together_again(framing):
    normalize = Normalize([0.1, 0.2, 0.3], [0.4, 0.5, 0.6])
    written = json.loads(json.dumps(as_dict(normalize, framing)))
    assert list(written) == ["mean", "std", "crop", "squash", "interpolation"]
    assert of_dict(written) == (normalize, framing)


def test_an_earlier_run_has_no_framing():
    assert of_dict({"mean": 0.1, "std": 0.3}) == (Normalize(0.1, 0.3), MIDDLE)


def test_other_names_are_refused():
    with pytest.raises(TypeError, match="zoom"):
        of_dict({"mean": 0.1, "std": 0.3, "zoom": 2})
