"""The explorer: backprop through attention on one HTML page, made from a trace."""

from .page import page_data, page_html
from .server import serve

__all__ = ["page_data", "page_html", "serve"]
