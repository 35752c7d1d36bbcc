"""SQS through boto3. New versions speak JSON, those before 1.28.82 the Query
protocol; both are held to the same behaviour and, as new botocore takes the
Query code from the header of a JSON error, the same error codes.

botocore does not verify MD5 digests of what it receives; this does.
"""

import hashlib
import struct
import threading
import time
import unittest
import urllib.request

from common import PREFIX, Case, client, versions


def attributes_md5(attributes):
    """The digest of message attributes as AWS documents it."""
    digest = hashlib.md5()
    for name in sorted(attributes):
        a = attributes[name]
        binary = a["DataType"].startswith("Binary")
        value = a["BinaryValue"] if binary else a["StringValue"].encode()
        for part in (name.encode(), a["DataType"].encode()):
            digest.update(struct.pack("!I", len(part)) + part)
        digest.update(b"\x02" if binary else b"\x01")
        digest.update(struct.pack("!I", len(value)) + value)
    return digest.hexdigest()


class SQS(Case):
    @classmethod
    def setUpClass(cls):
        cls.c = client("sqs")
        cls.protocol = cls.c.meta.service_model.metadata["protocol"]

    def make(self, name, **attributes):
        url = self.c.create_queue(QueueName="%s-%s" % (PREFIX, name), Attributes=attributes)["QueueUrl"]
        self.addCleanup(self.c.delete_queue, QueueUrl=url)
        return url

    def receive(self, url, wait=5, **more):
        return self.c.receive_message(
            QueueUrl=url, WaitTimeSeconds=wait, AttributeNames=["All"], MessageAttributeNames=["All"], MaxNumberOfMessages=10, **more
        ).get("Messages", [])

    def counts(self, url):
        a = self.c.get_queue_attributes(QueueUrl=url, AttributeNames=["All"])["Attributes"]
        return [int(a["ApproximateNumberOfMessages" + s]) for s in ("", "NotVisible", "Delayed")]

    def test_queues(self):
        url = self.make("queues", VisibilityTimeout="45")
        name = PREFIX + "-queues"
        self.assertEqual(self.c.create_queue(QueueName=name, Attributes={"VisibilityTimeout": "45"})["QueueUrl"], url)
        self.assertEqual(self.c.get_queue_url(QueueName=name)["QueueUrl"], url)
        self.fails("QueueAlreadyExists", self.c.create_queue, QueueName=name, Attributes={"VisibilityTimeout": "46"})
        answer = self.fails("AWS.SimpleQueueService.NonExistentQueue", self.c.get_queue_url, QueueName="nowhere")
        self.assertIn("does not exist", answer["Error"]["Message"])
        self.assertEqual(answer["ResponseMetadata"]["HTTPStatusCode"], 400)
        with self.assertRaises(self.c.exceptions.QueueDoesNotExist):
            self.c.receive_message(QueueUrl=url + "-nowhere")
        made = [self.make("page-%d" % i) for i in range(5)]
        pages = list(self.c.get_paginator("list_queues").paginate(QueueNamePrefix=PREFIX + "-page-", PaginationConfig={"PageSize": 2}))
        self.assertEqual([u for p in pages for u in p.get("QueueUrls", [])], made)
        self.assertEqual(len(pages), 3)
        self.assertNotIn("QueueUrls", self.c.list_queues(QueueNamePrefix="there-is-none"))

    def test_attributes(self):
        url = self.make("attributes")
        self.c.set_queue_attributes(QueueUrl=url, Attributes={"VisibilityTimeout": "7", "MessageRetentionPeriod": "60"})
        got = self.c.get_queue_attributes(QueueUrl=url, AttributeNames=["All"])["Attributes"]
        self.assertEqual((got["VisibilityTimeout"], got["MessageRetentionPeriod"], got["DelaySeconds"]), ("7", "60", "0"))
        self.assertTrue(got["QueueArn"].endswith(":%s-attributes" % PREFIX))
        self.fails("InvalidAttributeValue", self.c.set_queue_attributes, QueueUrl=url, Attributes={"VisibilityTimeout": "43201"})
        self.fails("InvalidAttributeName", self.c.set_queue_attributes, QueueUrl=url, Attributes={"Colour": "red"})
        self.fails("InvalidAttributeName", self.c.get_queue_attributes, QueueUrl=url, AttributeNames=["Colour"])

    def test_messages(self):
        url = self.make("messages")
        attributes = {
            "text": {"DataType": "String", "StringValue": "Grüße 世界"},
            "count": {"DataType": "Number.int", "StringValue": "42"},
            "bytes": {"DataType": "Binary", "BinaryValue": b"\x00\xff"},
        }
        for body in ("plain", "Grüße, 世界 𝄞 \t\r\n <&>\"'", "+ %20 & = ;", " spaces around ", "x" * 200000):
            sent = self.c.send_message(QueueUrl=url, MessageBody=body, MessageAttributes=attributes)
            self.assertEqual(sent["MD5OfMessageBody"], hashlib.md5(body.encode()).hexdigest())
            self.assertEqual(sent["MD5OfMessageAttributes"], attributes_md5(attributes))
            (m,) = self.receive(url)
            self.assertEqual((m["Body"], m["MessageId"]), (body, sent["MessageId"]))
            self.assertEqual(m["MD5OfBody"], hashlib.md5(body.encode()).hexdigest())
            self.assertEqual(m["MD5OfMessageAttributes"], attributes_md5(attributes))
            self.assertEqual(m["MessageAttributes"], attributes)
            self.assertEqual(m["Attributes"]["ApproximateReceiveCount"], "1")
            self.c.delete_message(QueueUrl=url, ReceiptHandle=m["ReceiptHandle"])
        self.assertEqual(self.counts(url), [0, 0, 0])
        self.fails("ReceiptHandleIsInvalid", self.c.delete_message, QueueUrl=url, ReceiptHandle="nonsense")
        self.fails("InvalidMessageContents", self.c.send_message, QueueUrl=url, MessageBody="a\x01b")

    def test_long_poll(self):
        url = self.make("poll")
        begun = time.monotonic()
        self.assertEqual(self.receive(url, wait=1), [])
        self.assertGreater(time.monotonic() - begun, 0.9)
        timer = threading.Timer(0.3, lambda: self.c.send_message(QueueUrl=url, MessageBody="wake"))
        timer.start()
        begun = time.monotonic()
        (m,) = self.receive(url, wait=20)
        took = time.monotonic() - begun
        timer.join()
        self.assertEqual(m["Body"], "wake")
        self.assertTrue(0.2 < took < 5, took)

    def test_visibility(self):
        url = self.make("visibility")
        self.c.send_message(QueueUrl=url, MessageBody="m")
        (m,) = self.receive(url)
        self.assertEqual(self.counts(url), [0, 1, 0])
        self.c.change_message_visibility(QueueUrl=url, ReceiptHandle=m["ReceiptHandle"], VisibilityTimeout=0)
        (again,) = self.receive(url, VisibilityTimeout=1)
        self.assertEqual(again["Attributes"]["ApproximateReceiveCount"], "2")
        (third,) = self.receive(url, wait=10)
        self.c.delete_message(QueueUrl=url, ReceiptHandle=third["ReceiptHandle"])
        self.assertEqual(self.receive(url, wait=0), [])

    def test_batches(self):
        url = self.make("batches")
        entries = [{"Id": "e%d" % i, "MessageBody": "m%d" % i, "DelaySeconds": 0} for i in range(10)]
        entries[3]["MessageBody"] = "bad \x02"
        sent = self.c.send_message_batch(QueueUrl=url, Entries=entries)
        self.assertEqual(len(sent["Successful"]), 9)
        self.assertEqual([(f["Id"], f["SenderFault"]) for f in sent["Failed"]], [("e3", True)])
        got = []
        while len(got) < 9:
            page = self.receive(url)
            self.assertTrue(page, "only %d of 9 messages came" % len(got))
            got += page
        handles = [{"Id": "h%d" % i, "ReceiptHandle": m["ReceiptHandle"]} for i, m in enumerate(got)]
        changed = self.c.change_message_visibility_batch(QueueUrl=url, Entries=[dict(h, VisibilityTimeout=60) for h in handles])
        self.assertEqual(len(changed["Successful"]), 9)
        deleted = self.c.delete_message_batch(QueueUrl=url, Entries=handles[:8] + [{"Id": "bad", "ReceiptHandle": "nonsense"}])
        self.assertEqual((len(deleted["Successful"]), [f["Id"] for f in deleted["Failed"]]), (8, ["bad"]))
        self.assertEqual(self.counts(url), [0, 1, 0])
        self.fails(
            "AWS.SimpleQueueService.BatchEntryIdsNotDistinct",
            self.c.send_message_batch, QueueUrl=url, Entries=[{"Id": "a", "MessageBody": "x"}] * 2,
        )
        self.fails(
            "AWS.SimpleQueueService.TooManyEntriesInBatchRequest",
            self.c.send_message_batch, QueueUrl=url, Entries=[{"Id": "a%d" % i, "MessageBody": "x"} for i in range(11)],
        )

    def test_delays_and_purge(self):
        url = self.make("delays")
        self.c.send_message(QueueUrl=url, MessageBody="later", DelaySeconds=1)
        self.assertEqual(self.counts(url), [0, 0, 1])
        self.assertEqual(self.receive(url, wait=0), [])
        (m,) = self.receive(url, wait=10)
        self.assertEqual(m["Body"], "later")
        self.c.send_message(QueueUrl=url, MessageBody="more")
        self.c.purge_queue(QueueUrl=url)
        self.assertEqual(self.counts(url), [0, 0, 0])
        self.fails("AWS.SimpleQueueService.PurgeQueueInProgress", self.c.purge_queue, QueueUrl=url)

    def test_presigned(self):
        """A presigned URL works without a client; the Query protocol's is a GET."""
        if self.protocol != "query":
            self.assertEqual(self.protocol, "json")
            return
        url = self.make("presigned")
        signed = self.c.generate_presigned_url("get_queue_url", Params={"QueueName": PREFIX + "-presigned"}, ExpiresIn=60)
        with urllib.request.urlopen(signed, timeout=10) as answer:
            self.assertIn("<QueueUrl>%s</QueueUrl>" % url, answer.read().decode())


if __name__ == "__main__":
    print(versions(), "protocol", client("sqs").meta.service_model.metadata["protocol"], flush=True)
    unittest.main()
