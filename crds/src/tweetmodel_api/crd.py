"""Generates the CustomResourceDefinitions from the models; `make generate` writes them to crds/.

pydantic generates JSON Schema; Kubernetes requires a *structural* schema (apiextensions.k8s.io/v1): no $ref, no null
types, no titles, one type for every node. Hence references are inlined, and optional fields lose the null. CEL
rules and list types are part of the models, as `json_schema_extra`.
"""

from typing import Any

from tweetmodel_api import DEFAULTS_KIND, DEFAULTS_PLURAL, GROUP, KIND, PLURAL, VERSION, defaults
from tweetmodel_api.defaults import DefaultsSpec
from tweetmodel_api.fields import Model, cel_rule
from tweetmodel_api.spec import MAX_NAME_LENGTH, TweetModelSpec
from tweetmodel_api.status import NOT_OBSERVED, TweetModelStatus

Schema = dict[str, Any]

_DROPPED = {"title", "additionalProperties", "$defs", "discriminator"}

COLUMNS: tuple[tuple[str, str, str, str, int], ...] = (
    ("Handles", "string", ".status.summary.handles", "Accounts of the training posts", 0),
    ("Status", "string", '.status.conditions[?(@.type=="Ready")].reason', "Reason of the condition Ready", 0),
    ("Progress", "string", ".status.summary.progress", "Completed percentage of the active step", 0),
    ("ETA", "string", ".status.summary.eta", "Estimated time until the end of the active step", 0),
    ("Loss", "string", ".status.summary.loss", "Cross-entropy in nats per token", 0),
    ("Perplexity", "string", ".status.summary.perplexity", "Perplexity on held-out posts", 0),
    ("Tweets", "integer", ".status.summary.tweets", "Posts kept after cleaning", 0),
    ("Age", "date", ".metadata.creationTimestamp", "", 0),
    ("Run", "string", ".status.run", "Run of the current spec", 1),
    ("Model", "string", ".status.model.uri", "Folder of the current model", 1),
    ("Message", "string", '.status.conditions[?(@.type=="Ready")].message', "Message of the condition Ready", 1),
)


def structural(schema: Schema, definitions: Schema) -> Schema:
    """Return the structural schema of one node of pydantic's JSON Schema."""
    if "$ref" in schema:
        target = definitions[schema["$ref"].rsplit("/", 1)[-1]]
        return structural({**target, **{k: v for k, v in schema.items() if k != "$ref"}}, definitions)
    if "anyOf" in schema:
        return _union(schema, definitions)
    node = {key: value for key, value in schema.items() if key not in _DROPPED}
    if "description" in node:
        node["description"] = " ".join(node["description"].split())
    if isinstance(node.get("default"), dict):
        node["default"] = {key: value for key, value in node["default"].items() if value is not None}
    if "const" in node:
        node["enum"] = [node.pop("const")]
    if "properties" in node:
        node["properties"] = {k: structural(v, definitions) for k, v in node["properties"].items()}
    elif isinstance(schema.get("additionalProperties"), dict):
        node["additionalProperties"] = structural(schema["additionalProperties"], definitions)
        node.pop("propertyNames", None)
    if "items" in node:
        node["items"] = structural(node["items"], definitions)
    return node


def _union(schema: Schema, definitions: Schema) -> Schema:
    rest = {k: v for k, v in schema.items() if k != "anyOf" and not (k == "default" and v is None)}
    members = [member for member in schema["anyOf"] if member != {"type": "null"}]
    if len(members) == 1:
        return structural({**members[0], **rest}, definitions)
    if {member["type"] for member in members} == {"integer", "string"}:
        node = {key: value for key, value in rest.items() if key not in _DROPPED}
        return {**node, "x-kubernetes-int-or-string": True, "anyOf": [{"type": "integer"}, {"type": "string"}]}
    raise ValueError(f"a structural schema has no union of {members}")


def _schema_of(model: type[Model]) -> Schema:
    schema = model.model_json_schema(by_alias=True, mode="validation")
    return structural(schema, schema.get("$defs", {}))


def _spec() -> Schema:
    """Return the schema of the spec, in which fields with administrator defaults have no default and stay absent."""
    schema = _schema_of(TweetModelSpec)
    for name in defaults.DEFAULTABLE_FIELDS:
        schema["properties"][name].pop("default", None)
    schema["required"] = [name for name in schema["required"] if name not in defaults.DEFAULTABLE_FIELDS]
    return schema


def crds() -> list[Schema]:
    """Return the CustomResourceDefinitions of TweetModel and TweetModelDefaults."""
    return [_tweetmodel(), _defaults()]


def _tweetmodel() -> Schema:
    name_rule = cel_rule(
        f"self.metadata.name.size() <= {MAX_NAME_LENGTH} && self.metadata.name.matches('^[a-z]([-a-z0-9]*[a-z0-9])?$')",
        f"metadata.name is not valid (names of Jobs contain it): use at most {MAX_NAME_LENGTH} letters a-z, digits "
        "and dashes, beginning with a letter and not ending with a dash",
    )
    self_reference_rule = cel_rule(
        "!self.spec.sources.exists(s, has(s.tweetModel) && s.tweetModel.name == self.metadata.name)",
        "a source names the TweetModel itself, which would wait for its own posts: name another TweetModel",
    )
    version = {
        "subresources": {"status": {}},
        "additionalPrinterColumns": [
            {"name": name, "type": kind, "jsonPath": path}
            | ({"description": text} if text else {})
            | ({"priority": priority} if priority else {})
            for name, kind, path, text, priority in COLUMNS
        ],
    }
    status = _schema_of(TweetModelStatus) | {"default": {"observedGeneration": NOT_OBSERVED}}
    properties = {"spec": _spec(), "status": status}
    description = "A language model fine-tuned on the posts of the named accounts."
    return _definition(KIND, PLURAL, ["tm"], version, description, [name_rule, self_reference_rule], properties)


def _defaults() -> Schema:
    name_rule = cel_rule(
        f"self.metadata.name == '{defaults.OBJECT_NAME}'",
        f"the TweetModelDefaults of a namespace have another name: change metadata.name to {defaults.OBJECT_NAME}",
    )
    description = "Defaults for the TweetModels of this namespace, for fields that their specs omit."
    properties = {"spec": _schema_of(DefaultsSpec)}
    return _definition(DEFAULTS_KIND, DEFAULTS_PLURAL, [], {}, description, [name_rule], properties)


def _definition(
    kind: str,
    plural: str,
    short_names: list[str],
    version: Schema,
    description: str,
    rules: list[dict[str, str]],
    properties: Schema,
) -> Schema:
    return {
        "apiVersion": "apiextensions.k8s.io/v1",
        "kind": "CustomResourceDefinition",
        "metadata": {"name": f"{plural}.{GROUP}"},
        "spec": {
            "group": GROUP,
            "scope": "Namespaced",
            "names": {
                "kind": kind,
                "listKind": f"{kind}List",
                "plural": plural,
                "singular": kind.lower(),
                **({"shortNames": short_names} if short_names else {}),
            },
            "versions": [
                {
                    "name": VERSION,
                    "served": True,
                    "storage": True,
                    **version,
                    "schema": {
                        "openAPIV3Schema": {
                            "type": "object",
                            "description": description,
                            "required": ["spec"],
                            "x-kubernetes-validations": rules,
                            "properties": {
                                "apiVersion": {"type": "string"},
                                "kind": {"type": "string"},
                                "metadata": {"type": "object"},
                                **properties,
                            },
                        }
                    },
                }
            ],
        },
    }
