//! Episodes that the prior does not learn from, and its denoising loss on them.

use tiltrl_policies::models::GaussianDiffusion;
use tiltrl_tilt::host::{host, matrix};
use tiltrl_tilt::noise::Noise;

use super::training_data::TrainingData;

/// Rows of the measurement.
const ROWS: usize = 2048;

/// Rows to learn from, and rows held out; each episode is whole in one of them.
pub struct Split {
    /// Rows to learn from.
    pub kept: Vec<usize>,
    /// Rows held out; none where nothing is.
    pub out: Vec<usize>,
}

impl Split {
    /// Holds out this share of the episodes, at least one where the share is above 0 and there are two; `seed` draws which.
    pub fn new(continues: &[bool], share: f64, seed: u64) -> Self {
        let ends = continues
            .iter()
            .enumerate()
            .filter(|(_, goes_on)| !**goes_on);
        let mut starts: Vec<usize> = std::iter::once(0).chain(ends.map(|(i, _)| i + 1)).collect();
        if starts.last() != Some(&continues.len()) {
            starts.push(continues.len());
        }
        let episodes = starts.len() - 1;
        let wanted = (share * episodes as f64).round() as usize;
        let count = match share > 0.0 && episodes > 1 {
            true => wanted.clamp(1, episodes - 1),
            false => 0,
        };
        let mut order: Vec<usize> = (0..episodes).collect();
        let mut noise = Noise::keyed(seed, "held-out", 0);
        for i in 0..count {
            let at = i + noise.indices(1, episodes - i)[0];
            order.swap(i, at);
        }
        let rows = |of: &[usize]| {
            let mut of = of.to_vec();
            of.sort_unstable();
            of.iter().flat_map(|&e| starts[e]..starts[e + 1]).collect()
        };
        Self {
            kept: rows(&order[count..]),
            out: rows(&order[..count]),
        }
    }

    /// Returns the denoising loss on rows held out, always the same rows and noise; NaN where there are none.
    pub fn loss(&self, model: &GaussianDiffusion, data: &TrainingData, seed: u64) -> f64 {
        if self.out.is_empty() {
            return f64::NAN;
        }
        let mut noise = Noise::keyed(seed, "held-out-loss", 0);
        let drawn = noise.indices(ROWS, self.out.len());
        let rows: Vec<usize> = drawn.into_iter().map(|i| self.out[i]).collect();
        let condition = matrix(data.observations(&rows), data.widths()[0], &model.device());
        let loss = model.denoising_loss(&data.latents(&rows), &condition, &mut noise);
        f64::from(host(loss)[0])
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn whole_episodes_are_held_out_and_the_seed_chooses_them() {
        // Twenty episodes of five rows; the last is cut short.
        let continues: Vec<bool> = (0..98).map(|i| i % 5 != 4).collect();
        let split = Split::new(&continues, 0.25, 1);
        assert_eq!(split.kept.len() + split.out.len(), 98);
        assert!((23..=25).contains(&split.out.len()), "{}", split.out.len());
        let episode = |rows: &[usize]| -> Vec<usize> {
            let mut all: Vec<usize> = rows.iter().map(|row| row / 5).collect();
            all.dedup();
            all
        };
        let (kept, out) = (episode(&split.kept), episode(&split.out));
        assert_eq!((kept.len(), out.len()), (15, 5));
        assert!(kept.iter().all(|e| !out.contains(e)));
        assert_eq!(Split::new(&continues, 0.25, 1).out, split.out);
        assert_ne!(Split::new(&continues, 0.25, 2).out, split.out);
        assert!(Split::new(&continues, 0.0, 1).out.is_empty());
        assert_eq!(episode(&Split::new(&continues, 0.001, 1).out).len(), 1);
        assert!(
            Split::new(&[true, true], 0.5, 1).out.is_empty(),
            "one episode"
        );
    }
}
