"""Imports of the operator's process."""

import subprocess
import sys

HEAVY = ("torch", "transformers", "boto3", "tokenizers")


def test_the_operator_imports_no_training_libraries() -> None:
    code = f"import sys, tweetmodel_operator.main; print([m for m in {HEAVY} if m in sys.modules])"
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert result.stdout.strip() == "[]"
