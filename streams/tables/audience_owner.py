"""Whose an audience is."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class Owner:
    """Whose audiences they are: a platform's account at a base URL. Those of another one never meet."""

    provider: str
    host: str
    platform_account_id: str

    def key(self, platform_name: str) -> str:
        """Return the key of the records about a name."""
        return self.prefix + platform_name

    @property
    def prefix(self) -> str:
        """How the keys of this account begin; a name may hold whatever it likes, as it comes last."""
        return f"{self.provider}|{self.host}|{self.platform_account_id}|"
