"""Streams through boto3: JSON and CBOR are botocore's own choice by version."""

import hashlib
import time
import unittest

from common import PREFIX, Case, client, versions


class Kinesis(Case):
    @classmethod
    def setUpClass(cls):
        cls.c = client("kinesis")

    def make(self, name, shards=1):
        name = "%s-%s" % (PREFIX, name)
        self.c.create_stream(StreamName=name, ShardCount=shards)
        self.addCleanup(self.c.delete_stream, StreamName=name, EnforceConsumerDeletion=True)
        self.active(name)
        return name

    def active(self, name):
        self.c.get_waiter("stream_exists").wait(StreamName=name, WaiterConfig={"Delay": 1, "MaxAttempts": 30})

    def read(self, name, shard="shardId-000000000000", n=None, **start):
        """Reads a shard until it has n records, or to its end."""
        start.setdefault("ShardIteratorType", "TRIM_HORIZON")
        iterator = self.c.get_shard_iterator(StreamName=name, ShardId=shard, **start)["ShardIterator"]
        records = []
        last = time.monotonic() + 20
        while iterator and (n is None or len(records) < n):
            self.assertLess(time.monotonic(), last, "%d records came" % len(records))
            page = self.c.get_records(ShardIterator=iterator)
            records += page["Records"]
            iterator = page.get("NextShardIterator")
        return records

    def test_streams(self):
        name = self.make("streams", 3)
        d = self.c.describe_stream(StreamName=name)["StreamDescription"]
        self.assertEqual((d["StreamStatus"], len(d["Shards"]), d["RetentionPeriodHours"]), ("ACTIVE", 3, 24))
        self.assertLess(abs(d["StreamCreationTimestamp"].timestamp() - time.time()), 120)
        pages = list(self.c.get_paginator("describe_stream").paginate(StreamName=name, PaginationConfig={"PageSize": 2}))
        self.assertEqual([len(p["StreamDescription"]["Shards"]) for p in pages], [2, 1])
        shards = self.c.list_shards(StreamName=name)["Shards"]
        self.assertEqual(shards[-1]["HashKeyRange"]["EndingHashKey"], str(2**128 - 1))
        self.assertIn(name, [n for p in self.c.get_paginator("list_streams").paginate() for n in p["StreamNames"]])
        self.fails("ResourceInUseException", self.c.create_stream, StreamName=name, ShardCount=1)
        with self.assertRaises(self.c.exceptions.ResourceNotFoundException):
            self.c.describe_stream_summary(StreamName="nowhere")
        self.assertIn("OpenShardCount", self.c.describe_limits())

    def test_records(self):
        name = self.make("records", 2)
        data = [b"\x00\xff" * 3, "Grüße 𝄞".encode(), b"x" * 100000] + [b"%d" % i for i in range(50)]
        sent = self.c.put_records(StreamName=name, Records=[{"Data": d, "PartitionKey": "k%d" % i} for i, d in enumerate(data)])
        self.assertEqual(sent["FailedRecordCount"], 0)
        for shard in ("shardId-000000000000", "shardId-000000000001"):
            want = [(d, r["SequenceNumber"]) for d, r in zip(data, sent["Records"]) if r["ShardId"] == shard]
            got = self.read(name, shard, len(want))
            self.assertEqual([(r["Data"], r["SequenceNumber"]) for r in got], want)
            self.assertLess(abs(got[0]["ApproximateArrivalTimestamp"].timestamp() - time.time()), 60)
            half = len(want) // 2
            after = self.read(name, shard, len(want) - half, ShardIteratorType="AT_SEQUENCE_NUMBER", StartingSequenceNumber=want[half][1])
            self.assertEqual([r["SequenceNumber"] for r in after], [s for _, s in want[half:]])
        key = int(hashlib.md5(b"where").hexdigest(), 16)
        at = self.c.put_record(StreamName=name, Data=b"d", PartitionKey="where")["ShardId"]
        self.assertEqual(at, "shardId-00000000000%d" % (key >> 127))
        self.fails("ResourceNotFoundException", self.c.put_record, StreamName="nowhere", Data=b"d", PartitionKey="k")
        self.fails("InvalidArgumentException", self.c.put_record, StreamName=name, Data=b"d", PartitionKey="k", ExplicitHashKey=str(2**128))

    def test_reshard(self):
        name = self.make("reshard")
        self.c.put_record(StreamName=name, Data=b"before", PartitionKey="k")
        self.c.split_shard(StreamName=name, ShardToSplit="shardId-000000000000", NewStartingHashKey=str(2**127))
        self.active(name)
        self.assertEqual([r["Data"] for r in self.read(name)], [b"before"])
        children = [s for s in self.c.list_shards(StreamName=name)["Shards"] if s.get("ParentShardId") == "shardId-000000000000"]
        self.assertEqual(len(children), 2)
        self.c.merge_shards(StreamName=name, ShardToMerge=children[0]["ShardId"], AdjacentShardToMerge=children[1]["ShardId"])
        self.active(name)
        self.assertEqual(self.c.describe_stream_summary(StreamName=name)["StreamDescriptionSummary"]["OpenShardCount"], 1)

    def test_settings(self):
        name = self.make("settings")
        self.c.increase_stream_retention_period(StreamName=name, RetentionPeriodHours=48)
        self.active(name)
        self.c.decrease_stream_retention_period(StreamName=name, RetentionPeriodHours=24)
        self.active(name)
        self.c.add_tags_to_stream(StreamName=name, Tags={"a": "1", "b": ""})
        self.c.remove_tags_from_stream(StreamName=name, TagKeys=["b"])
        self.assertEqual(self.c.list_tags_for_stream(StreamName=name)["Tags"], [{"Key": "a", "Value": "1"}])

    def test_fan_out(self):
        name = self.make("fanout")
        arn = self.c.describe_stream_summary(StreamName=name)["StreamDescriptionSummary"]["StreamARN"]
        consumer = self.c.register_stream_consumer(StreamARN=arn, ConsumerName="reader")["Consumer"]["ConsumerARN"]
        last = time.monotonic() + 30
        while self.c.describe_stream_consumer(ConsumerARN=consumer)["ConsumerDescription"]["ConsumerStatus"] != "ACTIVE":
            self.assertLess(time.monotonic(), last)
            time.sleep(0.1)
        self.c.put_record(StreamName=name, Data=b"0", PartitionKey="k")
        events = self.c.subscribe_to_shard(
            ConsumerARN=consumer, ShardId="shardId-000000000000", StartingPosition={"Type": "TRIM_HORIZON"})["EventStream"]
        got = []
        for event in events:
            records = event["SubscribeToShardEvent"]["Records"]
            got += [r["Data"] for r in records]
            if len(got) == 5:
                break
            if records:
                self.c.put_record(StreamName=name, Data=b"%d" % len(got), PartitionKey="k")
        events.close()
        self.assertEqual(got, [b"0", b"1", b"2", b"3", b"4"])


if __name__ == "__main__":
    print(versions(), flush=True)
    unittest.main()
