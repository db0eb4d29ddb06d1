"""Settings: flag > environment > .env > soli.toml > default. The only reader of the environment."""

from __future__ import annotations

import os
import re
import shutil
import tomllib
from collections.abc import MutableMapping
from dataclasses import MISSING, fields, is_dataclass
from pathlib import Path
from typing import Any, Literal, TypeVar, get_type_hints
from urllib.parse import urlsplit

from pydantic import Field, SecretStr, TypeAdapter, ValidationError, field_validator
from pydantic_settings import (
    BaseSettings,
    PydanticBaseSettingsSource,
    SettingsConfigDict,
    TomlConfigSettingsSource,
)
from pydantic_settings import SettingsError as SourceError

from warehouse.errors import SettingsError
from warehouse.store import Store

CHECKOUT = Path(__file__).parents[1]
CONFIG_FILE = Path("soli.toml")
PREFECT_SECONDS = "180"  # its own 20 are too few on a busy machine with a fresh home
SECRET_VARIABLES = (
    "AWS_ACCESS_KEY_ID",
    "AWS_SECRET_ACCESS_KEY",
    "AWS_SESSION_TOKEN",
    "PREFECT_API_AUTH_STRING",
    "PREFECT_API_KEY",
)
Owned = TypeVar("Owned")


class Settings(BaseSettings):
    """Everything a run may be told, with its default.

    Sections are handed to the dataclasses of their owners (`owned`), which know the fields.
    """

    model_config = SettingsConfigDict(
        env_prefix="SOLI_",
        env_file=".env",
        toml_file=CONFIG_FILE,
        extra="ignore",
        populate_by_name=True,
        frozen=True,
    )

    home: Path = Path(".soli")
    tables: str | None = None
    label_studio_url: str | None = Field(None, validation_alias="LABEL_STUDIO_URL")
    label_studio_api_key: SecretStr | None = Field(None, validation_alias="LABEL_STUDIO_API_KEY")
    label_studio_api_key_block: str | None = None
    label_studio: Path | None = None
    media_roots: tuple[Path, ...] = ()
    dimensions: tuple[dict[str, Any], ...] = ()
    mapping: dict[str, dict[str, Literal["pass", "fail"]]] = Field(default_factory=dict)
    reviewers: tuple[str, ...] = ()
    agreement: dict[str, Any] = Field(default_factory=dict)
    annotators: dict[str, Any] = Field(default_factory=dict)
    suitability: dict[str, Any] = Field(default_factory=dict)
    comparisons: dict[str, Any] = Field(default_factory=dict)
    consensus: dict[str, Any] = Field(default_factory=dict)
    gates: tuple[dict[str, Any], ...] = ()
    queue: dict[str, Any] = Field(default_factory=dict)
    pairs: dict[str, Any] = Field(default_factory=dict)
    frame_cache_gb: float | None = Field(None, gt=0)
    log_json: bool = False

    @field_validator("label_studio_url")
    @classmethod
    def _http(cls, url: str | None) -> str | None:
        if url is not None and not url.startswith(("http://", "https://")):
            raise ValueError("must start with http:// or https://")
        if url is not None and "@" in urlsplit(url).netloc:
            raise ValueError("must not hold a name or password; use LABEL_STUDIO_API_KEY")
        return url.rstrip("/") if url else None

    @field_validator("tables")
    @classmethod
    def _object_store(cls, url: str | None) -> str | None:
        if url is not None and not re.fullmatch(r"s3://[a-z0-9][a-z0-9.-]+(/[\w.=-]+)*/?", url):
            raise ValueError(
                "must be s3://BUCKET or s3://BUCKET/PREFIX; keys go into AWS_ACCESS_KEY_ID and"
                " AWS_SECRET_ACCESS_KEY"
            )
        return url.rstrip("/") if url else None

    @field_validator("mapping")
    @classmethod
    def _beyond(cls, mapping: dict[str, dict[str, str]]) -> dict[str, dict[str, str]]:
        for dimension, choices in mapping.items():
            if fixed := sorted({"Pass", "Fail"} & set(choices)):
                raise ValueError(f"{dimension}: {fixed[0]} means what it says and is not mapped")
        return mapping

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,
        file_secret_settings: PydanticBaseSettingsSource,  # noqa: ARG003 -- pydantic's signature
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        """Put soli.toml last."""
        toml = TomlConfigSettingsSource(settings_cls)
        return init_settings, env_settings, dotenv_settings, toml

    @property
    def store(self) -> Store:
        """The warehouse under the home, its tables at SOLI_TABLES where that is given.

        delta-rs reads the keys of the object store (AWS_*) from the environment by itself.
        """
        return Store(self.home, self.tables)

    @property
    def secrets(self) -> set[str]:
        """Tokens and keys as they are set, here or in the environment of what we start."""
        key = self.label_studio_api_key
        found = {key.get_secret_value() if key else "", *map(os.environ.get, SECRET_VARIABLES)}
        return {word for word in found if word}

    @property
    def frame_cache_bytes(self) -> int | None:
        """Size above which decoded frames are thinned out."""
        return None if self.frame_cache_gb is None else round(self.frame_cache_gb * 10**9)

    @property
    def media_root(self) -> Path:
        """Folder below which local videos lie; Label Studio serves nothing outside it."""
        return (self.media_roots[0] if self.media_roots else self.home / "media").absolute()

    @property
    def server_home(self) -> Path:
        """Data directory of a Label Studio that Soli starts itself."""
        return self.home.resolve() / "labelstudio"

    @property
    def server_binary(self) -> Path:
        """Label Studio's program.

        Raises: SettingsError where there is none.
        """
        local = CHECKOUT / ".venv-labelstudio/bin/label-studio"
        found = self.label_studio or (local if local.exists() else shutil.which("label-studio"))
        if found and Path(found).exists():
            return Path(found)
        raise SettingsError(
            f"no Label Studio program at {found or local}; run `make demo` once, which installs it,"
            " or point SOLI_LABEL_STUDIO at one"
        )

    @property
    def server_template(self) -> Path:
        """Cached empty data directory, already migrated."""
        return CHECKOUT / ".cache/labelstudio-template"


