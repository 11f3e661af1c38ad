//! An ONNX graph that is being built (onnx.ai/onnx/repo-docs/IR.html): operators of opset 17, constants, one file.

use std::collections::BTreeMap;

use crate::protobuf::Message;

const OPSET: i64 = 17;
const IR_VERSION: i64 = 8;
const FLOAT: i64 = 1;
const INTEGER: i64 = 7;

/// An attribute of an operator.
pub enum Attribute {
    /// A whole number.
    Integer(&'static str, i64),
    /// A real number.
    Float(&'static str, f32),
}

/// Size of an axis: a name for what a caller chooses, or a number.
#[derive(Clone, Copy)]
pub enum Axis {
    /// As many as the caller likes.
    Named(&'static str),
    /// This number of entries.
    Fixed(usize),
}

/// Nodes and constants of an ONNX graph, in the order in which they are computed.
#[derive(Default)]
pub struct Graph {
    body: Message,
    count: usize,
}

impl Graph {
    fn tensor(&mut self, name: &str, dims: &[usize], kind: i64, bytes: &[u8]) -> String {
        let mut tensor = Message::default();
        for &dim in dims {
            tensor = tensor.integer(1, dim as i64);
        }
        let tensor = tensor.integer(2, kind).text(8, name).bytes(9, bytes);
        self.body = std::mem::take(&mut self.body).message(5, tensor);
        name.into()
    }

    /// Adds a constant of real numbers, row-major, and returns its name.
    pub fn constant(&mut self, name: &str, dims: &[usize], values: &[f32]) -> String {
        let bytes: Vec<u8> = values.iter().flat_map(|v| v.to_le_bytes()).collect();
        self.tensor(name, dims, FLOAT, &bytes)
    }

    /// Adds one real number and returns its name.
    pub fn scalar(&mut self, value: f32) -> String {
        self.count += 1;
        self.constant(&format!("number_{}", self.count), &[], &[value])
    }

    /// Adds a constant of whole numbers and returns its name.
    pub fn integers(&mut self, name: &str, dims: &[usize], values: &[i64]) -> String {
        let bytes: Vec<u8> = values.iter().flat_map(|v| v.to_le_bytes()).collect();
        self.tensor(name, dims, INTEGER, &bytes)
    }

    /// Adds an operator and returns the name of its output.
    pub fn node(&mut self, operator: &str, inputs: &[&str], attributes: &[Attribute]) -> String {
        self.count += 1;
        let name = format!("{}_{}", operator.to_lowercase(), self.count);
        self.named(operator, inputs, attributes, &name);
        name
    }

    /// As [`Self::node`], with a name for the output.
    pub fn named(
        &mut self,
        operator: &str,
        inputs: &[&str],
        attributes: &[Attribute],
        output: &str,
    ) {
        let mut node = Message::default();
        for input in inputs {
            node = node.text(1, input);
        }
        node = node.text(2, output).text(3, output).text(4, operator);
        for attribute in attributes {
            let attribute = match *attribute {
                Attribute::Integer(name, value) => Message::default()
                    .text(1, name)
                    .integer(3, value)
                    .integer(20, 2),
                Attribute::Float(name, value) => Message::default()
                    .text(1, name)
                    .float(2, value)
                    .integer(20, 1),
            };
            node = node.message(5, attribute);
        }
        self.body = std::mem::take(&mut self.body).message(1, node);
    }

    fn value(&mut self, field: u64, name: &str, axes: &[Axis]) {
        let mut shape = Message::default();
        for axis in axes {
            let axis = match *axis {
                Axis::Named(name) => Message::default().text(2, name),
                Axis::Fixed(size) => Message::default().integer(1, size as i64),
            };
            shape = shape.message(1, axis);
        }
        let tensor = Message::default().integer(1, FLOAT).message(2, shape);
        let kind = Message::default().message(1, tensor);
        let value = Message::default().text(1, name).message(2, kind);
        self.body = std::mem::take(&mut self.body).message(field, value);
    }

    /// Declares an input of real numbers.
    pub fn input(&mut self, name: &str, axes: &[Axis]) {
        self.value(11, name, axes);
    }

    /// Declares an output of real numbers.
    pub fn output(&mut self, name: &str, axes: &[Axis]) {
        self.value(12, name, axes);
    }

    /// Returns the file, with what is said about it.
    pub fn into_file(self, facts: &BTreeMap<String, String>) -> Vec<u8> {
        let opset = Message::default().text(1, "").integer(2, OPSET);
        let mut model = Message::default()
            .integer(1, IR_VERSION)
            .text(2, "tiltrl")
            .text(3, env!("CARGO_PKG_VERSION"))
            .message(7, self.body.text(2, "policy"))
            .message(8, opset);
        for (key, value) in facts {
            model = model.message(14, Message::default().text(1, key).text(2, value));
        }
        model.into_bytes()
    }
}
