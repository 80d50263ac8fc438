"""`python -m tweetmodel_operator` runs the operator in its cluster, or against the cluster of the kubeconfig."""

import sys

import kopf

from tweetmodel_operator.main import run

if __name__ == "__main__":
    try:
        run()
    except ValueError as error:
        sys.exit(f"tweetmodel-operator: {error}")
    except Exception as error:
        if not isinstance(error.__cause__, kopf.PermanentError):
            raise
        sys.exit(f"tweetmodel-operator: {error.__cause__}")
