// Publish two made-up people with kafka-clients and Apache Avro.
import java.nio.ByteBuffer;
import java.nio.charset.StandardCharsets;
import java.nio.file.Path;
import java.util.List;
import java.util.Map;
import java.util.UUID;
import org.apache.avro.Schema;
import org.apache.avro.generic.GenericData;
import org.apache.avro.generic.GenericRecord;
import org.apache.avro.generic.GenericRecordBuilder;
import org.apache.avro.message.BinaryMessageEncoder;
import org.apache.kafka.clients.producer.KafkaProducer;
import org.apache.kafka.clients.producer.ProducerRecord;
import org.apache.kafka.clients.producer.RecordMetadata;
import org.apache.kafka.common.serialization.ByteArraySerializer;
import org.apache.kafka.common.serialization.StringSerializer;

public class Publish {
    private static final String NAME = "Example Java";

    public static void main(String[] arguments) throws Exception {
        Map<String, String> environment = System.getenv();
        String folder = environment.getOrDefault("SCHEMAS", "..");
        Schema schema = new Schema.Parser().parse(Path.of(folder, "AudienceBatch.avsc").toFile());
        Schema user = schema.getField("users").schema().getElementType();
        // A builder fills in the defaults.
        GenericRecord batch = new GenericRecordBuilder(schema)
            .set("batchId", UUID.randomUUID().toString())
            .set("name", NAME)
            .set("users", List.of(
                new GenericRecordBuilder(user).set("email", "ada@example.com").set("firstName", "Ada").build(),
                new GenericRecordBuilder(user).set("email", "soren@example.com").build()))
            .build();
        ByteBuffer encoded = new BinaryMessageEncoder<GenericRecord>(GenericData.get(), schema).encode(batch);
        byte[] value = new byte[encoded.remaining()];
        encoded.get(value);

        // Idempotent, acks=all and murmur2 of the key are its defaults.
        Map<String, Object> settings = Map.of(
            "bootstrap.servers", environment.getOrDefault("BOOTSTRAP_SERVERS", "127.0.0.1:9092"));
        String topic = environment.getOrDefault("TOPIC", "audience.batches");
        try (var producer = new KafkaProducer<>(settings, new StringSerializer(), new ByteArraySerializer())) {
            var record = new ProducerRecord<>(topic, "custom:" + NAME, value);
            record.headers().add("audience-source", "crm".getBytes(StandardCharsets.US_ASCII));
            RecordMetadata written = producer.send(record).get();
            System.out.println("batch " + batch.get("batchId"));
            System.out.println("record " + topic + "-" + written.partition() + "@" + written.offset());
        }
    }
}
