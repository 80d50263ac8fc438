"""Experiment trackers of the spec."""

import pytest
from pydantic import ValidationError

from makers import spec
from tweetmodel_api.trackers import MLflow, ReportTo, TensorBoard, Wandb

ADDRESSES = {
    "password": "http://ada:secret@host",
    "query": "https://host/?write_token=secret",
    "fragment": "http://host/#a",
    "scheme": "ftp://host",
    "space": "http://host name",
}


@pytest.mark.parametrize("address", ADDRESSES.values(), ids=ADDRESSES)
def test_an_address_of_a_service_can_not_contain_credentials(address: str) -> None:
    with pytest.raises(ValidationError, match="trackingURI"):
        spec(reportTo={"mlflow": {"trackingURI": address}})
    with pytest.raises(ValidationError, match="endpoint"):
        spec(storage={"uri": "s3://bucket", "endpoint": address})


def test_only_configured_trackers_are_used() -> None:
    wandb = Wandb.model_validate({"secretRef": {"name": "wandb"}})
    mlflow = MLflow.model_validate({"trackingURI": "http://mlflow:5000"})
    report_to = ReportTo(wandb=wandb, mlflow=mlflow, tensor_board=TensorBoard())
    assert report_to.kinds == {"wandb": wandb, "mlflow": mlflow, "tensorBoard": TensorBoard()}
    assert report_to.secrets == {"wandb": "wandb"}
