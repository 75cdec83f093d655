// Read what the accounts did with kafkajs and avsc: BATCH=id COUNT=3 node completions.mjs
import { randomUUID } from "node:crypto";
import { readFileSync } from "node:fs";
import avro from "avsc";
import { decompress } from "fzstd";
import kafkajs from "kafkajs";

const { CompressionCodecs, CompressionTypes, Kafka, logLevel } = kafkajs;
// We write with zstd, which kafkajs does not read by itself.
CompressionCodecs[CompressionTypes.ZSTD] = () => ({ decompress: async (bytes) => Buffer.from(decompress(bytes)) });

const topic = process.env.TOPIC ?? "audience.completions";
const schema = avro.Type.forSchema(JSON.parse(readFileSync(`${process.env.SCHEMAS ?? ".."}/BatchCompletion.avsc`)));
// `audience schema BatchCompletion --headers` prints these ten bytes; another release has others.
const header = Buffer.from("c30112b3bceb92713a98", "hex");

const kafka = new Kafka({ brokers: [process.env.BOOTSTRAP_SERVERS ?? "127.0.0.1:9092"], logLevel: logLevel.ERROR });
const consumer = kafka.consumer({ groupId: process.env.GROUP ?? `completions-${randomUUID()}` });
await consumer.connect();
await consumer.subscribe({ topic, fromBeginning: true });
let left = Number(process.env.COUNT ?? Infinity);
const done = new Promise((resolve) => {
  consumer.run({
    eachMessage: async ({ message: { value, offset }, partition }) => {
      if (!value.subarray(0, 10).equals(header)) {
        console.error(`${topic}-${partition}@${offset} is of another schema`);
        return;
      }
      const completion = schema.fromBuffer(value.subarray(10));
      if (process.env.BATCH && completion.batchId !== process.env.BATCH) return;
      if (completion.status === "retrying" || left <= 0) return; // it is tried again later
      const { provider, account, status, counts, errorCode } = completion;
      const of = `${counts.accepted} of ${counts.received}`;
      console.log(`${account ? `${provider}/${account}` : provider} ${status} ${of}${errorCode ? ` ${errorCode}` : ""}`);
      if (--left <= 0) resolve();
    },
  });
});
await done;
await consumer.disconnect();
