//! Networks of Python's libraries, read from their own files: `config.json` and `model.safetensors` as `save_pretrained` writes them.
//!
//! What a file says is taken or refused: a tensor that is missing, of another shape, or left over is an error that names it.

pub(super) mod gpt2;
mod llama;
pub(super) mod unet2d;

use std::collections::BTreeMap;

use burn::module::Param;
use burn::nn::conv::{Conv2d, Conv2dConfig};
use burn::nn::{
    Embedding, EmbeddingConfig, GroupNorm, GroupNormConfig, LayerNorm, LayerNormConfig, Linear,
    LinearConfig, PaddingConfig2d,
};
use burn::tensor::{Device, Tensor, TensorData};
use safetensors::tensor::{Dtype, SafeTensors};
use serde::de::DeserializeOwned;
use tiltrl_tilt::TiltError;

fn refused(what: impl std::fmt::Display) -> TiltError {
    TiltError::Model(format!(
        "a pretrained network cannot be read: {what}\n  hint: give config.json and model.safetensors as save_pretrained of the Python library wrote them, together"
    ))
}

/// Reads a `config.json`; keys that are not asked for are left alone.
///
/// # Errors
/// [`TiltError::Model`] when it is no JSON, or a key is missing or has a value that no code here stands for.
fn config<T: DeserializeOwned>(text: &str) -> Result<T, TiltError> {
    serde_json::from_str(text).map_err(|e| refused(format!("config.json: {e}")))
}

/// Tensors of a file that no layer has taken yet.
struct Pretrained {
    tensors: BTreeMap<String, (Vec<usize>, Vec<f32>)>,
    device: Device,
}

fn values(name: &str, dtype: Dtype, bytes: &[u8]) -> Result<Vec<f32>, TiltError> {
    let half = |b: &[u8]| u16::from_le_bytes([b[0], b[1]]);
    match dtype {
        Dtype::F32 => {
            let each = bytes.chunks_exact(4);
            Ok(each
                .map(|b| f32::from_le_bytes([b[0], b[1], b[2], b[3]]))
                .collect())
        }
        Dtype::BF16 => {
            let each = bytes.chunks_exact(2);
            Ok(each
                .map(|b| f32::from_bits(u32::from(half(b)) << 16))
                .collect())
        }
        Dtype::F16 => Ok(bytes
            .chunks_exact(2)
            .map(|b| half_to_single(half(b)))
            .collect()),
        other => Err(refused(format!(
            "`{name}` holds {other:?}, expected F32, BF16 or F16"
        ))),
    }
}

/// IEEE's half precision as single.
fn half_to_single(bits: u16) -> f32 {
    let sign = if bits >> 15 == 1 { -1.0 } else { 1.0 };
    let (exponent, fraction) = (i32::from(bits >> 10 & 0x1f), f32::from(bits & 0x3ff));
    match exponent {
        0 => sign * fraction * 2f32.powi(-24),
        31 if fraction == 0.0 => sign * f32::INFINITY,
        31 => f32::NAN,
        _ => sign * (1.0 + fraction / 1024.0) * 2f32.powi(exponent - 15),
    }
}

impl Pretrained {
    /// Reads a safetensors file.
    ///
    /// # Errors
    /// [`TiltError::Model`] when the file is damaged, holds another type of numbers, or a number that is not finite.
    fn read(bytes: &[u8], device: &Device) -> Result<Self, TiltError> {
        let file = SafeTensors::deserialize(bytes).map_err(|e| refused(e.to_string()))?;
        let mut tensors = BTreeMap::new();
        for (name, view) in file.iter() {
            let numbers = values(name, view.dtype(), view.data())?;
            if numbers.iter().any(|v| !v.is_finite()) {
                return Err(refused(format!(
                    "`{name}` holds a number that is not finite"
                )));
            }
            tensors.insert(name.to_string(), (view.shape().to_vec(), numbers));
        }
        let device = device.clone();
        Ok(Self { tensors, device })
    }

    /// Returns whether a tensor is still there.
    fn has(&self, name: &str) -> bool {
        self.tensors.contains_key(name)
    }

    /// Drops tensors whose name ends so: buffers that say nothing new.
    fn drop_ending(&mut self, end: &str) {
        self.tensors.retain(|name, _| !name.ends_with(end));
    }

    /// Renames tensors: where a part of the name is `from`, it becomes `to`.
    fn rename(&mut self, from: &str, to: &str) {
        let old = std::mem::take(&mut self.tensors);
        let renamed = old.into_iter().map(|(name, t)| (name.replace(from, to), t));
        self.tensors = renamed.collect();
    }

    /// Takes a tensor of this shape.
    fn take(&mut self, name: &str, shape: &[usize]) -> Result<Vec<f32>, TiltError> {
        match self.tensors.remove(name) {
            Some((found, numbers)) if found == shape => Ok(numbers),
            Some((found, _)) => Err(refused(format!(
                "`{name}` should be {shape:?}, found {found:?}"
            ))),
            None => Err(refused(format!("`{name}` {shape:?} is missing"))),
        }
    }

