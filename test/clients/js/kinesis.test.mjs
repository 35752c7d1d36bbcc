// Streams through the AWS SDK for JavaScript v3, which speaks HTTP/2 to Kinesis
// and, since 2025, CBOR where a service offers it.
import assert from "node:assert/strict";
import { after, test } from "node:test";
import { Kinesis, paginateListStreams, ResourceInUseException, ResourceNotFoundException, waitUntilStreamExists } from "@aws-sdk/client-kinesis";
import { NodeHttpHandler } from "@smithy/node-http-handler";
import { config, eventually, fails } from "./weir.mjs";

const kinesis = new Kinesis(config);
const http1 = new Kinesis({ ...config, requestHandler: new NodeHttpHandler() });
after(() => {
  kinesis.destroy();
  http1.destroy();
});
const bytes = (text) => new TextEncoder().encode(text);
const text = (data) => new TextDecoder().decode(data);

async function makeStream(t, name, ShardCount = 1) {
  const StreamName = `js-${name}`;
  await kinesis.createStream({ StreamName, ShardCount });
  t.after(() => kinesis.deleteStream({ StreamName, EnforceConsumerDeletion: true }));
  await active(StreamName);
  return StreamName;
}

const active = (StreamName) => waitUntilStreamExists({ client: kinesis, maxWaitTime: 30, minDelay: 1, maxDelay: 1 }, { StreamName });

// readAll reads a shard from its beginning until it has n records or its end.
async function readAll(StreamName, ShardId, n, client = kinesis) {
  let { ShardIterator } = await client.getShardIterator({ StreamName, ShardId, ShardIteratorType: "TRIM_HORIZON" });
  const records = [];
  while (ShardIterator && records.length < n) {
    const page = await client.getRecords({ ShardIterator });
    records.push(...page.Records);
    ShardIterator = page.NextShardIterator;
  }
  return records;
}

test("streams", async (t) => {
  const StreamName = await makeStream(t, "streams", 3);
  const { StreamDescriptionSummary: s } = await kinesis.describeStreamSummary({ StreamName });
  assert.equal(s.StreamStatus, "ACTIVE");
  assert.equal(s.OpenShardCount, 3);
  assert.equal(s.RetentionPeriodHours, 24);
  assert.match(s.StreamARN, /^arn:aws:kinesis:us-east-1:\d{12}:stream\/js-streams$/);
  assert.ok(Math.abs(s.StreamCreationTimestamp - Date.now()) < 120_000, `${s.StreamCreationTimestamp}`);
  const first = await kinesis.listShards({ StreamName, MaxResults: 2 });
  const second = await kinesis.listShards({ NextToken: first.NextToken });
  const shards = [...first.Shards, ...second.Shards];
  assert.equal(second.NextToken, undefined);
  assert.deepEqual(shards.map((x) => x.ShardId), ["shardId-000000000000", "shardId-000000000001", "shardId-000000000002"]);
  assert.equal(shards[0].HashKeyRange.StartingHashKey, "0");
  assert.equal(shards[2].HashKeyRange.EndingHashKey, String(2n ** 128n - 1n));
  const names = [];
  for await (const page of paginateListStreams({ client: kinesis }, { Limit: 1 })) names.push(...page.StreamNames);
  assert.ok(names.includes(StreamName));
  await assert.rejects(kinesis.createStream({ StreamName, ShardCount: 1 }), ResourceInUseException);
  await assert.rejects(kinesis.describeStreamSummary({ StreamName: "js-nowhere" }), ResourceNotFoundException);
});

test("records in order, over HTTP/2 and HTTP/1.1", async (t) => {
  const StreamName = await makeStream(t, "records");
  const sent = [];
  for (let i = 0; i < 20; i++) {
    const client = i % 2 ? kinesis : http1;
    const { SequenceNumber, ShardId } = await client.putRecord({ StreamName, PartitionKey: "k", Data: bytes(`${i} Grüße`) });
    assert.equal(ShardId, "shardId-000000000000");
    sent.push(SequenceNumber);
  }
  assert.deepEqual(sent, sent.toSorted((a, b) => (BigInt(a) < BigInt(b) ? -1 : 1)));
  for (const client of [kinesis, http1]) {
    const got = await readAll(StreamName, "shardId-000000000000", 20, client);
    assert.deepEqual(got.map((r) => text(r.Data)), sent.map((_, i) => `${i} Grüße`));
    assert.deepEqual(got.map((r) => r.SequenceNumber), sent);
    assert.ok(Math.abs(got[0].ApproximateArrivalTimestamp - Date.now()) < 60_000);
  }
  const { ShardIterator } = await kinesis.getShardIterator({
    StreamName, ShardId: "shardId-000000000000", ShardIteratorType: "AFTER_SEQUENCE_NUMBER", StartingSequenceNumber: sent[9],
  });
  const { Records } = await kinesis.getRecords({ ShardIterator, Limit: 3 });
  assert.deepEqual(Records.map((r) => r.SequenceNumber), sent.slice(10, 13));
});

