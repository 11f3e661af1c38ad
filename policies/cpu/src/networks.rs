//! Sets of perceptrons that are trained together: the networks of a critic, with the copies that follow them slowly.
//!
//! A caller says which networks see which input, and turns their outputs into gradients of its loss; what lies between is here.
//! On the CPU parameters stay where they lie and buffers outlive the update: all forward passes are one set of jobs, all backward
//! passes another, and all optimizer steps a third. On other devices the same is done by plain tensor operations.

mod stored;
mod through;

use std::path::Path;
use std::sync::Arc;

use burn::tensor::{Device, Tensor};
use tiltrl_tilt::TiltError;
use tiltrl_tilt::checkpoint::Checkpoint;
use tiltrl_tilt::host::{host, matrix, vector};
use tiltrl_tilt::optimizer::AdamConfig;

use crate::adam::{Average, FlatAdam};
use crate::engine::Engine;
use crate::fused::mlp_forward;
use crate::host::HostVector;
use crate::parallel::inside;
use crate::shape::MlpSpec;
use crate::train::{self, Packing, Pass, Task};

pub use stored::NetworkPass;
use stored::{Member, run};

/// Perceptrons that are trained together.
pub struct Networks {
    engine: Engine,
    members: Vec<Member>,
    passes: Vec<Pass>,
    /// Where [`Self::learn_through`] puts the input of the networks that it looks through.
    joined: Vec<f32>,
}

impl Networks {
    /// Returns an empty set.
    pub fn new(engine: &Engine) -> Self {
        Self {
            engine: engine.clone(),
            members: Vec::new(),
            passes: Vec::new(),
            joined: Vec::new(),
        }
    }

    /// Adds a network with these initial parameters and returns its index; with `followed`, a slow copy goes with it.
    pub fn push(
        &mut self,
        spec: MlpSpec,
        parameters: Tensor<1>,
        config: AdamConfig,
        followed: bool,
    ) -> usize {
        let packing = || Packing::new(self.engine.arithmetic(), &spec);
        self.members.push(Member {
            packings: [packing(), packing()],
            optimizer: FlatAdam::new(config, spec.num_parameters()),
            target: followed.then(|| parameters.clone()),
            parameters,
            spec: Arc::new(spec),
        });
        self.members.len() - 1
    }

    /// Returns how many networks there are.
    pub fn len(&self) -> usize {
        self.members.len()
    }

    /// Returns whether there is none.
    pub fn is_empty(&self) -> bool {
        self.members.is_empty()
    }

    /// Returns the width of a network's input.
    pub fn inputs(&self, network: usize) -> usize {
        self.members[network].spec.inputs()
    }

    /// Returns the shape of a network.
    pub fn spec(&self, network: usize) -> &MlpSpec {
        &self.members[network].spec
    }

    /// Returns a network's flat parameters, or those of its slow copy where it has one and `target` is set.
    pub fn values(&self, network: usize, target: bool) -> Vec<f32> {
        let member = &self.members[network];
        let copy = member.target.as_ref().filter(|_| target);
        host(copy.unwrap_or(&member.parameters).clone())
    }

    /// Sets the step size of every network.
    pub fn set_learning_rate(&mut self, rate: f32) {
        for member in &mut self.members {
            member.optimizer.config.learning_rate = rate;
        }
    }

    /// Sets the step size of one network.
    pub fn set_learning_rate_of(&mut self, network: usize, rate: f32) {
        self.members[network].optimizer.config.learning_rate = rate;
    }

    fn on_host(&self) -> bool {
        let devices = self.members.iter().map(|m| m.parameters.device());
        devices.into_iter().all(|d| d == Device::flex())
    }

