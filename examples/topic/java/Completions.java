// Read what the accounts did with kafka-clients and Apache Avro: BATCH=id COUNT=3 java -cp 'lib/*' Completions.java
import java.nio.file.Path;
import java.time.Duration;
import java.util.Map;
import org.apache.avro.Schema;
import org.apache.avro.generic.GenericData;
import org.apache.avro.generic.GenericRecord;
import org.apache.avro.message.BinaryMessageDecoder;
import org.apache.kafka.clients.consumer.KafkaConsumer;
import org.apache.kafka.common.TopicPartition;
import org.apache.kafka.common.serialization.ByteArrayDeserializer;
import org.apache.kafka.common.serialization.StringDeserializer;

public class Completions {
    public static void main(String[] arguments) throws Exception {
        Map<String, String> environment = System.getenv();
        String folder = environment.getOrDefault("SCHEMAS", "..");
        Schema schema = new Schema.Parser().parse(Path.of(folder, "BatchCompletion.avsc").toFile());
        // It looks the fingerprint up; decoder.addSchema takes those of other releases.
        var decoder = new BinaryMessageDecoder<GenericRecord>(GenericData.get(), schema);

        Map<String, Object> settings = Map.of(
            "bootstrap.servers", environment.getOrDefault("BOOTSTRAP_SERVERS", "127.0.0.1:9092"),
            "enable.auto.commit", false);
        String topic = environment.getOrDefault("TOPIC", "audience.completions");
        String wanted = environment.get("BATCH");
        long left = Long.parseLong(environment.getOrDefault("COUNT", "" + Long.MAX_VALUE));
        try (var consumer = new KafkaConsumer<>(settings, new StringDeserializer(), new ByteArrayDeserializer())) {
            var all = consumer.partitionsFor(topic).stream()
                .map(one -> new TopicPartition(topic, one.partition())).toList();
            consumer.assign(all); // all of it, and without a group
            consumer.seekToBeginning(all);
            while (left > 0) {
                for (var record : consumer.poll(Duration.ofSeconds(1))) {
                    GenericRecord completion = decoder.decode(record.value());
                    String batch = String.valueOf(completion.get("batchId"));
                    String status = completion.get("status").toString();
                    if (wanted != null && !wanted.equals(batch) || status.equals("retrying") || left <= 0) {
                        continue;
                    }
                    left--;
                    Object account = completion.get("account");
                    Object error = completion.get("errorCode");
                    var counts = (GenericRecord) completion.get("counts");
                    System.out.println(completion.get("provider") + (account == null ? "" : "/" + account)
                        + " " + status + " " + counts.get("accepted") + " of " + counts.get("received")
                        + (error == null ? "" : " " + error));
                }
            }
        }
    }
}