test("binary data and large batches", async (t) => {
  const StreamName = await makeStream(t, "batches", 2);
  const all = Uint8Array.from({ length: 256 }, (_, i) => i);
  const Records = Array.from({ length: 500 }, (_, i) => ({ PartitionKey: `p${i % 50}`, Data: i ? bytes(`${i}`) : all }));
  const { FailedRecordCount, Records: results } = await kinesis.putRecords({ StreamName, Records });
  assert.equal(FailedRecordCount, 0);
  const perShard = new Map();
  for (const [i, r] of results.entries()) perShard.set(r.ShardId, [...(perShard.get(r.ShardId) ?? []), i]);
  assert.equal(perShard.size, 2);
  for (const [ShardId, indexes] of perShard) {
    const got = await readAll(StreamName, ShardId, indexes.length);
    assert.deepEqual(got.map((r) => [...r.Data]), indexes.map((i) => [...Records[i].Data]));
    assert.deepEqual(got.map((r) => r.PartitionKey), indexes.map((i) => Records[i].PartitionKey));
  }
  await kinesis.putRecord({ StreamName, PartitionKey: "big", Data: new Uint8Array(1024 * 1024 - 3) });
  await fails("ValidationException", kinesis.putRecords({ StreamName, Records: Array(501).fill(Records[1]) }));
});

test("resharding", async (t) => {
  const StreamName = await makeStream(t, "reshard");
  await kinesis.putRecord({ StreamName, PartitionKey: "k", Data: bytes("before") });
  await kinesis.splitShard({ StreamName, ShardToSplit: "shardId-000000000000", NewStartingHashKey: String(2n ** 127n) });
  await active(StreamName);
  const old = await readAll(StreamName, "shardId-000000000000", Infinity); // it ends
  assert.deepEqual(old.map((r) => text(r.Data)), ["before"]);
  const { Shards } = await kinesis.listShards({ StreamName });
  assert.deepEqual(Shards.slice(1).map((s) => s.ParentShardId), ["shardId-000000000000", "shardId-000000000000"]);
  assert.ok(Shards[0].SequenceNumberRange.EndingSequenceNumber);
  await kinesis.mergeShards({ StreamName, ShardToMerge: Shards[1].ShardId, AdjacentShardToMerge: Shards[2].ShardId });
  await active(StreamName);
  await kinesis.updateShardCount({ StreamName, TargetShardCount: 2, ScalingType: "UNIFORM_SCALING" });
  await eventually("the stream has two shards", async () => {
    const { StreamDescriptionSummary: s } = await kinesis.describeStreamSummary({ StreamName });
    return s.StreamStatus === "ACTIVE" && s.OpenShardCount === 2;
  });
});

test("settings", async (t) => {
  const StreamName = await makeStream(t, "settings");
  await kinesis.increaseStreamRetentionPeriod({ StreamName, RetentionPeriodHours: 48 });
  await active(StreamName);
  await kinesis.addTagsToStream({ StreamName, Tags: { team: "feeds" } });
  const { Tags } = await kinesis.listTagsForStream({ StreamName });
  assert.deepEqual(Tags, [{ Key: "team", Value: "feeds" }]);
  const { StreamDescription } = await kinesis.describeStream({ StreamName });
  assert.equal(StreamDescription.RetentionPeriodHours, 48);
  await fails("InvalidArgumentException", kinesis.getShardIterator({ StreamName, ShardId: "shardId-000000000000", ShardIteratorType: "AT_SEQUENCE_NUMBER" }));
  await fails("ResourceNotFoundException", kinesis.putRecord({ StreamName: "js-nowhere", PartitionKey: "k", Data: bytes("x") }));
});

test("a consumer of its own is sent records as they come", async (t) => {
  const StreamName = await makeStream(t, "fanout");
  const { StreamDescriptionSummary: s } = await kinesis.describeStreamSummary({ StreamName });
  const { Consumer } = await kinesis.registerStreamConsumer({ StreamARN: s.StreamARN, ConsumerName: "reader" });
  await eventually("the consumer is active", async () => {
    const { ConsumerDescription: c } = await kinesis.describeStreamConsumer({ ConsumerARN: Consumer.ConsumerARN });
    return c.ConsumerStatus === "ACTIVE";
  });
  await kinesis.putRecord({ StreamName, PartitionKey: "k", Data: bytes("0") });
  const { EventStream } = await kinesis.subscribeToShard({
    ConsumerARN: Consumer.ConsumerARN, ShardId: "shardId-000000000000", StartingPosition: { Type: "TRIM_HORIZON" },
  });
  const got = [];
  for await (const { SubscribeToShardEvent: event } of EventStream) {
    if (!event) continue;
    assert.ok(event.ContinuationSequenceNumber !== undefined);
    got.push(...event.Records.map((r) => text(r.Data)));
    if (got.length === 10) break;
    if (event.Records.length) await kinesis.putRecord({ StreamName, PartitionKey: "k", Data: bytes(`${got.length}`) });
  }
  assert.deepEqual(got, Array.from({ length: 10 }, (_, i) => `${i}`));
  const { Consumers } = await kinesis.listStreamConsumers({ StreamARN: s.StreamARN });
  assert.deepEqual(Consumers.map((c) => c.ConsumerName), ["reader"]);
});