def load(**flags: object) -> Settings:
    """Settings with the flags that were given (None: not given).

    Raises: SettingsError naming the setting, where it came from, and what is wrong.
    """
    _check_file()
    given = {name: value for name, value in flags.items() if value is not None}
    try:
        settings = Settings(**given)  # type: ignore[arg-type]  # validated by pydantic itself
    except ValidationError as error:
        first = error.errors(include_input=False, include_url=False)[0]
        name = ".".join(map(str, first["loc"]))
        raise SettingsError(
            f"setting {name}: {first['msg']}; mend it in {CONFIG_FILE}, .env or the environment"
        ) from None  # the error shows values, which may be secret
    except SourceError as error:
        raise SettingsError(
            f"environment or .env: {error}; tables and lists are given as JSON"
        ) from None
    _check_home(settings.home)
    return settings


def owned(owner: type[Owned], section: str, values: dict[str, Any]) -> Owned:
    """The owner's config, from a section of soli.toml.

    Raises: SettingsError for a field that the owner does not know, or of another type; the owner's
        own error for a value.
    """
    assert is_dataclass(owner)
    hints, known = get_type_hints(owner), [field.name for field in fields(owner)]
    given = {name: _frozen(value) for name, value in values.items()}
    for name, value in given.items():
        if name not in known:
            raise SettingsError(
                f"{CONFIG_FILE}, section {section}: nobody knows {name!r}; the fields are"
                f" {', '.join(known)}"
            )
        if not is_dataclass(hints[name]):  # such a field reads its own table
            _check_type(hints[name], value, f"{section}: {name}")
    for field in fields(owner):
        if (
            field.name not in given
            and field.default is MISSING
            and field.default_factory is MISSING
        ):
            raise SettingsError(f"{CONFIG_FILE}, section {section}: {field.name} is missing")
    try:
        made: Owned = owner(**given)
    except TypeError as error:
        raise SettingsError(f"{CONFIG_FILE}, section {section}: {error}") from error
    return made


def _check_type(hint: Any, value: Any, place: str) -> None:
    try:
        TypeAdapter(hint).validate_python(value, strict=True)
    except ValidationError as error:
        words = error.errors(include_url=False)[0]["msg"].replace("a valid tuple", "a list")
        raise SettingsError(f"{CONFIG_FILE}, section {place} is {value!r}: {words}") from error


def _frozen(value: Any) -> Any:
    return tuple(map(_frozen, value)) if isinstance(value, list) else value


def _check_file() -> None:
    """Refuse a soli.toml that is no TOML, holds a secret, or names a setting nobody knows."""
    if not CONFIG_FILE.exists():
        return
    try:
        content = tomllib.loads(CONFIG_FILE.read_text(encoding="utf-8"))
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise SettingsError(f"{CONFIG_FILE}: no TOML: {error}") from error
    except OSError as error:
        raise SettingsError(f"{CONFIG_FILE}: cannot be read ({error.strerror})") from error
    names = set(Settings.model_fields)
    for name in content:
        if name.lower() == "label_studio_api_key":
            raise SettingsError(f"{CONFIG_FILE}: {name} is a secret; put it in the environment")
        if name not in names:
            raise SettingsError(
                f"{CONFIG_FILE}: nobody knows {name!r}; the settings are {', '.join(sorted(names))}"
            )


def _check_home(home: Path) -> None:
    """Refuse a home that is a file, or would lie below one."""
    try:
        there = next(place for place in (home, *home.absolute().parents) if place.exists())
    except OSError:
        return  # whoever opens it says what is wrong
    if not there.is_dir():
        raise SettingsError(
            f"{home} cannot be the home of a warehouse: {there} is no folder; name another with"
            " --home or SOLI_HOME"
        )


def environment_for_prefect(home: Path, *, debug: bool = False) -> None:
    """Give Prefect a home inside ours, unless the user has set one up, and keep it quiet.

    Prefect logs the traceback of a failed step as an error; people see our one line instead.
    """
    if "PREFECT_API_URL" not in os.environ:
        home.mkdir(parents=True, exist_ok=True)
        os.environ.setdefault("PREFECT_HOME", str(home.absolute() / "prefect"))
    os.environ.setdefault("PREFECT_SERVER_ANALYTICS_ENABLED", "false")
    os.environ.setdefault("PREFECT_LOGGING_LEVEL", "WARNING" if debug else "CRITICAL")
    os.environ.setdefault("PREFECT_SERVER_EPHEMERAL_STARTUP_TIMEOUT_SECONDS", PREFECT_SECONDS)
    os.environ.setdefault("DO_NOT_TRACK", "1")


def environment_for_spark() -> MutableMapping[str, str]:
    """The environment itself: Spark's programs are told of Java and of addresses by it alone."""
    return os.environ


def environment_for_runs(settings: Settings) -> None:
    """Let the processes that Prefect starts for its runs find this home, and log as we do."""
    os.environ["SOLI_HOME"] = str(settings.home.absolute())
    if settings.log_json:
        os.environ["SOLI_LOG_JSON"] = "true"


def prefect_api_url() -> str | None:
    """Address of a Prefect server's API that the environment names; a password in it is kept."""
    return os.environ.get("PREFECT_API_URL") or None


def chromium() -> str | None:
    """The browser that the browser tests drive, where there is one."""
    return os.environ.get("SOLI_CHROMIUM") or shutil.which("chromium")
