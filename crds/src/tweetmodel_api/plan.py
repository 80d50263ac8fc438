"""The plan: the instructions of the operator for a pod. A pod is a pure function of its plan and S3."""

from pydantic import Field

from tweetmodel_api.fields import Decimal, Identifier, Model, S3Uri
from tweetmodel_api.layout import Layout
from tweetmodel_api.spec import Cleaning, TweetModelSpec
from tweetmodel_api.status import ModelReference
from tweetmodel_api.steps import StepName


class DatasetReference(Model):
    """A data set in storage."""

    uri: S3Uri
    digest: Identifier


class Plan(Model):
    """Instructions for one step of a TweetModel."""

    step: StepName
    namespace: str
    name: str
    spec: TweetModelSpec
    run: Identifier | None = None
    """Id of the run; absent in collect and purge steps."""
    dataset: DatasetReference | None = None
    """Data set of the run; absent in collect and purge steps."""
    excluded_accounts: tuple[str, ...] = ()
    """Accounts excluded by the administrator, in addition to spec.cleaning.excludeAccounts."""
    retry: str = ""
    """Last requested retry. A new value collects the sources again even if their fingerprint is unchanged."""
    upstream_datasets: dict[str, DatasetReference] = Field(default_factory=dict)
    """Data sets of the source TweetModels, by name."""
    baseline_dataset: Identifier | None = None
    """Digest of the data set of the last trained model; new posts are counted against this data set."""
    trained_datasets: tuple[Identifier, ...] = ()
    """Digests of the data sets of status.runs, which the collect step checks for erased posts."""
    initial_model: ModelReference | None = None
    """Initial model of a warm start; absent if the run begins from the base model."""
    baseline_loss: Decimal | None = None
    """Held-out loss of the current model; a model with a higher or equal loss is not published."""
    publish: bool = False
    """True if the pod publishes the model as spec.publish requests."""

    @property
    def layout(self) -> Layout:
        """Layout of the folders of this TweetModel."""
        return Layout(self.spec.storage.uri, self.namespace, self.name)

    @property
    def cleaning(self) -> Cleaning:
        """Cleaning of the spec, with the accounts excluded by the administrator."""
        excluded = {*self.spec.cleaning.exclude_accounts, *self.excluded_accounts}
        return self.spec.cleaning.model_copy(update={"exclude_accounts": tuple(sorted(excluded))})