    /// Returns the outputs of passes, each [rows · outputs]; nothing is trained.
    pub fn evaluate(&self, passes: &[NetworkPass<'_>]) -> Vec<Vec<f32>> {
        if !self.on_host() {
            return passes.iter().map(|p| host(self.forward(p))).collect();
        }
        let stored: Vec<HostVector> = passes.iter().map(|p| self.shared(p)).collect();
        let mut packings: Vec<Packing> = passes.iter().map(|p| self.packing(p.network)).collect();
        let mut buffers: Vec<Pass> = passes.iter().map(|_| Pass::default()).collect();
        inside(|| {
            let jobs = packings.iter_mut().zip(&stored);
            train::pack_all(jobs.map(|(p, net)| (p, net.values(), false)).collect());
            let jobs = packings.iter().zip(&stored).zip(passes).zip(&mut buffers);
            let tasks = jobs.map(|(((packing, net), pass), buffer)| Task {
                net: packing.net(net.values()),
                input: pass.input,
                keep: false,
                pass: buffer,
            });
            train::forward(tasks.collect());
        });
        buffers.iter().map(|b| b.output().to_vec()).collect()
    }

    /// Does one step of every network that is trained, then moves the slow copies by `1 − decay` towards them.
    ///
    /// `loss(outputs, gradients)` gets the outputs of all passes in order and fills the gradients of its loss with respect to the
    /// outputs of those with `train`, in order. Returns what `loss` returns; `None` from it leaves everything as it was.
    pub fn learn<R>(
        &mut self,
        passes: &[NetworkPass<'_>],
        decay: f32,
        loss: impl FnOnce(&[&[f32]], &mut [&mut [f32]]) -> Option<R> + Send,
    ) -> Option<R>
    where
        R: Send,
    {
        if !self.on_host() {
            return self.learn_by_tensors(passes, decay, loss);
        }
        self.with_stored(passes.len(), |members, stored, buffers, _| {
            run(members, stored, passes, buffers, decay, loss)
        })
    }

    /// Returns the gradient of Σ weights · output of each pass with respect to its input, [rows · inputs] each.
    ///
    /// `weights(outputs)` gives one weight per output of each pass.
    pub fn input_gradients(
        &self,
        passes: &[NetworkPass<'_>],
        weights: impl FnOnce(&[Vec<f32>]) -> Vec<Vec<f32>>,
    ) -> Vec<Vec<f32>> {
        let inputs: Vec<Tensor<2>> = passes
            .iter()
            .map(|p| self.input(p).autodiff().require_grad())
            .collect();
        let outputs: Vec<Tensor<2>> = passes
            .iter()
            .zip(&inputs)
            .map(|(p, x)| self.forward_of(p, x.clone()))
            .collect();
        let values: Vec<Vec<f32>> = outputs.iter().map(|o| host(o.clone())).collect();
        let all = outputs.into_iter().zip(weights(&values)).zip(inputs);
        all.map(|((output, weights), input)| {
            let columns = output.dims()[1];
            let device = output.device().inner();
            let surrogate = (output * matrix(weights, columns, &device)).sum();
            host(
                input
                    .grad(&surrogate.backward())
                    .expect("the input is tracked"),
            )
        })
        .collect()
    }

    /// Stores parameters, slow copies and optimizers.
    pub fn put(&self, checkpoint: &mut Checkpoint, prefix: &str) {
        for (i, member) in self.members.iter().enumerate() {
            let mut insert = |name: &str, tensor: &Tensor<1>| {
                let name = format!("{prefix}{i}.{name}");
                checkpoint.tensors.insert(name, host(tensor.clone()));
            };
            insert("parameters", &member.parameters);
            if let Some(target) = &member.target {
                insert("target", target);
            }
            member.optimizer.put(checkpoint, &format!("_{prefix}{i}"));
        }
    }

    /// Restores what [`Self::put`] stored.
    ///
    /// # Errors
    /// [`TiltError::Checkpoint`] when something is missing or has another length.
    pub fn get(
        &mut self,
        checkpoint: &Checkpoint,
        path: &Path,
        prefix: &str,
    ) -> Result<(), TiltError> {
        for (i, member) in self.members.iter_mut().enumerate() {
            let (count, device) = (member.spec.num_parameters(), member.parameters.device());
            let read = |name: &str| -> Result<Tensor<1>, TiltError> {
                let name = format!("{prefix}{i}.{name}");
                Ok(vector(checkpoint.tensor(path, &name, count)?, &device))
            };
            member.parameters = read("parameters")?;
            if member.target.is_some() {
                member.target = Some(read("target")?);
            }
            let suffix = format!("_{prefix}{i}");
            member.optimizer.get(checkpoint, path, &suffix)?;
        }
        Ok(())
    }

    fn parameters(&self, pass: &NetworkPass<'_>) -> &Tensor<1> {
        let member = &self.members[pass.network];
        match &member.target {
            Some(target) if pass.target => target,
            _ => &member.parameters,
        }
    }

    fn shared(&self, pass: &NetworkPass<'_>) -> HostVector {
        HostVector::share(self.parameters(pass)).expect("asked for on the CPU backend")
    }

    fn packing(&self, network: usize) -> Packing {
        Packing::new(self.engine.arithmetic(), &self.members[network].spec)
    }

    fn input(&self, pass: &NetworkPass<'_>) -> Tensor<2> {
        let member = &self.members[pass.network];
        let device = member.parameters.device();
        matrix(pass.input.to_vec(), member.spec.inputs(), &device)
    }

    fn forward_of(&self, pass: &NetworkPass<'_>, input: Tensor<2>) -> Tensor<2> {
        let spec = &self.members[pass.network].spec;
        mlp_forward(&self.engine, spec, self.parameters(pass).clone(), input)
    }

    fn forward(&self, pass: &NetworkPass<'_>) -> Tensor<2> {
        self.forward_of(pass, self.input(pass))
    }

    fn learn_by_tensors<R>(
        &mut self,
        passes: &[NetworkPass<'_>],
        decay: f32,
        loss: impl FnOnce(&[&[f32]], &mut [&mut [f32]]) -> Option<R>,
    ) -> Option<R> {
        let tracked: Vec<Tensor<1>> = passes
            .iter()
            .map(|p| self.parameters(p).clone().autodiff().require_grad())
            .collect();
        let outputs: Vec<Tensor<2>> = passes
            .iter()
            .zip(&tracked)
            .map(|(p, parameters)| {
                let spec = &self.members[p.network].spec;
                mlp_forward(&self.engine, spec, parameters.clone(), self.input(p))
            })
            .collect();
        let values: Vec<Vec<f32>> = outputs.iter().map(|o| host(o.clone())).collect();
        let trained: Vec<usize> = (0..passes.len()).filter(|&i| passes[i].train).collect();
        let mut gradients: Vec<Vec<f32>> = trained
            .iter()
            .map(|&i| vec![0.0; values[i].len()])
            .collect();
        let views: Vec<&[f32]> = values.iter().map(Vec::as_slice).collect();
        let mut places: Vec<&mut [f32]> = gradients.iter_mut().map(Vec::as_mut_slice).collect();
        let result = loss(&views, &mut places)?;
        for (&i, gradient) in trained.iter().zip(gradients) {
            let columns = outputs[i].dims()[1];
            let device = self.members[passes[i].network].parameters.device();
            let surrogate = (outputs[i].clone() * matrix(gradient, columns, &device)).sum();
            let gradient = tracked[i].grad(&surrogate.backward()).expect("tracked");
            self.descend_by_tensors(passes[i].network, &host(gradient), decay);
        }
        Some(result)
    }

    fn descend_by_tensors(&mut self, network: usize, gradient: &[f32], decay: f32) {
        let member = &mut self.members[network];
        let device = member.parameters.device();
        let mut parameters = host(member.parameters.clone());
        let mut target = member.target.clone().map(host);
        let average = target.as_mut().map(|values| Average { values, decay });
        member.optimizer.step(&mut parameters, gradient, average);
        member.parameters = vector(parameters, &device);
        member.target = target.map(|t| vector(t, &device));
    }
}

#[cfg(test)]
mod tests;
