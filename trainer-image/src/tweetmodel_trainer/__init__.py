"""The trainer: runs a step of a plan in a pod, keeps all data in S3, and reports the result to the operator."""
