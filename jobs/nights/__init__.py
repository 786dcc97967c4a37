"""Schedules, baselines, notifications, and the nights that a trend is made of."""
