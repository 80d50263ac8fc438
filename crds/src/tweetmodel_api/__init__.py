"""The contract that operator and trainer share, and the one place where each of its facts stands.

`spec`, `defaults` and `status` are what people write and read, `plan` and `report` what the operator and a
pod hand each other, `reasons` how it can end, `layout` where everything lies in S3. Imports pydantic
and nothing else.
"""

GROUP = "tweetmodel.dev"
VERSION = "v1alpha1"
API_VERSION = f"{GROUP}/{VERSION}"
KIND = "TweetModel"
PLURAL = "tweetmodels"
DEFAULTS_KIND = "TweetModelDefaults"
DEFAULTS_PLURAL = "tweetmodeldefaults"
