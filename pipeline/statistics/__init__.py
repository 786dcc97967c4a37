"""Doubt, differences and ranks. Pure; quantiles and distributions come from scipy.

The sequences are the sample: values are one per sequence, turns and repeats reduced before.
"""
