"""The checks of `nightjar doctor`."""
