"""Displays of plans, runs and reports, for terminals, notebooks and browsers.

callbacks  events of a run as JSON lines or a progress bar
displays   the display that suits a terminal, a notebook or a log
terminal   bars and lines on standard error
progress   what displays at terminals share
live       a run as a panel in a notebook's cell
notebook   cells that are updated in place
objects    configurations, plans and reports in a cell, and tables of them for any display
gallery    pictures below a report in a cell
markup     Jinja2 templates, which lie in templates/
links      addresses of the dashboard and of files
page/      report.html

Nothing here decides or computes what a run does. HTML comes from templates only, which escape all
text. Jinja2 and Bokeh are loaded when HTML is first asked for.
"""
