"""The report of an output as one HTML file, to look at: ``OUTPUT/report.html``.

It is made of what plan, receipts and measurements say, and of a sample of the shards. It needs no
network. File and class names may hold anything, and are only shown as text.
"""

from prep.webpage.page import report_page, update_page

__all__ = ["report_page", "update_page"]
