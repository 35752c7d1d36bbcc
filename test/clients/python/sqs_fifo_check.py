"""FIFO queues, permissions and tasks that move messages, through boto3 in both
protocols. Errors are those that AWS was recorded to answer."""

import json
import re
import threading
import time
import unittest
import urllib.parse
import urllib.request

from common import ENDPOINT, PREFIX, Case, client, versions


class Queues(Case):
    @classmethod
    def setUpClass(cls):
        cls.c = client("sqs")

    def make(self, name, **attributes):
        url = self.c.create_queue(QueueName="%s-%s" % (PREFIX, name), Attributes=attributes)["QueueUrl"]
        self.addCleanup(self.c.delete_queue, QueueUrl=url)
        return url

    def arn(self, url):
        return self.attribute(url, "QueueArn")

    def attribute(self, url, name):
        return self.c.get_queue_attributes(QueueUrl=url, AttributeNames=[name]).get("Attributes", {}).get(name)

    def receive(self, url, wait=5, most=10, **more):
        return self.c.receive_message(
            QueueUrl=url, WaitTimeSeconds=wait, AttributeNames=["All"], MessageAttributeNames=["All"], MaxNumberOfMessages=most, **more
        ).get("Messages", [])

    def eventually(self, what, ask):
        last = time.monotonic() + 30
        while not ask():
            self.assertLess(time.monotonic(), last, what + " did not come true")
            time.sleep(0.05)


