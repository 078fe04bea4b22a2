package letters;

/** An event, as far as these listeners care. */
public record Order(String id) {
}
