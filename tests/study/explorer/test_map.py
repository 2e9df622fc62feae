"""What the map says in numbers: what branches add, what comes back, and what would be read."""

import numpy as np
import pytest

from minivit.layers import Softmax
from tests.study.explorer.cases import VARIANTS, classifier_of, data_of, digits_of, traced

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module", params=VARIANTS)
def classifier(request):
    return classifier_of(**VARIANTS[request.param])


@pytest.fixture(scope="module")
def page(classifier, shared_page_of):
    return shared_page_of(data_of(classifier))


@pytest.fixture(scope="module")
def record(classifier):
    return traced(classifier, digits_of(classifier)[0])


def test_shares_are_those_of_the_lengths_in_a_trace(classifier, page, record):
    post = classifier.model.config["norm"] == "post"
    for number in range(len(classifier.model.blocks)):
        sums = {
            "sum1": ("x", "attn_kept", "dsum1" if post else "dmid", "dx_branch"),
            "sum2": ("mid", "mlp_kept", "dsum2" if post else "dy", "dmid_branch"),
        }
        for part, names in sums.items():
            stream, branch, past, through = (
                np.linalg.norm(record[f"blocks.{number}.{name}"].value) for name in names
            )
            said = page.evaluate(f"sharesOf('blocks.{number}.{part}')")
            assert said["adds"] == pytest.approx(branch / stream, rel=1e-9)
            assert said["back"] == pytest.approx(through / (past + through), rel=1e-9)


def test_what_would_be_read_after_a_block_is_what_a_model_of_so_many_blocks_reads(classifier, page):
    model, params = classifier.model, classifier.params.astype(np.float64)
    normalize = classifier.normalize
    image = (digits_of(classifier)[0].pixels[None] / 255 - normalize.mean) / normalize.std
    for number, said in enumerate(page.evaluate("lensOf()"), 1):
        blocks = model.blocks
        model.blocks = blocks[:number]
        try:
            logits, _ = model.forward({**params.nest, "blocks": params["blocks"][:number]}, image)
        finally:
            model.blocks = blocks
        np.testing.assert_allclose(said, Softmax().forward(logits)[0][0], rtol=1e-9)
