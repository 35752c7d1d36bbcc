"""What the boto3 checks share: clients for the Weir that WEIR_ENDPOINT names."""

import os
import unittest

import boto3
import botocore
from botocore.config import Config
from botocore.exceptions import ClientError

ENDPOINT = os.environ["WEIR_ENDPOINT"]
PREFIX = os.environ.get("WEIR_PREFIX", "py")


def client(service, **more):
    return boto3.client(
        service,
        endpoint_url=ENDPOINT,
        region_name="us-east-1",
        aws_access_key_id=os.environ.get("WEIR_KEY", "any"),
        aws_secret_access_key=os.environ.get("WEIR_SECRET", "any"),
        config=Config(retries={"max_attempts": 2}, connect_timeout=5, read_timeout=30, **more),
    )


class Case(unittest.TestCase):
    """A test case with a way to say which AWS error is wanted."""

    def fails(self, code, call, **arguments):
        """Requires the error code and returns the error's response."""
        with self.assertRaises(ClientError) as caught:
            call(**arguments)
        self.assertEqual(caught.exception.response["Error"]["Code"], code, caught.exception)
        return caught.exception.response


def versions():
    return "boto3 %s, botocore %s" % (boto3.__version__, botocore.__version__)
