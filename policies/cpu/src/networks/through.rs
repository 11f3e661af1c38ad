//! Training one network through others: its output is part of their input, and the gradient comes back through them.
//!
//! So deterministic policy gradients are made: the action of a policy is what a critic sees, and ∂Q/∂a what the policy learns from.

use burn::tensor::Tensor;
use tiltrl_tilt::host::{host, matrix};

use super::stored::{Member, NetworkPass, Stored, descend, pack, tasks};
use super::{Networks, Pass};
use crate::fused::mlp_forward;
use crate::parallel::{for_each, inside};
use crate::train::{self, Task};

impl Networks {
    /// Writes the outputs of passes, each [rows · outputs], to `outputs`, whose buffers are used again; nothing is trained.
    pub fn outputs_into(&mut self, passes: &[NetworkPass<'_>], outputs: &mut Vec<Vec<f32>>) {
        outputs.resize_with(passes.len(), Vec::new);
        if !self.on_host() {
            for (pass, output) in passes.iter().zip(outputs) {
                *output = host(self.forward(pass));
            }
            return;
        }
        self.with_stored(passes.len(), |members, stored, buffers, _| {
            pack(members, stored, passes);
            train::forward(tasks(members, stored, passes, buffers));
            for (buffer, output) in buffers.iter().zip(outputs) {
                output.clear();
                output.extend_from_slice(buffer.output());
            }
        });
    }

    /// Does one step of the network of `pass`, whose loss looks at its output through `others`, which are not trained.
    ///
    /// `join(output, input)` makes the input of the others, [rows · inputs], from the output of the network. `differentiate(outputs,
    /// gradients)` gets what the others say and fills the gradient of the loss with respect to it. `finish(output, through, gradient)`
    /// gets the gradient with respect to the input of each other and fills the gradient with respect to the network's output. The slow
    /// copy moves by `1 − decay`. Returns what `finish` returns; `None` from it leaves everything as it was.
    pub fn learn_through<R: Send>(
        &mut self,
        pass: NetworkPass<'_>,
        others: &[usize],
        decay: f32,
        join: impl FnOnce(&[f32], &mut Vec<f32>) + Send,
        differentiate: impl FnOnce(&[&[f32]], &mut [&mut [f32]]) + Send,
        finish: impl FnOnce(&[f32], &[&[f32]], &mut [f32]) -> Option<R> + Send,
    ) -> Option<R> {
        let pass = NetworkPass {
            target: false,
            train: true,
            ..pass
        };
        if !self.on_host() {
            return self.learn_through_by_tensors(pass, others, decay, join, differentiate, finish);
        }
        self.with_stored(1 + others.len(), |members, stored, buffers, joined| {
            pack_through(members, stored, pass.network, others);
            let (own, rest) = buffers.split_first_mut()?;
            let own_buffer = std::slice::from_mut(own);
            train::forward(tasks(members, stored, &[pass], own_buffer));
            if !others.is_empty() {
                join(own.output(), joined);
            }
            train::forward(through(members, stored, others, (joined, &mut *rest)));
            let (outputs, mut gradients): (Vec<&[f32]>, Vec<&mut [f32]>) =
                rest.iter_mut().map(Pass::loss).unzip();
            differentiate(&outputs, &mut gradients);
            train::backward_to_input(through(members, stored, others, (joined, &mut *rest)));
            let back: Vec<&[f32]> = rest.iter().map(Pass::input_gradient).collect();
            let (output, gradient) = own.loss();
            let result = finish(output, &back, gradient)?;
            let own_buffer = std::slice::from_mut(own);
            train::backward(tasks(members, stored, &[pass], own_buffer));
            descend(members, stored, vec![(pass, own)], decay);
            Some(result)
        })
    }

    /// Runs `work` on the parameters where they lie, with this many buffers and the buffer of joined inputs.
    pub(super) fn with_stored<R: Send>(
        &mut self,
        count: usize,
        work: impl FnOnce(&mut [Member], &mut [Stored], &mut [Pass], &mut Vec<f32>) -> R + Send,
    ) -> R {
        let mut buffers = std::mem::take(&mut self.passes);
        if buffers.len() < count {
            buffers.resize_with(count, Pass::default);
        }
        let mut joined = std::mem::take(&mut self.joined);
        let mut stored: Vec<Stored> = self.members.iter_mut().map(Stored::take).collect();
        let members = &mut self.members;
        let result = inside(|| work(members, &mut stored, &mut buffers[..count], &mut joined));
        for (member, stored) in self.members.iter_mut().zip(stored) {
            stored.put_back(member);
        }
        (self.passes, self.joined) = (buffers, joined);
        result
    }

    pub(super) fn learn_through_by_tensors<R>(
        &mut self,
        pass: NetworkPass<'_>,
        others: &[usize],
        decay: f32,
        join: impl FnOnce(&[f32], &mut Vec<f32>),
        differentiate: impl FnOnce(&[&[f32]], &mut [&mut [f32]]),
        finish: impl FnOnce(&[f32], &[&[f32]], &mut [f32]) -> Option<R>,
    ) -> Option<R> {
        let tracked = self.parameters(&pass).clone().autodiff().require_grad();
        let spec = self.members[pass.network].spec.clone();
        let output: Tensor<2> =
            mlp_forward(&self.engine, &spec, tracked.clone(), self.input(&pass));
        let values = host(output.clone());
        let mut joined = Vec::new();
        if !others.is_empty() {
            join(&values, &mut joined);
        }
        let passes: Vec<NetworkPass<'_>> = others
            .iter()
            .map(|&network| NetworkPass {
                network,
                target: false,
                train: false,
                input: &joined,
            })
            .collect();
        let back = self.input_gradients(&passes, |outputs| {
            let mut weights: Vec<Vec<f32>> = outputs.iter().map(|o| vec![0.0; o.len()]).collect();
            let views: Vec<&[f32]> = outputs.iter().map(Vec::as_slice).collect();
            let mut places: Vec<&mut [f32]> = weights.iter_mut().map(Vec::as_mut_slice).collect();
            differentiate(&views, &mut places);
            weights
        });
        let back: Vec<&[f32]> = back.iter().map(Vec::as_slice).collect();
        let mut gradient = vec![0.0; values.len()];
        let result = finish(&values, &back, &mut gradient)?;
        let device = self.members[pass.network].parameters.device();
        let weights = matrix(gradient, spec.outputs(), &device);
        let surrogate = (output * weights).sum();
        let gradient = tracked.grad(&surrogate.backward()).expect("tracked");
        self.descend_by_tensors(pass.network, &host(gradient), decay);
        Some(result)
    }
}

/// Packs the network that is trained for both directions, and the others for their input's gradient too.
fn pack_through(members: &mut [Member], stored: &[Stored], trained: usize, others: &[usize]) {
    let all = members.iter_mut().zip(stored).enumerate();
    let jobs: Vec<_> = all
        .filter(|(network, _)| *network == trained || others.contains(network))
        .collect();
    for_each(jobs, |(network, (member, stored))| {
        let (packing, values) = (&mut member.packings[0], stored.values(false));
        packing.pack(values, network == trained);
        if network != trained {
            packing.pack_for_input(values);
        }
    });
}

/// The tasks of the networks that are looked through.
fn through<'a>(
    members: &'a [Member],
    stored: &'a [Stored],
    others: &[usize],
    (input, buffers): (&'a [f32], &'a mut [Pass]),
) -> Vec<Task<'a>> {
    let each = others.iter().zip(buffers).map(|(&network, pass)| Task {
        net: members[network].packings[0].net(stored[network].values(false)),
        input,
        keep: true,
        pass,
    });
    each.collect()
}
