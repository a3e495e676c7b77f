"""The contract of `listener.sources.contract`, held by each kind that has a payloads/<kind>/contract.toml."""

from __future__ import annotations

from pathlib import Path

import pytest

from listener.sources import kinds
from listener.sources.contract import Contract, SourceContract

PAYLOADS = Path(__file__).parent / "payloads"
WITH_CONTRACT = sorted(kind for kind in kinds() if (PAYLOADS / kind / "contract.toml").exists())


class TestContract(SourceContract):
    @pytest.fixture(params=WITH_CONTRACT)
    def contract(self, request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Contract:
        contract = Contract(request.param, PAYLOADS / request.param)
        for name, value in contract.told.get("env", {}).items():
            monkeypatch.setenv(name, value)
        return contract


def test_these_kinds_have_a_contract() -> None:
    assert {"feeds", "hackernews", "webreviews"} <= set(WITH_CONTRACT)
