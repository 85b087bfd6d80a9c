"""The fabric of thesis chapter 4: the compiled model, bound for Python."""
