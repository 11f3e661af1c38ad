//! The few forms of the protobuf wire format that ONNX and TensorBoard's files need (protobuf.dev/programming-guides/encoding).

/// A message that is being written: fields in the order of the calls.
#[derive(Clone, Debug, Default)]
pub struct Message(Vec<u8>);

impl Message {
    /// Returns the bytes of the message.
    pub fn into_bytes(self) -> Vec<u8> {
        self.0
    }

    fn varint(&mut self, mut value: u64) {
        while value >= 0x80 {
            self.0.push((value as u8 & 0x7f) | 0x80);
            value >>= 7;
        }
        self.0.push(value as u8);
    }

    /// Adds an integer; negative ones take ten bytes, as protobuf has it.
    pub fn integer(mut self, field: u64, value: i64) -> Self {
        self.varint(field << 3);
        self.varint(value as u64);
        self
    }

    /// Adds a 32-bit float.
    pub fn float(mut self, field: u64, value: f32) -> Self {
        self.varint(field << 3 | 5);
        self.0.extend_from_slice(&value.to_le_bytes());
        self
    }

    /// Adds a 64-bit float.
    pub fn double(mut self, field: u64, value: f64) -> Self {
        self.varint(field << 3 | 1);
        self.0.extend_from_slice(&value.to_le_bytes());
        self
    }

    /// Adds bytes with their length.
    pub fn bytes(mut self, field: u64, value: &[u8]) -> Self {
        self.varint(field << 3 | 2);
        self.varint(value.len() as u64);
        self.0.extend_from_slice(value);
        self
    }

    /// Adds text, as UTF-8 with its length.
    pub fn text(self, field: u64, value: &str) -> Self {
        self.bytes(field, value.as_bytes())
    }

    /// Adds a message within the message.
    pub fn message(self, field: u64, value: Self) -> Self {
        self.bytes(field, &value.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_examples_of_the_format_come_out() {
        let written = Message::default().integer(1, 150).into_bytes();
        assert_eq!(written, [0x08, 0x96, 0x01]);
        let written = Message::default().text(2, "testing").into_bytes();
        assert_eq!(written, *b"\x12\x07testing");
        let written = Message::default().double(1, 1.0).into_bytes();
        assert_eq!(written, [0x09, 0, 0, 0, 0, 0, 0, 0xf0, 0x3f]);
        assert_eq!(Message::default().integer(1, -2).into_bytes().len(), 11);
    }
}
