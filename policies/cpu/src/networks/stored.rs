//! Training where the parameters lie, on the host.

use std::sync::Arc;

use burn::tensor::Tensor;

use crate::adam::{Average, FlatAdam};
use crate::host::HostVector;
use crate::shape::MlpSpec;
use crate::train::{self, Descent, Packing, Pass, Task};

/// One network, its optimizer, and its slow copy.
pub(super) struct Member {
    pub(super) spec: Arc<MlpSpec>,
    pub(super) parameters: Tensor<1>,
    pub(super) target: Option<Tensor<1>>,
    pub(super) optimizer: FlatAdam,
    pub(super) packings: [Packing; 2],
}

/// One network on one input.
#[derive(Clone, Copy)]
pub struct NetworkPass<'a> {
    /// Index that [`super::Networks::push`] gave.
    pub network: usize,
    /// Its slow copy instead.
    pub target: bool,
    /// Whether the pass gets a gradient; at most one pass of a network does.
    pub train: bool,
    /// Input [rows, inputs], row-major.
    pub input: &'a [f32],
}

/// A network's parameters and slow copy, taken out for writing.
pub(super) struct Stored {
    parameters: HostVector,
    target: Option<HostVector>,
}

impl Stored {
    pub(super) fn take(member: &mut Member) -> Self {
        Self {
            parameters: HostVector::take(&mut member.parameters),
            target: member.target.as_mut().map(HostVector::take),
        }
    }

    pub(super) fn put_back(self, member: &mut Member) {
        member.parameters = self.parameters.into_tensor();
        member.target = self.target.map(HostVector::into_tensor);
    }

    pub(super) fn values(&self, target: bool) -> &[f32] {
        match &self.target {
            Some(copy) if target => copy.values(),
            _ => self.parameters.values(),
        }
    }
}

/// The tasks of these passes.
pub(super) fn tasks<'a>(
    members: &'a [Member],
    stored: &'a [Stored],
    passes: &[NetworkPass<'a>],
    buffers: &'a mut [Pass],
) -> Vec<Task<'a>> {
    let each = passes.iter().zip(buffers).map(|(pass, buffer)| {
        let packing = &members[pass.network].packings[usize::from(pass.target)];
        Task {
            net: packing.net(stored[pass.network].values(pass.target)),
            input: pass.input,
            keep: pass.train,
            pass: buffer,
        }
    });
    each.collect()
}

/// Packs the weights that the passes use, each once.
pub(super) fn pack(members: &mut [Member], stored: &[Stored], passes: &[NetworkPass<'_>]) {
    let mut jobs = Vec::new();
    for (network, (member, stored)) in members.iter_mut().zip(stored).enumerate() {
        for (packing, target) in member.packings.iter_mut().zip([false, true]) {
            let own = passes
                .iter()
                .filter(|p| p.network == network && p.target == target);
            let (mut used, mut trained) = (false, false);
            own.for_each(|p| (used, trained) = (true, trained || p.train));
            if used {
                jobs.push((packing, stored.values(target), trained));
            }
        }
    }
    train::pack_all(jobs);
}

/// Forward passes, the loss, backward passes and optimizer steps; nothing is changed where the loss gives up.
pub(super) fn run<'a, R>(
    members: &mut [Member],
    stored: &mut [Stored],
    passes: &[NetworkPass<'a>],
    buffers: &mut [Pass],
    decay: f32,
    loss: impl FnOnce(&[&[f32]], &mut [&mut [f32]]) -> Option<R>,
) -> Option<R> {
    pack(members, stored, passes);
    train::forward(tasks(members, stored, passes, buffers));
    let mut outputs: Vec<&[f32]> = Vec::new();
    let mut gradients: Vec<&mut [f32]> = Vec::new();
    for (pass, buffer) in passes.iter().zip(&mut *buffers) {
        let (output, gradient) = buffer.loss();
        outputs.push(output);
        if pass.train {
            gradients.push(gradient);
        }
    }
    let result = loss(&outputs, &mut gradients)?;
    let mut trained: Vec<(NetworkPass<'a>, &mut Pass)> = passes
        .iter()
        .copied()
        .zip(buffers)
        .filter(|(pass, _)| pass.train)
        .collect();
    let jobs = trained.iter_mut().map(|(pass, buffer)| Task {
        net: members[pass.network].packings[0].net(stored[pass.network].values(false)),
        input: pass.input,
        keep: true,
        pass: buffer,
    });
    train::backward(jobs.collect());
    descend(members, stored, trained, decay);
    Some(result)
}

/// Optimizer steps, and the moves of the slow copies.
pub(super) fn descend(
    members: &mut [Member],
    stored: &mut [Stored],
    trained: Vec<(NetworkPass<'_>, &mut Pass)>,
    decay: f32,
) {
    let mut places: Vec<Option<(&mut Member, &mut Stored)>> =
        members.iter_mut().zip(stored).map(Some).collect();
    let steps = trained.into_iter().map(|(pass, buffer)| {
        let place = places[pass.network].take();
        let (member, stored) = place.expect("a network is trained by one pass");
        let average = stored.target.as_mut().map(|target| Average {
            values: target.values_mut(),
            decay,
        });
        Descent {
            parameters: stored.parameters.values_mut(),
            optimizer: &mut member.optimizer,
            pass: buffer,
            average,
        }
    });
    train::descend(steps.collect());
}
