"""The explorer: backprop through attention on one HTML page, made from a trace.

`page.page_data` takes the numbers from a trace, `page.page_html` puts them into the page, and
`server.serve` shows it and moves numbers on demand.
"""

from .page import page_data, page_html
from .server import serve

__all__ = ["page_data", "page_html", "serve"]
