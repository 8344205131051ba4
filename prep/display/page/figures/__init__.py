"""The Bokeh figures of ``report.html``, without the heading and caption that a section adds.

pictures   what is in an output: classes, sources, channels, shards
timelines  how the run went
style      what all of them look like

A figure leaves the colours of text and lines to the page, which has a light and a dark theme.
"""
