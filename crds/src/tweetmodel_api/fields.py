"""Field types that every model of the contract shares: immutable, closed, camelCase on the wire.

The Kubernetes API conventions ask for bounded strings and lists, and for no floats: a decimal is
written as a string, so that no reader rounds it (sig-architecture/api-conventions.md, "Numbers").
"""

import decimal
from collections.abc import Callable
from typing import Annotated, Any, cast

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, JsonValue
from pydantic.alias_generators import to_camel


class Model(BaseModel):
    """A frozen value that refuses unknown fields and is camelCase in JSON."""

    model_config = ConfigDict(
        frozen=True,
        extra="forbid",
        alias_generator=to_camel,
        populate_by_name=True,
        use_attribute_docstrings=True,
    )

    def wire(self) -> dict[str, object]:
        """Returns the JSON object that goes over the wire, absent fields left out."""
        return self.model_dump(mode="json", by_alias=True, exclude_none=True)


Decimal = Annotated[str, Field(pattern=r"^[0-9]+(\.[0-9]+)?([eE][-+]?[0-9]{1,2})?$", max_length=32)]
"""A number that may have a fraction, as a string: "0.95", "1.372e-4"."""


def shortest(text: str) -> str:
    """The one way to write a decimal: with or without an exponent, whichever is shorter."""
    number = decimal.Decimal(text).normalize()
    in_bounds = abs(number.adjusted()) < 100
    return min(f"{number:f}", f"{number:e}", key=len) if in_bounds else text


DecimalSetting = Annotated[Decimal, AfterValidator(shortest)]
"""A decimal that a person writes: equal values become equal texts, or another spelling would train anew."""

Identifier = Annotated[str, Field(pattern=r"^[0-9a-f]{10,64}$", max_length=64)]
"""A hexadecimal content address."""

ObjectName = Annotated[str, Field(min_length=1, max_length=253)]
"""The name of an object in the TweetModel's own namespace."""


class LocalReference(Model):
    """Names an object in the TweetModel's own namespace."""

    name: ObjectName
    """Name of the object."""


_S3 = r"s3://[a-z0-9][a-z0-9.-]{1,61}[a-z0-9](/[^\s]*)?"
_HTTPS = r"https://[^\s/@?#]+(/[^\s]*)?"

S3Uri = Annotated[str, Field(pattern=f"^{_S3}$", min_length=8, max_length=1024)]
"""s3://bucket/key"""

HttpsUri = Annotated[str, Field(pattern=f"^{_HTTPS}$", min_length=10, max_length=2048)]
"""https://host/path, without a user and a password in it."""

Location = Annotated[str, Field(pattern=f"^({_S3}|{_HTTPS})$", min_length=8, max_length=2048)]
"""s3://bucket/key or https://host/path"""

Address = Annotated[
    str, Field(pattern=r"^https?://(\[[0-9A-Fa-f:]+\]|[^\s/:@?#]+)(:\d{1,5})?(/[^\s?#]*)?$", max_length=512)
]
"""http(s)://host:port/path of a service, without a user, a password or a query in it."""

Time = Annotated[str, Field(max_length=32, json_schema_extra={"format": "date-time"})]
"""RFC 3339, in UTC."""

MOST_MESSAGE = 1024

Text = Annotated[str, Field(max_length=MOST_MESSAGE)]
"""A sentence for a person."""


def map_list(*keys: str) -> Callable[[dict[str, Any]], None]:
    """Marks a list as a map by `keys`, so that server-side apply merges it item by item."""

    def extend(schema: dict[str, Any]) -> None:
        schema["x-kubernetes-list-type"] = "map"
        schema["x-kubernetes-list-map-keys"] = list(keys)

    return extend


def a_set(schema: dict[str, Any]) -> None:
    """Marks a list as a set: the API server refuses to take a value twice, and order says nothing."""
    schema["x-kubernetes-list-type"] = "set"


def atomic(schema: dict[str, Any]) -> None:
    """Marks a list as one value, which server-side apply replaces as a whole."""
    schema["x-kubernetes-list-type"] = "atomic"


def rule(cel: str, message: str) -> dict[str, str]:
    """A CEL rule in the form that `x-kubernetes-validations` takes."""
    return {"rule": cel, "message": message}


def rules(*given: dict[str, str]) -> ConfigDict:
    """The configuration of a model that these CEL rules go with."""
    return ConfigDict(json_schema_extra={"x-kubernetes-validations": cast(JsonValue, list(given))})
