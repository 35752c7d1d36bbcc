// Workers that share a stream as the Kinesis Client Library does: leases,
// heartbeats and checkpoints are items of a table that they change under
// conditions. The library is lifion-kinesis, which speaks through the AWS SDK
// for JavaScript v2. Its enhanced fan-out knows no endpoint but AWS's own.
import assert from "node:assert/strict";
import { after, before, test } from "node:test";
import Consumer from "lifion-kinesis";
import { DynamoDBDocumentClient, ScanCommand } from "@aws-sdk/lib-dynamodb";
import { CreateTableCommand, waitUntilTableExists } from "@aws-sdk/client-dynamodb";
import { Kinesis } from "@aws-sdk/client-kinesis";
import { config, dynamodb, eventually } from "./weir.mjs";

const kinesis = new Kinesis(config);
after(() => kinesis.destroy());
const documents = DynamoDBDocumentClient.from(dynamodb);

// The library would make this table itself, but asks for encryption with KMS,
// which Weir refuses rather than ignores.
before(async () => {
  const TableName = "js-leases";
  await dynamodb.send(new CreateTableCommand({
    TableName,
    BillingMode: "PAY_PER_REQUEST",
    AttributeDefinitions: [{ AttributeName: "consumerGroup", AttributeType: "S" }, { AttributeName: "streamName", AttributeType: "S" }],
    KeySchema: [{ AttributeName: "consumerGroup", KeyType: "HASH" }, { AttributeName: "streamName", KeyType: "RANGE" }],
  }));
  await waitUntilTableExists({ client: dynamodb, maxWaitTime: 30 }, { TableName });
});

async function makeStream(t, name, ShardCount) {
  const StreamName = `js-${name}`;
  await kinesis.createStream({ StreamName, ShardCount });
  t.after(() => kinesis.deleteStream({ StreamName, EnforceConsumerDeletion: true }));
  await eventually("the stream is active", async () =>
    (await kinesis.describeStreamSummary({ StreamName })).StreamDescriptionSummary.StreamStatus === "ACTIVE");
  return StreamName;
}

// put adds records that hold the numbers from begin to end, spread over shards.
async function put(StreamName, begin, end) {
  for (let i = begin; i < end; i += 50) {
    const Records = Array.from({ length: Math.min(50, end - i) }, (_, j) => ({ PartitionKey: `k${i + j}`, Data: new TextEncoder().encode(`{"n":${i + j}}`) }));
    assert.equal((await kinesis.putRecords({ StreamName, Records })).FailedRecordCount, 0);
  }
}

// worker makes a consumer of a group, with what it has seen.
function worker(t, streamName, consumerGroup, more = {}) {
  const aws = { endpoint: config.endpoint, region: config.region, accessKeyId: "any", secretAccessKey: "any" };
  const complaints = [];
  const logger = { debug() {}, warn: (...m) => complaints.push(m.join(" ")), error: (...m) => complaints.push(m.join(" ")) };
  const consumer = new Consumer({
    ...aws, streamName, consumerGroup, logger, dynamoDb: { ...aws, tableName: "js-leases" }, createStreamIfNeeded: false,
    initialPositionInStream: "TRIM_HORIZON", leaseAcquisitionInterval: 500, pollDelay: 50, noRecordsPollDelay: 100, ...more,
  });
  const w = { consumer, complaints, seen: [], shards: new Set() };
  consumer.on("data", ({ records, shardId }) => {
    w.shards.add(shardId);
    w.seen.push(...records.map((r) => r.data.n));
  });
  consumer.on("error", (e) => complaints.push(e.message));
  t.after(() => {
    try {
      consumer.stopConsumer();
    } catch (e) {
      assert.match(e.message, /reading 'stop'/); // it forgets some readers of shards that have ended
    }
  });
  return w;
}

// numbers are those from begin to end, as strings are compared by sort.
const numbers = (begin, end) => Array.from({ length: end - begin }, (_, i) => begin + i);
const sorted = (list) => list.toSorted((a, b) => a - b);

// state is the item in which the workers of a group agree.
async function state(streamName) {
  const { Items } = await documents.send(new ScanCommand({ TableName: "js-leases", ConsistentRead: true }));
  return Items.find((i) => i.streamName === streamName);
}

test("two workers share the shards of a stream", async (t) => {
  const stream = await makeStream(t, "shared", 4);
  const workers = [worker(t, stream, "readers"), worker(t, stream, "readers")];
  await Promise.all(workers.map((w) => w.consumer.startConsumer()));
  await put(stream, 0, 400);
  const all = () => workers.flatMap((w) => w.seen);
  await eventually("all records are read", () => all().length >= 400);
  assert.deepEqual(sorted(all()), numbers(0, 400)); // each once: no shard had two readers
  assert.equal(workers[0].shards.size + workers[1].shards.size, 4);
  const { shards } = await state(stream);
  assert.deepEqual(Object.keys(shards).length, 4);
  assert.ok(Object.values(shards).every((s) => s.leaseOwner && s.checkpoint));
  for (const w of workers) assert.deepEqual(w.complaints, []);
});

test("a shard's children are read after it", async (t) => {
  const stream = await makeStream(t, "children", 1);
  await put(stream, 0, 100);
  await kinesis.splitShard({ StreamName: stream, ShardToSplit: "shardId-000000000000", NewStartingHashKey: String(2n ** 127n) });
  await eventually("the stream is active", async () =>
    (await kinesis.describeStreamSummary({ StreamName: stream })).StreamDescriptionSummary.StreamStatus === "ACTIVE");
  await put(stream, 100, 200);
  const w = worker(t, stream, "readers");
  await w.consumer.startConsumer();
  await eventually("all records are read", () => w.seen.length >= 200);
  assert.deepEqual(w.seen.slice(0, 100), numbers(0, 100));
  assert.deepEqual(sorted(w.seen), numbers(0, 200));
  assert.deepEqual([...w.shards].sort(), ["shardId-000000000000", "shardId-000000000001", "shardId-000000000002"]);
});

test("a worker takes over from one that is gone", async (t) => {
  const stream = await makeStream(t, "takeover", 2);
  const first = worker(t, stream, "readers");
  await put(stream, 0, 100);
  await first.consumer.startConsumer();
  await eventually("the first has read all", () => first.seen.length >= 100);
  await eventually("it has said so", async () => Object.values((await state(stream)).shards).every((s) => s.checkpoint));
  first.consumer.stopConsumer(); // it sends no more heartbeats; its leases stay
  await put(stream, 100, 200);
  const second = worker(t, stream, "readers");
  await second.consumer.startConsumer();
  await eventually("the second has read the rest", () => second.seen.length >= 100, 70_000); // missing heartbeats are noticed after 40 s
  assert.deepEqual(sorted(second.seen), numbers(100, 200)); // from the checkpoints on
  assert.equal(Object.keys((await state(stream)).consumers).length, 1);
});
