//! Networks of Python's libraries, read from their files, give their outputs. tests/fixtures/make_pretrained.py wrote them.

use std::path::PathBuf;

use burn::tensor::Device;
use burn::tensor::activation;
use tiltrl_policies::nets::llama::{HostLlama, Llama, LlamaWeights, Tree};
use tiltrl_policies::nets::{Denoiser, Gpt2, UNet2D};
use tiltrl_policies::tilt::host::{host, host64, matrix};

struct Fixture {
    config: String,
    weights: Vec<u8>,
    expected: serde_json::Value,
}

fn fixture(name: &str) -> Fixture {
    let folder = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../tests/fixtures/pretrained");
    let text = |file: &str| std::fs::read_to_string(folder.join(name).join(file)).expect(file);
    Fixture {
        config: text("config.json"),
        weights: std::fs::read(folder.join(name).join("model.safetensors")).expect("weights"),
        expected: serde_json::from_str(&text("expected.json")).expect("JSON"),
    }
}

impl Fixture {
    fn numbers(&self, key: &str) -> Vec<f64> {
        let list = self.expected[key].as_array().expect("a list");
        list.iter().map(|v| v.as_f64().expect("a number")).collect()
    }

    fn tokens(&self) -> Vec<usize> {
        self.numbers("tokens").iter().map(|&t| t as usize).collect()
    }

    /// The outputs agree to 1e-4, and are no constant.
    fn agrees(&self, found: &[f32]) {
        let wanted = self.numbers("outputs");
        assert_eq!(found.len(), wanted.len());
        let errors = found
            .iter()
            .zip(&wanted)
            .map(|(f, w)| (f64::from(*f) - w).abs());
        let worst = errors.fold(0.0, f64::max);
        assert!(worst < 1e-4, "largest difference {worst}");
        let largest = wanted.iter().fold(0.0f64, |m, w| m.max(w.abs()));
        assert!(largest > 0.1, "outputs up to {largest}");
    }

    fn unet(&self) -> UNet2D {
        UNet2D::read(&self.config, &self.weights, 1000, &Device::flex()).expect("reads")
    }
}

fn check_unet(name: &str) {
    let fixture = fixture(name);
    let images = fixture
        .numbers("images")
        .iter()
        .map(|&v| v as f32)
        .collect();
    let images = matrix(images, 64, &Device::flex());
    let (net, condition) = (fixture.unet(), matrix(vec![0.0; 2], 1, &Device::flex()));
    // Step k of a thousand asks for the noise level 999 − k.
    let levels = fixture.numbers("levels").into_iter();
    let steps: Vec<usize> = levels.map(|level| 999 - level as usize).collect();
    fixture.agrees(&host(net.outputs_at(&images, &steps, 1000, &condition)));
}

#[test]
fn a_unet_of_diffusers_gives_its_outputs() {
    check_unet("unet2d");
}

#[test]
fn a_unet_as_ddpm_has_it_gives_its_outputs() {
    check_unet("unet2d-ddpm");
}

/// With fewer steps, the levels lie evenly among those that the library trained on.
#[test]
fn a_unet_denoises_in_fewer_steps() {
    let net = fixture("unet2d").unet();
    let images = matrix(
        (0..128).map(|i| (i as f32 * 0.3).sin()).collect(),
        64,
        &Device::flex(),
    );
    let condition = matrix(vec![0.0; 2], 1, &Device::flex());
    let at = |step, of| host(net.outputs_at(&images, &[step; 2], of, &condition));
    assert_eq!(at(0, 2), at(0, 1000));
    assert_eq!(at(1, 2), at(500, 1000));
    assert_ne!(at(0, 2), at(1, 2));
    assert_eq!(net.num_outputs(), 64);
    assert!(net.with_outputs(128).is_err());
}

