"""Every page, in the order of the navigation."""

from __future__ import annotations

from nightjar.web.pages import (
    cleanup,
    computed,
    doctor,
    duplicates,
    get_models,
    login,
    model,
    model_settings,
    models,
    new_run,
    now,
    play,
    run,
    run_actions,
    runs,
    schedules,
    search,
    settings,
    suite_upload,
    suites,
    transcripts,
    workers,
)
from nightjar.web.routing import Route

ROUTES: tuple[Route, ...] = (
    *now.ROUTES,
    *runs.ROUTES,
    *new_run.ROUTES,
    *run.ROUTES,
    *run_actions.ROUTES,
    *transcripts.ROUTES,
    *play.ROUTES,
    *computed.ROUTES,
    *schedules.ROUTES,
    *search.ROUTES,
    *duplicates.ROUTES,
    *settings.ROUTES,
    *suites.ROUTES,
    *suite_upload.ROUTES,
    *models.ROUTES,
    *get_models.ROUTES,
    *model_settings.ROUTES,
    *model.ROUTES,
    *workers.ROUTES,
    *doctor.ROUTES,
    *cleanup.ROUTES,
    *login.ROUTES,
)
