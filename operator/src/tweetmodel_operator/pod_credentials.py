"""The Secret keys for the pod of a step: only the keys needed by the step."""

from tweetmodel_api import credentials
from tweetmodel_api.credentials import CredentialSources
from tweetmodel_api.spec import TweetModelSpec
from tweetmodel_api.steps import STEP_KINDS, StepName


def credentials_for_pod(
    step: StepName, spec: TweetModelSpec, *, publish: bool, loads_base_model: bool
) -> CredentialSources:
    """Yield the credentials of a pod, each with the name of its Secret.

    Args:
        step: step of the pod.
        spec: the spec.
        publish: True if the pod publishes the model.
        loads_base_model: True if the pod downloads the base model.
    """
    kind, hub = STEP_KINDS[step], spec.base_model.hub
    if spec.storage.secret_ref:
        yield from ((credential, spec.storage.secret_ref.name) for credential in credentials.STORAGE)
    if publish and spec.publish:
        yield credentials.PUBLISH, spec.publish.hugging_face.secret_ref.name
    if loads_base_model and hub and hub.secret_ref:
        yield credentials.BASE_MODEL, hub.secret_ref.name
    if kind.trains and spec.report_to:
        yield from credentials.tracker_credentials(spec.report_to)
    if kind.reads_sources:
        for source in spec.sources:
            yield from credentials.source_credentials(source)
