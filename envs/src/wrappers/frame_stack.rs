//! The last few observations in one.

use crate::env::{Env, EnvSpec, Step};

/// An environment whose observation is its last `depth` observations, oldest first; after a reset all are the first.
pub struct FrameStack {
    inner: Box<dyn Env>,
    spec: EnvSpec,
    width: usize,
    frames: Vec<f32>,
}

impl FrameStack {
    /// The environment with this many observations in one.
    ///
    /// # Panics
    /// If `depth` is zero.
    pub fn new(inner: Box<dyn Env>, depth: usize) -> Self {
        assert!(depth > 0, "a stack holds at least one observation");
        let width = inner.spec().observation_dim;
        let mut spec = inner.spec().clone();
        spec.observation_dim = depth * width;
        spec.observation = (0..depth)
            .rev()
            .flat_map(|age| {
                inner
                    .spec()
                    .observation
                    .iter()
                    .cloned()
                    .map(move |mut component| {
                        if age > 0 {
                            component.name = format!("{} ({age} steps ago)", component.name);
                        }
                        component
                    })
            })
            .collect();
        Self {
            inner,
            spec,
            width,
            frames: vec![0.0; depth * width],
        }
    }
}

impl Env for FrameStack {
    fn spec(&self) -> &EnvSpec {
        &self.spec
    }

    fn reset(&mut self, seed: u64, observation: &mut [f32]) {
        let (first, rest) = self.frames.split_at_mut(self.width);
        self.inner.reset(seed, first);
        for frame in rest.chunks_exact_mut(self.width) {
            frame.copy_from_slice(first);
        }
        observation.copy_from_slice(&self.frames);
    }

    fn step(&mut self, action: &[f32], observation: &mut [f32]) -> Step {
        self.frames.copy_within(self.width.., 0);
        let newest = self.frames.len() - self.width;
        let step = self.inner.step(action, &mut self.frames[newest..]);
        observation.copy_from_slice(&self.frames);
        step
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::classic::Pendulum;

    #[test]
    fn the_stack_holds_the_last_observations_oldest_first() {
        let mut stacked = FrameStack::new(Box::new(Pendulum::new()), 2);
        let mut plain = Pendulum::new();
        let (mut pair, mut single) = ([0.0; 6], [0.0; 3]);
        stacked.reset(5, &mut pair);
        plain.reset(5, &mut single);
        assert_eq!(
            [pair[..3].to_vec(), pair[3..].to_vec()],
            [single.to_vec(), single.to_vec()]
        );
        let before = single;
        stacked.step(&[0.2], &mut pair);
        plain.step(&[0.2], &mut single);
        assert_eq!(
            [pair[..3].to_vec(), pair[3..].to_vec()],
            [before.to_vec(), single.to_vec()]
        );
        crate::conformity::check(&|| Box::new(FrameStack::new(Box::new(Pendulum::new()), 3)))
            .expect("conforms");
    }
}
