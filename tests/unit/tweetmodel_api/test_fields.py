"""Types of fields."""

import pytest
from pydantic import TypeAdapter, ValidationError

from tweetmodel_api.fields import (
    HttpsUri,
    Identifier,
    LocalReference,
    S3OrHttpsUri,
    S3Uri,
    ServiceUrl,
    canonical_decimal,
    cel_rule,
    list_type_map,
)


@pytest.mark.parametrize(
    ("text", "canonical"),
    [("0.0030", "3e-3"), ("3.0e-3", "3e-3"), ("40.0", "40"), ("0", "0"), ("0e5", "0"), ("1e99", "1e+99")],
)
def test_a_decimal_has_one_canonical_form(text: str, canonical: str) -> None:
    assert canonical_decimal(text) == canonical_decimal(canonical)
    assert len(canonical_decimal(text)) <= max(len(text), len(canonical))


@pytest.mark.parametrize(
    ("kind", "valid", "invalid"),
    [
        (S3Uri, "s3://bucket/key", "https://bucket/key"),
        (HttpsUri, "https://example.com/posts", "https://ada@example.com/posts"),
        (S3OrHttpsUri, "s3://bucket/key", "http://example.com"),
        (ServiceUrl, "http://mlflow:5000/path", "http://mlflow:5000/?key=secret"),
        (Identifier, "0123456789abcdef", "not-hexadecimal"),
    ],
    ids=["s3", "https", "s3-or-https", "service", "identifier"],
)
def test_a_text_must_have_the_form_of_its_type(kind: object, valid: str, invalid: str) -> None:
    adapter = TypeAdapter(kind)
    assert adapter.validate_python(valid) == valid
    with pytest.raises(ValidationError):
        adapter.validate_python(invalid)


def test_a_model_is_frozen_closed_and_camel_case() -> None:
    reference = LocalReference(name="s3")
    with pytest.raises(ValidationError, match="frozen"):
        reference.name = "other"
    with pytest.raises(ValidationError, match="Extra inputs"):
        LocalReference.model_validate({"name": "s3", "namespace": "other"})
    assert reference.to_json_object() == {"name": "s3"}


def test_rules_and_list_types_have_the_form_of_the_crd() -> None:
    schema: dict[str, object] = {}
    list_type_map("id")(schema)
    assert schema == {"x-kubernetes-list-type": "map", "x-kubernetes-list-map-keys": ["id"]}
    assert cel_rule("self.a", "set a") == {"rule": "self.a", "message": "set a"}


def test_a_copy_with_an_unknown_field_is_an_error() -> None:
    reference = LocalReference(name="s3")
    assert reference.model_copy(update={"name": "other"}).name == "other"
    with pytest.raises(TypeError, match="LocalReference has no fields namespace"):
        reference.model_copy(update={"namespace": "default"})
