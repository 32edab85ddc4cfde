"""Functions by family; a family is one file with a tuple of rows."""
