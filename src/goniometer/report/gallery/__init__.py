"""Which charts a page has: their names, order, menus and keys.

A chart is drawn in `charts`; here it is hung. A new one gets a line in `hang.specifications`, and
one where its part of the page is put together: hang.py, study.py or behaviour.py.
"""
