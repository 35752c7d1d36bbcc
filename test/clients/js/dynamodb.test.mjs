// Tables through the AWS SDK for JavaScript v3 and its document client.
import assert from "node:assert/strict";
import { after, test } from "node:test";
import {
  ConditionalCheckFailedException, CreateTableCommand, DeleteTableCommand, DescribeTableCommand, DynamoDBClient, paginateListTables,
  PutItemCommand, ResourceInUseException, ResourceNotFoundException, waitUntilTableExists, waitUntilTableNotExists,
} from "@aws-sdk/client-dynamodb";
import {
  BatchGetCommand, BatchWriteCommand, DeleteCommand, DynamoDBDocumentClient, GetCommand, NumberValue, paginateQuery, paginateScan,
  PutCommand, QueryCommand, UpdateCommand,
} from "@aws-sdk/lib-dynamodb";
import { config, dynamodb, fails } from "./weir.mjs";

const documents = DynamoDBDocumentClient.from(dynamodb);
// It keeps all digits of a number. A client's options are those of the last document client made of it.
const second = new DynamoDBClient(config);
const exact = DynamoDBDocumentClient.from(second, { unmarshallOptions: { wrapNumbers: true } });
after(() => second.destroy());

// makeTable makes a table of items under id (text) and at (number).
async function makeTable(t, name) {
  const TableName = `js-${name}`;
  await dynamodb.send(new CreateTableCommand({
    TableName,
    BillingMode: "PAY_PER_REQUEST",
    AttributeDefinitions: [{ AttributeName: "id", AttributeType: "S" }, { AttributeName: "at", AttributeType: "N" }],
    KeySchema: [{ AttributeName: "id", KeyType: "HASH" }, { AttributeName: "at", KeyType: "RANGE" }],
  }));
  t.after(() => dynamodb.send(new DeleteTableCommand({ TableName })));
  await waitUntilTableExists({ client: dynamodb, maxWaitTime: 30 }, { TableName });
  return TableName;
}

test("tables", async (t) => {
  const TableName = await makeTable(t, "tables");
  const { Table } = await dynamodb.send(new DescribeTableCommand({ TableName }));
  assert.equal(Table.TableStatus, "ACTIVE");
  assert.equal(Table.BillingModeSummary.BillingMode, "PAY_PER_REQUEST");
  assert.ok(Table.CreationDateTime instanceof Date);
  const made = [];
  for (let i = 0; i < 3; i++) made.push(await makeTable(t, `tables-page-${i}`));
  const names = [];
  for await (const page of paginateListTables({ client: dynamodb, pageSize: 2 }, {})) names.push(...page.TableNames);
  assert.deepEqual(names.filter((n) => n.startsWith("js-tables-page")), made);
  const again = { TableName, BillingMode: "PAY_PER_REQUEST", AttributeDefinitions: [{ AttributeName: "id", AttributeType: "S" }], KeySchema: [{ AttributeName: "id", KeyType: "HASH" }] };
  await assert.rejects(dynamodb.send(new CreateTableCommand(again)), ResourceInUseException);
  await assert.rejects(dynamodb.send(new DescribeTableCommand({ TableName: "js-nowhere" })), ResourceNotFoundException);
  await dynamodb.send(new CreateTableCommand({ ...again, TableName: "js-tables-gone" }));
  await dynamodb.send(new DeleteTableCommand({ TableName: "js-tables-gone" }));
  await waitUntilTableNotExists({ client: dynamodb, maxWaitTime: 30 }, { TableName: "js-tables-gone" });
});

test("documents", async (t) => {
  const TableName = await makeTable(t, "documents");
  const Item = {
    id: "a", at: 1, text: "Grüße 𝄞", no: false, nothing: null, list: [1, "two", [3]], map: { deep: { er: "x" } },
    strings: new Set(["x", "y"]), numbers: new Set([1, 2.5]), bytes: new Uint8Array([0, 255]), empty: "", big: 9007199254740991,
  };
  await documents.send(new PutCommand({ TableName, Item }));
  const got = await documents.send(new GetCommand({ TableName, Key: { id: "a", at: 1 }, ConsistentRead: true }));
  assert.deepEqual(got.Item, Item);
  const digits = "1234567890123456789012345678901234567.8";
  await documents.send(new PutCommand({ TableName, Item: { id: "a", at: 2, n: NumberValue.from(digits) } }));
  const { Item: number } = await exact.send(new GetCommand({ TableName, Key: { id: "a", at: 2 }, ConsistentRead: true }));
  assert.equal(number.n.toString(), digits);
  const part = await documents.send(new GetCommand({
    TableName, Key: { id: "a", at: 1 }, ConsistentRead: true, ProjectionExpression: "#m.deep, #l[1]", ExpressionAttributeNames: { "#m": "map", "#l": "list" },
  }));
  assert.deepEqual(part.Item, { map: { deep: { er: "x" } }, list: ["two"] });
  const none = await documents.send(new GetCommand({ TableName, Key: { id: "none", at: 1 } }));
  assert.equal(none.Item, undefined);
});