class Fifo(Queues):
    def fifo(self, name, **attributes):
        return self.make(name + ".fifo", FifoQueue="true", **attributes)

    def send(self, url, body, group="g", dedup=None, **more):
        if dedup:
            more["MessageDeduplicationId"] = dedup
        return self.c.send_message(QueueUrl=url, MessageBody=body, MessageGroupId=group, **more)

    def test_order_and_deduplication(self):
        url = self.fifo("order", ContentBasedDeduplication="true")
        attributes = {"k": {"DataType": "String", "StringValue": "v"}}
        sent = [self.send(url, "%s%d" % (g, i), g, MessageAttributes=attributes) for i in range(3) for g in "ab"]
        again = self.send(url, "a0", "a")
        self.assertEqual((again["MessageId"], again["SequenceNumber"]), (sent[0]["MessageId"], sent[0]["SequenceNumber"]))
        self.assertEqual(sorted(int(s["SequenceNumber"]) for s in sent), [int(s["SequenceNumber"]) for s in sent])
        (first,) = self.receive(url, most=1)
        self.assertEqual((first["Body"], first["Attributes"]["MessageGroupId"]), ("a0", "a"))
        self.assertEqual(first["Attributes"]["SequenceNumber"], sent[0]["SequenceNumber"])
        self.assertEqual(first["MessageAttributes"], attributes)
        self.assertEqual([m["Body"] for m in self.receive(url)], ["b0", "b1", "b2"])
        self.assertEqual(self.receive(url, wait=0), [])
        self.c.change_message_visibility(QueueUrl=url, ReceiptHandle=first["ReceiptHandle"], VisibilityTimeout=0)
        rest = self.receive(url)
        self.assertEqual([m["Body"] for m in rest], ["a0", "a1", "a2"])
        entries = [{"Id": str(i), "ReceiptHandle": m["ReceiptHandle"]} for i, m in enumerate(rest)]
        self.assertEqual(len(self.c.delete_message_batch(QueueUrl=url, Entries=entries)["Successful"]), 3)

    def test_refusals(self):
        url = self.fifo("refusals")
        body = {"QueueUrl": url, "MessageBody": "m"}
        self.fails("MissingParameter", self.c.send_message, MessageDeduplicationId="d", **body)
        self.fails("InvalidParameterValue", self.c.send_message, MessageGroupId="g", **body)
        self.fails("InvalidParameterValue", self.c.send_message, MessageGroupId="g", MessageDeduplicationId="d", DelaySeconds=2, **body)
        self.fails("InvalidParameterValue", self.c.send_message_batch, QueueUrl=url, Entries=[{"Id": "a", "MessageBody": "m"}])
        self.fails("InvalidAttributeValue", self.c.set_queue_attributes, QueueUrl=url, Attributes={"FifoQueue": "false"})
        standard = self.make("refusals")
        self.fails("InvalidAttributeName", self.c.set_queue_attributes, QueueUrl=standard, Attributes={"FifoQueue": "true"})
        self.fails("InvalidParameterValue", self.c.create_queue, QueueName=PREFIX + "-plain", Attributes={"FifoQueue": "true"})

    def test_attempts(self):
        url = self.fifo("attempts")
        self.send(url, "1", dedup="1")
        first = self.receive(url, ReceiveRequestAttemptId="attempt")
        again = self.receive(url, ReceiveRequestAttemptId="attempt")
        self.assertEqual([m["MessageId"] for m in again], [m["MessageId"] for m in first])
        self.assertEqual(self.receive(url, wait=0, ReceiveRequestAttemptId="other"), [])

    def test_expired_handle(self):
        url = self.fifo("expired")
        self.send(url, "1", dedup="1")
        (m,) = self.receive(url, VisibilityTimeout=0)
        (again,) = self.receive(url)
        answer = self.fails("InvalidParameterValue", self.c.delete_message, QueueUrl=url, ReceiptHandle=m["ReceiptHandle"])
        self.assertIn("The receipt handle has expired", answer["Error"]["Message"])
        self.c.delete_message(QueueUrl=url, ReceiptHandle=again["ReceiptHandle"])

    def test_dead_letters(self):
        dead = self.fifo("fifo-dead")
        url = self.fifo("fifo-alive", RedrivePolicy=json.dumps({"deadLetterTargetArn": self.arn(dead), "maxReceiveCount": 1}))
        self.send(url, "1", dedup="1")
        self.send(url, "2", dedup="2")
        self.assertEqual([m["Body"] for m in self.receive(url, most=1, VisibilityTimeout=0)], ["1"])
        self.assertEqual([m["Body"] for m in self.receive(url, most=1)], ["2"])
        (m,) = self.receive(dead)
        self.assertEqual((m["Body"], m["Attributes"]["MessageGroupId"]), ("1", "g"))

    def test_consumers(self):
        """Several consumers; each group's messages are seen in order."""
        url = self.fifo("consumers")
        groups, each = 6, 20
        for i in range(each):
            self.c.send_message_batch(QueueUrl=url, Entries=[
                {"Id": str(g), "MessageBody": str(i), "MessageGroupId": "g%d" % g, "MessageDeduplicationId": "%d-%d" % (g, i)} for g in range(groups)])
        seen, wrong, lock = {}, [], threading.Lock()

        def consume():
            while True:
                with lock:
                    if wrong or sum(seen.values()) == groups * each:
                        return
                for m in self.receive(url, wait=1, most=2):
                    group = m["Attributes"]["MessageGroupId"]
                    with lock:
                        if int(m["Body"]) != seen.get(group, 0):
                            wrong.append("%s of %s after %s" % (m["Body"], group, seen.get(group)))
                        seen[group] = int(m["Body"]) + 1
                    self.c.delete_message(QueueUrl=url, ReceiptHandle=m["ReceiptHandle"])

        threads = [threading.Thread(target=consume) for _ in range(4)]
        for t in threads:
            t.start()
        for t in threads:
            t.join()
        self.assertEqual(wrong, [])
        self.assertEqual(seen, {"g%d" % g: each for g in range(groups)})


