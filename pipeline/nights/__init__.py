"""Schedules, their ticks, and what is left of old nights."""
