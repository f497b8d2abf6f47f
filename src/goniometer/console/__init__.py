"""The terminal: a file a verb, and under them a file for each thing printed."""
