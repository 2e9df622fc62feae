"""The page in a notebook."""

import html
from typing import Any

from ...classifier import Classifier
from .examples import MOST, chosen
from .page import Digit, expect_small, page_data, page_html


def show(run: Any, images: Any, labels: Any = None) -> Any:
    """Return the page as what a notebook shows in place, in Jupyter and Colab; no file is written.

    run:    a run's folder, or a Classifier; a Transcriber too, without labels
    images: uint8, as the model was trained on, (n, H, W) or (n, H, W, C)
    labels: (n,) integers; then `chosen` says which images are shown, else they are the first
    Errors: those of `Classifier.load`, `chosen` and `page_data`.
    """
    from IPython.display import IFrame  # here, as only notebooks need it

    classifier = run if isinstance(run, Classifier) else Classifier.load(run)
    expect_small(classifier)
    if labels is None:
        digits = [Digit(pixels, name=f"image {n}") for n, pixels in enumerate(images[:MOST])]
    else:
        digits = chosen(classifier, images, labels)
    page = page_html(page_data(classifier, digits, drawing=classifier.reads_digits))
    rights = ['sandbox="allow-scripts allow-downloads"', 'allow="clipboard-write"']
    return IFrame("", "100%", 900, [*rights, f'srcdoc="{html.escape(page)}"'])
