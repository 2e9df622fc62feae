import numpy as np
import pytest

from minivit.layers import FirstToken, MeanPool


@pytest.mark.parametrize("layer", [MeanPool(), FirstToken()])
def test_refuses_what_is_not_a_batch_of_tokens(layer):
    with pytest.raises(ValueError, match=r"expected shape \(B, T, D\), got \(3, 5\)"):
        layer.forward(np.zeros((3, 5)))


def test_mean_ignores_the_order_of_tokens_and_the_first_token_all_others():
    x = np.random.default_rng(0).standard_normal((2, 7, 5))
    changed = x.copy()
    changed[:, 1:] = 9
    np.testing.assert_allclose(MeanPool().forward(x[:, ::-1])[0], MeanPool().forward(x)[0])
    np.testing.assert_array_equal(FirstToken().forward(changed)[0], x[:, 0])
