"""Where a secret is: in an environment variable or in a file of its own, never in the configuration."""

from __future__ import annotations

import os
from typing import Any

from pydantic import Field, model_validator

from listener.errors import Disabled
from listener.settings.fields import FilePath, Settings


class Secret(Settings):
    """A secret by the place where it is kept, as `token = { env = "MASTODON_TOKEN" }`."""

    env: str = Field("", description="The environment variable that holds it.")
    file: FilePath | None = Field(None, description="Or the file that holds it, readable by the daemon alone.")

    @model_validator(mode="before")
    @classmethod
    def _no_literal(cls, table: Any) -> Any:
        if isinstance(table, str):
            raise ValueError(
                "a secret does not belong in this file: put it into an environment variable and write "
                '{ env = "ITS_NAME" }, or into a file of its own and write { file = "its-path" }'
            )
        return table

    @model_validator(mode="after")
    def _one_place(self) -> Secret:
        if bool(self.env) == bool(self.file):
            raise ValueError('name one place: { env = "ITS_NAME" } or { file = "its-path" }')
        return self

    def read(self, what: str) -> str:
        """The secret. Raises Disabled, which names `what` it is and where it was looked for."""
        if self.env:
            found = os.environ.get(self.env, "").strip()
            if not found:
                raise Disabled(f"{what}: the environment has no variable {self.env}; set it and start again")
            return found
        assert self.file is not None
        try:
            found = self.file.read_text("utf-8").strip()
        except (OSError, UnicodeDecodeError) as error:
            raise Disabled(f"{what}: {self.file} cannot be read: {error}") from error
        if not found:
            raise Disabled(f"{what}: {self.file} is empty")
        return found
