"""Field types shared by all models of the API: immutable, closed to unknown fields, camelCase in JSON.

The Kubernetes API conventions require bounded strings and lists, and forbid floats: a decimal is a string, so that
no client rounds it (sig-architecture/api-conventions.md, "Numbers").
"""

import decimal
from collections.abc import Callable, Mapping
from typing import Annotated, Any, Self, cast

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, JsonValue
from pydantic.alias_generators import to_camel


class Model(BaseModel):
    """A frozen value that rejects unknown fields and is camelCase in JSON."""

    model_config = ConfigDict(
        frozen=True,
        extra="forbid",
        alias_generator=to_camel,
        populate_by_name=True,
        use_attribute_docstrings=True,
    )

    def model_copy(self, *, update: Mapping[str, Any] | None = None, deep: bool = False) -> Self:
        """Return a copy with changed fields.

        Raises:
            TypeError: the class has no field of a name in `update`; pydantic ignores such names.
        """
        unknown = (update or {}).keys() - type(self).model_fields.keys()
        if unknown:
            raise TypeError(f"{type(self).__name__} has no fields {', '.join(sorted(unknown))}")
        return super().model_copy(update=update, deep=deep)

    def to_json_object(self) -> dict[str, object]:
        """Return the JSON object of this value, without null fields."""
        return self.model_dump(mode="json", by_alias=True, exclude_none=True)


Decimal = Annotated[str, Field(pattern=r"^[0-9]+(\.[0-9]+)?([eE][-+]?[0-9]{1,2})?$", max_length=32)]
"""A decimal number as a string: "0.95", "1.372e-4"."""


def canonical_decimal(text: str) -> str:
    """Return the shorter of the plain and the exponential notation; numbers from 1e100 on stay unchanged."""
    number = decimal.Decimal(text).normalize()
    if abs(number.adjusted()) >= 100:
        return text
    return min(f"{number:f}", f"{number:e}", key=len)


CanonicalDecimal = Annotated[Decimal, AfterValidator(canonical_decimal)]
"""A decimal in canonical form, so that another notation of the same number starts no new run."""

Identifier = Annotated[str, Field(pattern=r"^[0-9a-f]{10,64}$", max_length=64)]
"""A hexadecimal content address."""

ObjectName = Annotated[str, Field(min_length=1, max_length=253)]
"""The name of an object in the namespace of the TweetModel."""


class LocalReference(Model):
    """Reference to an object in the namespace of the TweetModel."""

    name: ObjectName
    """Name of the object."""


_S3 = r"s3://[a-z0-9][a-z0-9.-]{1,61}[a-z0-9](/[^\s]*)?"
_HTTPS = r"https://[^\s/@?#]+(/[^\s]*)?"

S3Uri = Annotated[str, Field(pattern=f"^{_S3}$", min_length=8, max_length=1024)]
"""s3://bucket/key"""

HttpsUri = Annotated[str, Field(pattern=f"^{_HTTPS}$", min_length=10, max_length=2048)]
"""https://host/path, without user and password."""

S3OrHttpsUri = Annotated[str, Field(pattern=f"^({_S3}|{_HTTPS})$", min_length=8, max_length=2048)]
"""s3://bucket/key or https://host/path"""

ServiceUrl = Annotated[
    str, Field(pattern=r"^https?://(\[[0-9A-Fa-f:]+\]|[^\s/:@?#]+)(:\d{1,5})?(/[^\s?#]*)?$", max_length=512)
]
"""http(s)://host:port/path of a service, without user, password and query."""

Time = Annotated[str, Field(max_length=32, json_schema_extra={"format": "date-time"})]
"""A time in RFC 3339, in UTC."""

MAX_MESSAGE_LENGTH = 1024

Message = Annotated[str, Field(max_length=MAX_MESSAGE_LENGTH)]
"""A message for people, in full sentences."""


def list_type_map(*keys: str) -> Callable[[dict[str, Any]], None]:
    """Declare a list as a map with these keys, so that server-side apply merges the list item by item."""

    def extend(schema: dict[str, Any]) -> None:
        schema["x-kubernetes-list-type"] = "map"
        schema["x-kubernetes-list-map-keys"] = list(keys)

    return extend


def list_type_set(schema: dict[str, Any]) -> None:
    """Declare a list as a set: the API server rejects duplicates, and the order has no meaning."""
    schema["x-kubernetes-list-type"] = "set"


def list_type_atomic(schema: dict[str, Any]) -> None:
    """Declare a list as a single value for server-side apply."""
    schema["x-kubernetes-list-type"] = "atomic"


def cel_rule(expression: str, message: str) -> dict[str, str]:
    """Return an entry of `x-kubernetes-validations`."""
    return {"rule": expression, "message": message}


def with_cel_rules(*rules: dict[str, str]) -> ConfigDict:
    """Return the configuration of a model with CEL rules for the API server."""
    return ConfigDict(json_schema_extra={"x-kubernetes-validations": cast(JsonValue, list(rules))})