class Administration(Queues):
    def test_permissions(self):
        url = self.make("permissions")
        add = {"QueueUrl": url, "Label": "friends", "AWSAccountIds": ["111122223333"], "Actions": ["SendMessage"]}
        self.c.add_permission(**add)
        policy = json.loads(self.attribute(url, "Policy"))
        self.assertEqual(policy["Version"], "2008-10-17")
        self.assertEqual(policy["Statement"], [{
            "Sid": "friends", "Effect": "Allow", "Principal": {"AWS": "arn:aws:iam::111122223333:root"},
            "Action": "SQS:SendMessage", "Resource": self.arn(url)}])
        self.fails("InvalidParameterValue", self.c.add_permission, **add)
        self.c.remove_permission(QueueUrl=url, Label="friends")
        self.assertIsNone(self.attribute(url, "Policy"))
        self.fails("InvalidParameterValue", self.c.remove_permission, QueueUrl=url, Label="friends")

    def test_redrive_allow_policy(self):
        dead = self.make("allow-dead", RedriveAllowPolicy=json.dumps({"redrivePermission": "denyAll"}))
        policy = json.dumps({"deadLetterTargetArn": self.arn(dead), "maxReceiveCount": 1})
        self.fails("InvalidParameterValue", self.c.create_queue, QueueName=PREFIX + "-denied", Attributes={"RedrivePolicy": policy})
        self.c.set_queue_attributes(QueueUrl=dead, Attributes={"RedriveAllowPolicy": json.dumps({"redrivePermission": "allowAll"})})
        url = self.make("allow-alive", RedrivePolicy=policy)
        self.assertEqual(self.c.list_dead_letter_source_queues(QueueUrl=dead)["queueUrls"], [url])

    def move(self, action, **parameters):
        """Calls an operation on move tasks: boto3 before 1.26.148 has none, so
        its protocol is spoken by hand."""
        name = re.sub("(?<!^)(?=[A-Z])", "_", action).lower()
        if hasattr(self.c, name):
            return getattr(self.c, name)(**parameters)
        form = urllib.parse.urlencode(dict(parameters, Action=action, Version="2012-11-05")).encode()
        with urllib.request.urlopen(ENDPOINT, form, timeout=10) as answer:
            text = answer.read().decode()
        found = dict(re.findall("<(TaskHandle|Status|ApproximateNumberOfMessagesMoved|DestinationArn)>([^<]*)<", text))
        found["ApproximateNumberOfMessagesMoved"] = int(found.get("ApproximateNumberOfMessagesMoved", 0))
        return {"Results": [found]} if action.startswith("List") else found

    def test_move_tasks(self):
        dead = self.make("move-dead")
        url = self.make("move-alive", RedrivePolicy=json.dumps({"deadLetterTargetArn": self.arn(dead), "maxReceiveCount": 1}))
        other = self.make("move-other")
        for body in "abc":
            self.c.send_message(QueueUrl=url, MessageBody=body)

        def died():
            self.receive(url, wait=0, VisibilityTimeout=0)
            return self.attribute(dead, "ApproximateNumberOfMessages") == "3"

        self.eventually("all messages died", died)
        self.assertTrue(self.move("StartMessageMoveTask", SourceArn=self.arn(dead), DestinationArn=self.arn(other))["TaskHandle"])
        self.eventually("all messages moved", lambda: self.attribute(other, "ApproximateNumberOfMessages") == "3")
        self.eventually("the task is completed", lambda: self.move("ListMessageMoveTasks", SourceArn=self.arn(dead))["Results"][0]["Status"] == "COMPLETED")
        (task,) = self.move("ListMessageMoveTasks", SourceArn=self.arn(dead))["Results"]
        self.assertEqual((task["ApproximateNumberOfMessagesMoved"], task["DestinationArn"]), (3, self.arn(other)))
        self.assertEqual(sorted(m["Body"] for m in self.receive(other)), ["a", "b", "c"])

    def test_cancel_move_task(self):
        dead = self.make("cancel-dead")
        url = self.make("cancel-alive", RedrivePolicy=json.dumps({"deadLetterTargetArn": self.arn(dead), "maxReceiveCount": 1}))
        for i in range(10):
            self.c.send_message(QueueUrl=dead, MessageBody=str(i))
        arn = self.arn(dead)
        handle = self.move("StartMessageMoveTask", SourceArn=arn, DestinationArn=self.arn(url), MaxNumberOfMessagesPerSecond=1)["TaskHandle"]
        self.assertEqual(self.move("ListMessageMoveTasks", SourceArn=arn)["Results"][0]["Status"], "RUNNING")
        self.assertLess(self.move("CancelMessageMoveTask", TaskHandle=handle)["ApproximateNumberOfMessagesMoved"], 10)
        self.eventually("the task is cancelled", lambda: self.move("ListMessageMoveTasks", SourceArn=arn)["Results"][0]["Status"] == "CANCELLED")
        self.assertGreater(int(self.attribute(dead, "ApproximateNumberOfMessages")), 0)


if __name__ == "__main__":
    print(versions(), "protocol", client("sqs").meta.service_model.metadata["protocol"], flush=True)
    unittest.main()