#[test]
fn a_gpt2_of_transformers_gives_its_logits() {
    let fixture = fixture("gpt2");
    let net = Gpt2::read(&fixture.config, &fixture.weights, &Device::flex()).expect("reads");
    fixture.agrees(&host(net.logits(&fixture.tokens(), 2).expect("tokens fit")));
    assert!(net.logits(&[50], 1).is_err());
    assert!(net.logits(&[0; 17], 1).is_err());
}

#[test]
fn a_llama_of_transformers_gives_its_logits() {
    let fixture = fixture("llama");
    let weights = LlamaWeights::read(&fixture.config, &fixture.weights).expect("reads");
    let (net, on_host) = (
        Llama::new(&weights, &Device::flex()),
        HostLlama::new(&weights),
    );
    let tokens: Vec<u32> = fixture.tokens().iter().map(|&t| t as u32).collect();
    let texts: Vec<&[u32]> = tokens.chunks_exact(7).collect();
    let logits = texts.iter().map(|text| net.logits(&Tree::of(text), None));
    let logits: Vec<_> = logits.collect();
    let all: Vec<f32> = logits.iter().flat_map(|l| host(l.clone())).collect();
    fixture.agrees(&all);
    // The program that keeps keys and values, of the token after the whole text.
    for (text, logits) in texts.iter().zip(logits) {
        let last = host64(activation::log_softmax(logits, 1)).split_off(6 * 50);
        let found = on_host.read(text).0.into_iter();
        assert!(
            found
                .zip(last)
                .all(|(f, l)| (f64::from(f) - l).abs() < 1e-4)
        );
    }
}

/// A config that asks for more, less or another thing than the file holds is refused, and the thing is named.
#[test]
fn configs_that_do_not_fit_are_refused() {
    let device = Device::flex();
    let refused = |error: Result<(), tiltrl_policies::tilt::TiltError>, words: &str| {
        let text = error.expect_err(words).to_string();
        assert!(text.contains(words) && text.contains("hint"), "{text}");
    };
    let gpt2 = fixture("gpt2");
    let read = |config: &str| Gpt2::read(config, &gpt2.weights, &device).map(|_| ());
    let with = |from: &str, to: &str| {
        assert!(gpt2.config.contains(from), "{from}");
        gpt2.config.replace(from, to)
    };
    refused(
        read(&with("\"n_layer\": 2", "\"n_layer\": 1")),
        "belong to no layer",
    );
    refused(
        read(&with("\"n_layer\": 2", "\"n_layer\": 3")),
        "`h.2.ln_1.weight` [16] is missing",
    );
    refused(
        read(&with("\"vocab_size\": 50", "\"vocab_size\": 51")),
        "should be [51, 16]",
    );
    refused(read(&with("\"gelu_new\"", "\"mish\"")), "config.json");
    let llama = fixture("llama");
    let read = |from: &str, to: &str| {
        assert!(llama.config.contains(from), "{from}");
        LlamaWeights::read(&llama.config.replace(from, to), &llama.weights).map(|_| ())
    };
    refused(
        read("\"rope_scaling\": null", "\"rope_scaling\": {}"),
        "rope_scaling",
    );
    refused(
        read("\"num_attention_heads\": 4", "\"num_attention_heads\": 3"),
        "sizes that no Llama has",
    );
    refused(
        read("\"vocab_size\": 50", "\"vocab_size\": 51"),
        "should be [51, 16]",
    );
    let unet = fixture("unet2d");
    let read = |config: &str| UNet2D::read(config, &unet.weights, 1000, &device).map(|_| ());
    refused(
        read(
            &unet
                .config
                .replace("\"AttnUpBlock2D\"", "\"SkipUpBlock2D\""),
        ),
        "config.json",
    );
    refused(
        read(
            &unet
                .config
                .replacen("\"AttnUpBlock2D\"", "\"UpBlock2D\"", 1),
        ),
        "belong to no layer",
    );
    let cut = &unet.weights[..unet.weights.len() - 4];
    refused(
        UNet2D::read(&unet.config, cut, 1000, &device).map(|_| ()),
        "cannot be read",
    );
}
