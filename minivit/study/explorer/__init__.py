"""The explorer: one HTML page that holds a model, computes both its passes and shows every number.

Of a ViT, for an image; of a Reader, for one letter of a strip.

show("runs/mnist", images, labels)                 in a notebook
page_html(page_data(classifier, digits))           the page as text
"""

from .examples import chosen, chosen_strips
from .notebook import show
from .page import Digit, expect_small, page_data, page_html

__all__ = ["Digit", "chosen", "chosen_strips", "expect_small", "page_data", "page_html", "show"]
