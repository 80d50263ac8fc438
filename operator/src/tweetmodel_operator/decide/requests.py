"""The Job that a pursuit asks for, with the plan that its pod follows."""

from tweetmodel_api.layout import Layout
from tweetmodel_api.plan import DatasetReference, Plan
from tweetmodel_api.spec import TweetModelSpec
from tweetmodel_api.status import Dataset
from tweetmodel_operator.decide.stages import Pursuit
from tweetmodel_operator.state import JobRequest, Observed


def request(observed: Observed, spec: TweetModelSpec, pursuit: Pursuit, dataset: Dataset | None) -> JobRequest:
    """The request of a pursuit that creates one."""
    goal, number = pursuit.goal, pursuit.create
    assert number is not None  # only pursuits that create come here
    training, collecting = goal.step == "train", goal.step == "collect"
    runs = observed.before.runs
    if goal.publish is None:  # a pinned run is put back, and pushed nowhere
        spec = spec.model_copy(update={"publish": None})
    layout = Layout(spec.storage.uri, observed.key.namespace, observed.key.name)
    trained_on = DatasetReference(uri=dataset.uri, digest=dataset.digest) if training and dataset else None
    if goal.dataset:
        trained_on = DatasetReference(uri=layout.dataset(goal.dataset), digest=goal.dataset)
    return JobRequest(
        name=goal.job_name(observed, number),
        uid=observed.uid,
        id=goal.id,
        attempt=number,
        inputs=goal.inputs,
        plan=Plan(
            step=goal.step,
            namespace=observed.key.namespace,
            name=observed.key.name,
            spec=spec,
            run=goal.id if training else None,
            dataset=trained_on,
            baseline_dataset=goal.known,
            trained_datasets=tuple(sorted({run.dataset_digest for run in runs})) if collecting else (),
            retry=observed.retry if collecting else "",
            upstream_datasets={
                n: found for n, found in observed.borrowed.items() if isinstance(found, DatasetReference)
            },
            initial_model=goal.start,
            baseline_loss=goal.beat,
            report_only=goal.repeat,
        ),
    )
