"""The version of this installation; `nightjar.__version__` is the same."""

NIGHTJAR_VERSION = "0.1.0"
