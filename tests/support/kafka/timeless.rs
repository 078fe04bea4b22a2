//! A record without a time, as old producers left them: no client library of today writes one, so its bytes are ours.

use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
};

use super::TestTopic;

impl TestTopic {
    /// Writes one record whose timestamp is -1 to partition 0, whose leader is the one broker there is.
    pub async fn produce_timeless(&self, value: &str) {
        let batch = batch(value.as_bytes());
        let mut request = Vec::new();
        // Produce, version 3, correlation 1, no client id; no transaction, all acknowledge, ten seconds.
        request.extend([0, 0, 0, 3, 0, 0, 0, 1, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff]);
        request.extend(10_000_i32.to_be_bytes());
        request.extend(1_i32.to_be_bytes());
        request.extend(i16::try_from(self.name().len()).expect("a name").to_be_bytes());
        request.extend(self.name().bytes());
        request.extend(1_i32.to_be_bytes());
        request.extend(0_i32.to_be_bytes());
        request.extend(length(&batch));
        request.extend(batch);
        let mut stream = TcpStream::connect(self.brokers()).await.expect("a connection to Kafka");
        stream.write_all(&[&length(&request)[..], &request].concat()).await.expect("a request sent");
        let size = stream.read_i32().await.expect("the size of an answer");
        let mut answer = vec![0; usize::try_from(size).expect("a size")];
        stream.read_exact(&mut answer).await.expect("an answer");
        // Correlation, one topic, its name, one partition, its number; then the error.
        let at = 4 + 4 + 2 + self.name().len() + 4 + 4;
        assert_eq!(answer[at..at + 2], [0, 0], "Kafka takes a record without a time: {answer:?}");
    }
}

fn length(bytes: &[u8]) -> [u8; 4] {
    i32::try_from(bytes.len()).expect("a length").to_be_bytes()
}

/// A batch of one record, in the second version of the format.
fn batch(value: &[u8]) -> Vec<u8> {
    // Attributes, no time after the batch's, the first offset, no key, the value, no headers.
    let mut record = vec![0, 0, 0, 1];
    record.extend(varint(value.len()));
    record.extend(value);
    record.push(0);
    // Attributes, last offset, base and greatest time, producer, its epoch, its sequence, count.
    let mut body = vec![0, 0, 0, 0, 0, 0];
    body.extend([0xff; 8 + 8 + 8 + 2 + 4]);
    body.extend(1_i32.to_be_bytes());
    body.extend(varint(record.len()));
    body.extend(record);
    // Leader epoch, magic, checksum.
    let mut tail = vec![0xff, 0xff, 0xff, 0xff, 2];
    tail.extend(crc32c(&body).to_be_bytes());
    tail.extend(body);
    [&[0; 8][..], &length(&tail), &tail].concat()
}

fn varint(number: usize) -> Vec<u8> {
    let (mut zigzag, mut bytes) = (number * 2, Vec::new());
    while zigzag >= 0x80 {
        bytes.push(u8::try_from(zigzag & 0x7f).expect("seven bits") | 0x80);
        zigzag >>= 7;
    }
    bytes.push(u8::try_from(zigzag).expect("seven bits"));
    bytes
}

fn crc32c(bytes: &[u8]) -> u32 {
    let step = |crc: u32, _| if crc & 1 == 1 { (crc >> 1) ^ 0x82f6_3b78 } else { crc >> 1 };
    !bytes.iter().fold(!0, |crc, byte| (0..8).fold(crc ^ u32::from(*byte), step))
}
