"""The trainer: stages from files to files, run by `pipeline` between S3 and the report."""
