package letters;

import org.apache.kafka.clients.consumer.ConsumerRecord;
import org.springframework.kafka.annotation.BackOff;
import org.springframework.kafka.annotation.KafkaListener;
import org.springframework.kafka.annotation.RetryableTopic;
import org.springframework.stereotype.Component;

/** Each fails in its own way; what becomes of that is Spring's to say. */
@Component
class Listeners {

    /** A value that is no JSON does not come as far as this. */
    @KafkaListener(topics = "${TOPIC}")
    void charge(ConsumerRecord<String, Order> record) {
        if (!record.key().startsWith("fine")) {
            var cause = new IllegalArgumentException("the bank said: no");
            throw new IllegalStateException("no wallet of " + record.value().id(), cause);
        }
    }

    /** Nor does a key that is no number. */
    @KafkaListener(topics = "${TOPIC}.keyed", properties = {
            "key.deserializer=org.springframework.kafka.support.serializer.ErrorHandlingDeserializer",
            "spring.deserializer.key.delegate.class=org.apache.kafka.common.serialization.IntegerDeserializer"})
    void count(ConsumerRecord<Integer, Order> record) {
    }

    /** Tried again by way of a retry topic, and dead after that. */
    @RetryableTopic(attempts = "3", backOff = @BackOff(delay = 200, multiplier = 2), numPartitions = "2")
    @KafkaListener(topics = "${TOPIC}.patient")
    void tryLater(ConsumerRecord<String, Order> record) {
        throw new IllegalStateException("busy with " + record.value().id());
    }

    /** Whoever deals with dead letters may fail, too: theirs are letters about letters. */
    @KafkaListener(topics = "${TOPIC}-dlt")
    void again(ConsumerRecord<String, Order> letter) {
        if (letter.key().startsWith("twice")) {
            throw new UnsupportedOperationException("nobody knows what to do");
        }
    }
}
