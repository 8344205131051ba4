"""``report.html``: an output as one HTML file that needs no network."""
