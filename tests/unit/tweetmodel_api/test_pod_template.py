"""Fields of pods that a user may set."""

from makers import spec
from tweetmodel_api.crd import crds


def test_topology_spread_constraints_have_the_fields_of_kubernetes() -> None:
    constraint = {
        "maxSkew": 1,
        "topologyKey": "topology.kubernetes.io/zone",
        "whenUnsatisfiable": "ScheduleAnyway",
        "labelSelector": {
            "matchLabels": {"team": "voices"},
            "matchExpressions": [{"key": "app", "operator": "In", "values": ["a"]}],
        },
    }
    read = spec(podTemplate={"topologySpreadConstraints": [constraint]})
    assert read.to_json_object()["podTemplate"] == {"topologySpreadConstraints": [constraint]}


def test_topology_spread_constraints_are_a_map_as_in_kubernetes() -> None:
    properties = crds()[0]["spec"]["versions"][0]["schema"]["openAPIV3Schema"]["properties"]["spec"]["properties"]
    schema = properties["podTemplate"]["properties"]["topologySpreadConstraints"]
    assert schema["x-kubernetes-list-map-keys"] == ["topologyKey", "whenUnsatisfiable"]


def test_a_template_can_not_replace_the_trainer() -> None:
    properties = crds()[0]["spec"]["versions"][0]["schema"]["openAPIV3Schema"]["properties"]["spec"]["properties"]
    fields = properties["podTemplate"]["properties"].keys()
    assert not fields & {"command", "args", "containers", "initContainers", "volumes", "hostNetwork", "securityContext"}