    fn parameter<const D: usize>(
        &mut self,
        name: &str,
        shape: [usize; D],
    ) -> Result<Param<Tensor<D>>, TiltError> {
        let data = TensorData::new(self.take(name, &shape)?, shape);
        Ok(Param::from_tensor(Tensor::from_data(data, &self.device)))
    }

    /// Takes a linear layer stored as [outputs, inputs], with its bias where it has one.
    fn linear(
        &mut self,
        name: &str,
        [from, to]: [usize; 2],
        bias: bool,
    ) -> Result<Linear, TiltError> {
        let mut layer = LinearConfig::new(from, to)
            .with_bias(bias)
            .init(&self.device);
        let stored = self.take(&format!("{name}.weight"), &[to, from])?;
        let tensor: Tensor<2> =
            Tensor::from_data(TensorData::new(stored, [to, from]), &self.device);
        layer.weight = Param::from_tensor(tensor.transpose());
        if bias {
            layer.bias = Some(self.parameter(&format!("{name}.bias"), [to])?);
        }
        Ok(layer)
    }

    /// Takes a linear layer stored as [inputs, outputs], as GPT-2's are.
    fn linear_by_columns(
        &mut self,
        name: &str,
        [from, to]: [usize; 2],
    ) -> Result<Linear, TiltError> {
        let mut layer = LinearConfig::new(from, to).init(&self.device);
        layer.weight = self.parameter(&format!("{name}.weight"), [from, to])?;
        layer.bias = Some(self.parameter(&format!("{name}.bias"), [to])?);
        Ok(layer)
    }

    fn embedding(
        &mut self,
        name: &str,
        [count, width]: [usize; 2],
    ) -> Result<Embedding, TiltError> {
        let mut layer = EmbeddingConfig::new(count, width).init(&self.device);
        layer.weight = self.parameter(&format!("{name}.weight"), [count, width])?;
        Ok(layer)
    }

    fn layer_norm(
        &mut self,
        name: &str,
        width: usize,
        epsilon: f64,
    ) -> Result<LayerNorm, TiltError> {
        let mut layer = LayerNormConfig::new(width)
            .with_epsilon(epsilon)
            .init(&self.device);
        layer.gamma = self.parameter(&format!("{name}.weight"), [width])?;
        layer.beta = Some(self.parameter(&format!("{name}.bias"), [width])?);
        Ok(layer)
    }

    fn group_norm(
        &mut self,
        name: &str,
        [groups, channels]: [usize; 2],
        epsilon: f64,
    ) -> Result<GroupNorm, TiltError> {
        let config = GroupNormConfig::new(groups, channels).with_epsilon(epsilon);
        let mut layer = config.init(&self.device);
        layer.gamma = Some(self.parameter(&format!("{name}.weight"), [channels])?);
        layer.beta = Some(self.parameter(&format!("{name}.bias"), [channels])?);
        Ok(layer)
    }

    /// Takes a convolution; `padding` on every side.
    fn convolution(
        &mut self,
        name: &str,
        [from, to]: [usize; 2],
        [kernel, stride, padding]: [usize; 3],
    ) -> Result<Conv2d, TiltError> {
        let mut layer = Conv2dConfig::new([from, to], [kernel, kernel])
            .with_stride([stride, stride])
            .with_padding(PaddingConfig2d::Explicit(
                padding, padding, padding, padding,
            ))
            .init(&self.device);
        layer.weight = self.parameter(&format!("{name}.weight"), [to, from, kernel, kernel])?;
        layer.bias = Some(self.parameter(&format!("{name}.bias"), [to])?);
        Ok(layer)
    }

    /// Ends the reading.
    ///
    /// # Errors
    /// [`TiltError::Model`] when tensors are left: they belong to a part that no code here has.
    fn finish(self) -> Result<(), TiltError> {
        let left: Vec<&String> = self.tensors.keys().collect();
        match left.as_slice() {
            [] => Ok(()),
            [first, ..] => Err(refused(format!(
                "{} tensors belong to no layer, the first of them `{first}`",
                left.len()
            ))),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn halves_are_read_as_they_are() {
        for (bits, value) in [
            (0x3c00, 1.0),
            (0xc000, -2.0),
            (0x3555, 0.333_251_95),
            (0x0001, 5.960_464_5e-8),
            (0x7bff, 65_504.0),
            (0x8000, 0.0),
        ] {
            assert!(
                (half_to_single(bits) - value).abs() <= f32::EPSILON * value.abs(),
                "{bits:x}"
            );
        }
        assert!(half_to_single(0x7c01).is_nan());
    }

    #[test]
    fn damaged_files_are_refused() {
        let device = Device::flex();
        for bytes in [&b""[..], b"12345678", &[255; 64]] {
            assert!(Pretrained::read(bytes, &device).is_err());
        }
    }
}
