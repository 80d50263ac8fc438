"""The API shared by operator and trainer.

`spec`, `defaults` and `status` define the custom resources. `plan` and `report` define the messages between operator
and pod, `reasons` their outcomes, `identities` the ids of collections and runs, and `layout` the folders in S3. The
only dependency is pydantic.
"""

GROUP = "tweetmodel.dev"
VERSION = "v1alpha1"
API_VERSION = f"{GROUP}/{VERSION}"
KIND = "TweetModel"
PLURAL = "tweetmodels"
DEFAULTS_KIND = "TweetModelDefaults"
DEFAULTS_PLURAL = "tweetmodeldefaults"
