package letters;

import static java.nio.charset.StandardCharsets.UTF_8;

import java.time.Duration;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.TreeMap;
import java.util.stream.Stream;

import org.apache.kafka.clients.consumer.KafkaConsumer;
import org.apache.kafka.clients.producer.KafkaProducer;
import org.apache.kafka.clients.producer.ProducerRecord;
import org.apache.kafka.common.TopicPartition;
import org.apache.kafka.common.serialization.ByteArrayDeserializer;
import org.apache.kafka.common.serialization.ByteArraySerializer;
import org.springframework.kafka.annotation.KafkaListener;

import tools.jackson.databind.json.JsonMapper;

/** Sends what the listeners fail at, and prints the letters that come of it: one a line, their bytes in base 64. */
final class Letters {

    /** thrown, twice and undecodable, the last two also as letters about letters; keyed; patient. */
    private static final int EXPECTED = 7;
    private static final Duration PATIENCE = Duration.ofSeconds(60);

    static Stream<String> topics(String topic) {
        return Stream.of("", "-dlt", "-dlt-dlt", ".keyed", ".keyed-dlt", ".patient", ".patient-dlt")
                .map(suffix -> topic + suffix);
    }

    static void provokeAndPrint(String brokers, String topic) throws Exception {
        Map<String, Object> config = Map.of("bootstrap.servers", brokers);
        try (var producer = new KafkaProducer<>(config, new ByteArraySerializer(), new ByteArraySerializer())) {
            send(producer, topic, "fine", "{\"id\":\"fine\"}");
            send(producer, topic, "thrown", "{\"id\":\"thrown\"}");
            send(producer, topic, "twice", "{\"id\":\"twice\"}");
            send(producer, topic, "undecodable", "{\"id\":");
            send(producer, topic + ".keyed", "no number", "{\"id\":\"keyed\"}");
            send(producer, topic + ".patient", "patient", "{\"id\":\"patient\"}");
        }
        var version = KafkaListener.class.getPackage().getImplementationVersion();
        for (var letter : letters(config, topic)) {
            letter.put("spring-kafka", version);
            System.out.println(JsonMapper.shared().writeValueAsString(letter));
        }
    }

    private static void send(KafkaProducer<byte[], byte[]> producer, String topic, String key, String value)
            throws Exception {
        var record = new ProducerRecord<>(topic, 1, 1_700_000_000_123L, key.getBytes(UTF_8), value.getBytes(UTF_8));
        record.headers().add("tenant", "north".getBytes(UTF_8)).add("tenant", null);
        producer.send(record).get();
    }

    private static List<Map<String, Object>> letters(Map<String, Object> config, String topic) {
        var found = new ArrayList<Map<String, Object>>();
        try (var consumer = new KafkaConsumer<>(config, new ByteArrayDeserializer(), new ByteArrayDeserializer())) {
            var partitions = topics(topic).filter(name -> name.endsWith("-dlt"))
                    .flatMap(name -> Stream.of(0, 1).map(partition -> new TopicPartition(name, partition))).toList();
            consumer.assign(partitions);
            consumer.seekToBeginning(partitions);
            long until = System.nanoTime() + PATIENCE.toNanos();
            while (found.size() < EXPECTED && System.nanoTime() < until) {
                for (var record : consumer.poll(Duration.ofMillis(100))) {
                    var headers = new ArrayList<List<Object>>();
                    record.headers().forEach(header -> headers.add(both(header.key(), header.value())));
                    var letter = new TreeMap<String, Object>();
                    letter.put("topic", record.topic());
                    letter.put("partition", record.partition());
                    letter.put("timestamp", record.timestamp());
                    letter.put("key", record.key());
                    letter.put("value", record.value());
                    letter.put("headers", headers);
                    found.add(letter);
                }
            }
        }
        if (found.size() < EXPECTED) {
            throw new IllegalStateException(found.size() + " letters, and " + EXPECTED + " were expected");
        }
        return found;
    }

    private static List<Object> both(String name, byte[] value) {
        var pair = new ArrayList<Object>();
        pair.add(name);
        pair.add(value);
        return pair;
    }
}
