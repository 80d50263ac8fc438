"""The API that operator and trainer share: the single place for each of its facts.

`spec`, `defaults` and `status` define the custom resources, `plan` and `report` the messages between operator and
pod, `reasons` the outcomes, `identities` the content addresses, `layout` the folders in S3. The package imports
pydantic and nothing else.
"""

GROUP = "tweetmodel.dev"
VERSION = "v1alpha1"
API_VERSION = f"{GROUP}/{VERSION}"
KIND = "TweetModel"
PLURAL = "tweetmodels"
DEFAULTS_KIND = "TweetModelDefaults"
DEFAULTS_PLURAL = "tweetmodeldefaults"