test("updates and conditions", async (t) => {
  const TableName = await makeTable(t, "updates");
  const Key = { id: "post", at: 0 };
  const like = () => documents.send(new UpdateCommand({
    TableName, Key, UpdateExpression: "ADD score :one SET #by = list_append(if_not_exists(#by, :none), :who)",
    ExpressionAttributeNames: { "#by": "by" }, ExpressionAttributeValues: { ":one": 1, ":none": [], ":who": ["ann"] }, ReturnValues: "ALL_NEW",
  }));
  await Promise.all(Array.from({ length: 20 }, like));
  const { Attributes } = await like();
  assert.equal(Attributes.score, 21);
  assert.equal(Attributes.by.length, 21);
  await assert.rejects(
    documents.send(new PutCommand({
      TableName, Item: { ...Key, score: 0 }, ConditionExpression: "attribute_not_exists(id) OR score < :s",
      ExpressionAttributeValues: { ":s": 21 }, ReturnValuesOnConditionCheckFailure: "ALL_OLD",
    })),
    (e) => e instanceof ConditionalCheckFailedException && e.message === "The conditional request failed" && (e.Item.score.N ?? e.Item.score) == 21,
  );
  const old = await documents.send(new DeleteCommand({ TableName, Key, ReturnValues: "ALL_OLD" }));
  assert.equal(old.Attributes.score, 21);
  await fails("ValidationException", documents.send(new UpdateCommand({ TableName, Key, UpdateExpression: "SET" })), /Invalid UpdateExpression: Syntax error/);
  await fails("ValidationException", dynamodb.send(new PutItemCommand({ TableName, Item: { id: { S: "x" } } })), /Missing the key at in the item/);
});

test("queries, scans and batches", async (t) => {
  const TableName = await makeTable(t, "batches");
  const Items = Array.from({ length: 60 }, (_, i) => ({ id: `p${i % 3}`, at: i, n: i, pad: "x".repeat(100) }));
  for (let i = 0; i < Items.length; i += 25) {
    const RequestItems = { [TableName]: Items.slice(i, i + 25).map((Item) => ({ PutRequest: { Item } })) };
    const { UnprocessedItems } = await documents.send(new BatchWriteCommand({ RequestItems }));
    assert.deepEqual(UnprocessedItems, {});
  }
  const at = [];
  const query = {
    TableName, ConsistentRead: true, ScanIndexForward: false, KeyConditionExpression: "id = :i AND #at BETWEEN :a AND :b",
    ExpressionAttributeNames: { "#at": "at" }, ExpressionAttributeValues: { ":i": "p1", ":a": 10, ":b": 40 },
  };
  let pages = 0;
  for await (const page of paginateQuery({ client: documents, pageSize: 4 }, { ...query })) at.push(...page.Items.map((i) => i.at)), pages++;
  assert.deepEqual(at, [40, 37, 34, 31, 28, 25, 22, 19, 16, 13, 10]);
  assert.ok(pages >= 3);
  const count = await documents.send(new QueryCommand({ ...query, Select: "COUNT", FilterExpression: "n > :a" }));
  assert.deepEqual([count.Count, count.ScannedCount, count.Items], [10, 11, undefined]);
  const seen = new Set();
  await Promise.all([0, 1, 2].map(async (Segment) => {
    for await (const page of paginateScan({ client: documents, pageSize: 7 }, { TableName, ConsistentRead: true, Segment, TotalSegments: 3 })) {
      for (const i of page.Items) seen.add(i.at);
    }
  }));
  assert.equal(seen.size, 60);
  const got = await documents.send(new BatchGetCommand({
    RequestItems: { [TableName]: { ConsistentRead: true, ProjectionExpression: "#at", ExpressionAttributeNames: { "#at": "at" }, Keys: Items.slice(0, 5).map(({ id, at }) => ({ id, at })).concat({ id: "none", at: 1 }) } },
  }));
  assert.deepEqual(got.Responses[TableName].map((i) => i.at).sort(), [0, 1, 2, 3, 4]);
});
