"""Uncertainty, differences and ranks. Pure; quantiles and distributions come from scipy.

The sequences are the sample: there is one value per sequence; turns and repeats have been reduced before.
"""
