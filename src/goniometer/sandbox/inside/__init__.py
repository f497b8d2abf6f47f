"""What runs in the sandboxes: the program's side and the tests' side. Standard library alone."""
