package letters;

import java.util.Map;

import org.apache.kafka.clients.admin.NewTopic;
import org.apache.kafka.common.config.TopicConfig;
import org.apache.kafka.common.serialization.ByteArraySerializer;
import org.apache.kafka.common.serialization.StringSerializer;
import org.springframework.beans.factory.annotation.Value;
import org.springframework.boot.SpringApplication;
import org.springframework.boot.autoconfigure.SpringBootApplication;
import org.springframework.boot.kafka.autoconfigure.DefaultKafkaProducerFactoryCustomizer;
import org.springframework.context.annotation.Bean;
import org.springframework.kafka.annotation.EnableKafkaRetryTopic;
import org.springframework.kafka.config.TopicBuilder;
import org.springframework.kafka.core.DefaultKafkaProducerFactory;
import org.springframework.kafka.core.KafkaAdmin;
import org.springframework.kafka.core.KafkaOperations;
import org.springframework.kafka.listener.DeadLetterPublishingRecoverer;
import org.springframework.kafka.listener.DefaultErrorHandler;
import org.springframework.kafka.support.serializer.DelegatingByTypeSerializer;
import org.springframework.kafka.support.serializer.JacksonJsonSerializer;
import org.springframework.scheduling.TaskScheduler;
import org.springframework.scheduling.concurrent.ThreadPoolTaskScheduler;
import org.springframework.util.backoff.FixedBackOff;

/** Listeners that fail, with the error handling that Spring's documentation shows, and nothing of our own in between. */
@SpringBootApplication
@EnableKafkaRetryTopic
public class Application {

    public static void main(String[] args) throws Exception {
        var context = SpringApplication.run(Application.class, args);
        Letters.provokeAndPrint(System.getenv("BROKERS"), System.getenv("TOPIC"));
        System.exit(SpringApplication.exit(context));
    }

    @Bean
    DefaultErrorHandler errorHandler(KafkaOperations<Object, Object> template) {
        return new DefaultErrorHandler(new DeadLetterPublishingRecoverer(template), new FixedBackOff(0, 0));
    }

    /** Of what could not be decoded the bytes are sent, of everything else the event. */
    @Bean
    @SuppressWarnings({"unchecked", "rawtypes"})
    DefaultKafkaProducerFactoryCustomizer serializers() {
        var bytes = new ByteArraySerializer();
        return factory -> {
            var any = (DefaultKafkaProducerFactory) factory;
            any.setKeySerializer(new DelegatingByTypeSerializer(
                    Map.of(byte[].class, bytes, String.class, new StringSerializer())));
            any.setValueSerializer(new DelegatingByTypeSerializer(
                    Map.of(byte[].class, bytes, Order.class, new JacksonJsonSerializer<>())));
        };
    }

    /** Records of 2023 stay. */
    @Bean
    KafkaAdmin.NewTopics topics(@Value("${TOPIC}") String topic) {
        NewTopic[] all = Letters.topics(topic).map(name -> TopicBuilder.name(name).partitions(2).replicas(1)
                .config(TopicConfig.RETENTION_MS_CONFIG, "-1").build()).toArray(NewTopic[]::new);
        return new KafkaAdmin.NewTopics(all);
    }

    @Bean
    TaskScheduler scheduler() {
        return new ThreadPoolTaskScheduler();
    }
}
