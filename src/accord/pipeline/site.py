"""The whole site of one server process: where people judge, and the board of a workspace's rounds."""

import os
from collections.abc import Mapping

from fastapi import FastAPI

from accord.feedback.serving import app_of_environment as judging
from accord.pipeline.rounds.board import board_router
from accord.pipeline.speakers import speakers_of_environment
from accord.pipeline.workspace import Workspace, workspace_root
from accord.store.database.accounts import Accounts

FACTORY = "accord.pipeline.site:app_of_environment"


def app_of_environment(environment: Mapping[str, str] = os.environ) -> FastAPI:
    """The application of one worker: store and workspace are those of the environment."""
    app = judging(environment, speakers=speakers_of_environment(environment))
    space = Workspace(workspace_root(None, environment))
    app.include_router(board_router(space, Accounts.of(app.state.database)))
    return app
