// Publish two made-up people with kafkajs and avsc.
import { randomUUID } from "node:crypto";
import { readFileSync } from "node:fs";
import avro from "avsc";
import { Kafka, Partitioners, logLevel } from "kafkajs";

const topic = process.env.TOPIC ?? "audience.batches";
const name = "Example Node";
const schema = avro.Type.forSchema(JSON.parse(readFileSync(`${process.env.SCHEMAS ?? ".."}/AudienceBatch.avsc`)));
// avsc computes no CRC-64: `audience schema AudienceBatch --headers` prints these ten bytes.
const header = Buffer.from("c30145f7c84a6072c331", "hex");

const batch = {
  batchId: randomUUID(),
  name,
  users: [{ email: "ada@example.com", firstName: "Ada" }, { email: "soren@example.com" }],
};
const value = Buffer.concat([header, schema.toBuffer(batch)]);

const kafka = new Kafka({ brokers: [process.env.BOOTSTRAP_SERVERS ?? "127.0.0.1:9092"], logLevel: logLevel.ERROR });
const producer = kafka.producer({ createPartitioner: Partitioners.DefaultPartitioner, idempotent: true });
await producer.connect();
const [{ partition, baseOffset }] = await producer.send({
  topic,
  messages: [{ key: `custom:${name}`, value, headers: { "audience-source": "crm" } }],
});
await producer.disconnect();
console.log(`batch ${batch.batchId}`);
console.log(`record ${topic}-${partition}@${baseOffset}`);
