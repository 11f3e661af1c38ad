//! A denoiser whose type is chosen when the program runs: its parameters, and a form that knows what to do with them.
//!
//! Configurations name a network, and the pipeline trains, stores and tilts whatever the name stands for. The parameters are this
//! module's own, flat, under the names that the network gave them, so that checkpoints do not show the difference.

use std::any::Any;
use std::fmt;
use std::sync::Arc;

use burn::module::{Devices, Module, ModuleMapper, ModuleVisitor, Param, ParamId};
use burn::tensor::{Device, Tensor};
use tiltrl_tilt::{TiltError, weights};

use super::denoiser::{Compiled, Denoiser, Query};
use crate::fast::{Activation, Diffusion};

/// What is asked of a network before it exists.
#[derive(Clone, Debug)]
pub struct NetworkShape {
    /// Width of a state.
    pub dim: usize,
    /// Width of a condition; may be 0.
    pub condition_dim: usize,
    /// Numbers per row of the output.
    pub outputs: usize,
    /// Hidden widths; what they mean is the network's affair.
    pub hidden: Vec<usize>,
    /// Function after each hidden layer.
    pub activation: Activation,
    /// Octaves of sin and cos of the state that the network sees besides it, the longest period being 4. Posteriors with many
    /// sharp modes in few dimensions are learned much faster with them (arXiv:2006.10739). 0: none.
    pub waves: usize,
}

/// Any denoiser, as one type.
///
/// It holds the floating-point parameters. Whatever else a network keeps (tables of integers, running means) stays as it was
/// when [`Network::of`] took it: on its device, and in no checkpoint.
#[derive(Clone)]
pub struct Network {
    parameters: Vec<Named>,
    form: Arc<dyn Form>,
}

/// A parameter under the names of the modules that it lies in.
#[derive(Clone)]
struct Named {
    path: Arc<[String]>,
    values: Param<Tensor<1>>,
}

/// What can be asked of a denoiser whose parameters are given anew each time.
trait Form: Send + Sync {
    fn about(&self) -> String;
    fn network(&self, parameters: Vec<Tensor<1>>) -> Box<dyn Any>;
    fn outputs(&self, parameters: Vec<Tensor<1>>, query: &Query<'_>) -> Tensor<2>;
    fn outputs_at(
        &self,
        parameters: Vec<Tensor<1>>,
        states: &Tensor<2>,
        at: (&[usize], usize),
        condition: &Tensor<2>,
    ) -> Tensor<2>;
    fn num_outputs(&self) -> usize;
    fn with_outputs(
        &self,
        parameters: Vec<Tensor<1>>,
        outputs: usize,
    ) -> Result<Network, TiltError>;
    fn with_condition_column(&self, parameters: Vec<Tensor<1>>) -> Result<Network, TiltError>;
    fn at_condition_column(
        &self,
        parameters: Vec<Tensor<1>>,
        value: f32,
    ) -> Result<Network, TiltError>;
    fn compiled(&self, parameters: Vec<Tensor<1>>, diffusion: Diffusion) -> Option<Compiled>;
}

/// A network whose own parameters are never read.
struct Of<N>(N);

impl<N: Denoiser + Sync + 'static> Of<N> {
    fn over(&self, parameters: Vec<Tensor<1>>) -> N {
        weights::with_tensors(self.0.clone(), parameters)
    }
}

impl<N: Denoiser + Sync + 'static> Form for Of<N> {
    fn about(&self) -> String {
        format!("{:?}", self.0)
    }

    fn network(&self, parameters: Vec<Tensor<1>>) -> Box<dyn Any> {
        Box::new(self.over(parameters))
    }

    fn outputs(&self, parameters: Vec<Tensor<1>>, query: &Query<'_>) -> Tensor<2> {
        self.over(parameters).outputs(query)
    }

    fn outputs_at(
        &self,
        parameters: Vec<Tensor<1>>,
        states: &Tensor<2>,
        (steps, num_steps): (&[usize], usize),
        condition: &Tensor<2>,
    ) -> Tensor<2> {
        let network = self.over(parameters);
        network.outputs_at(states, steps, num_steps, condition)
    }

    fn num_outputs(&self) -> usize {
        self.0.num_outputs()
    }

    fn with_outputs(
        &self,
        parameters: Vec<Tensor<1>>,
        outputs: usize,
    ) -> Result<Network, TiltError> {
        Ok(Network::of(self.over(parameters).with_outputs(outputs)?))
    }

    fn with_condition_column(&self, parameters: Vec<Tensor<1>>) -> Result<Network, TiltError> {
        Ok(Network::of(self.over(parameters).with_condition_column()?))
    }

    fn at_condition_column(
        &self,
        parameters: Vec<Tensor<1>>,
        value: f32,
    ) -> Result<Network, TiltError> {
        let network = self.over(parameters);
        Ok(Network::of(network.at_condition_column(value)?))
    }

    fn compiled(&self, parameters: Vec<Tensor<1>>, diffusion: Diffusion) -> Option<Compiled> {
        self.over(parameters).compiled(diffusion)
    }
}

impl Network {
    /// Returns a denoiser without its type.
    pub fn of<N: Denoiser + Sync + 'static>(network: N) -> Self {
        // Off the graph no parameter records a gradient; whether it will, training says.
        let tracked = weights::tracked_names(&network.clone().train());
        let names = weights::names(&network).into_iter();
        let values = names.zip(weights::tensors(&network));
        let parameters = values.map(|(name, values)| {
            let tracks = tracked.contains(&name);
            Named {
                path: name.split('.').map(str::to_string).collect(),
                values: Param::initialized(ParamId::new(), values).set_require_grad(tracks),
            }
        });
        Self {
            parameters: parameters.collect(),
            form: Arc::new(Of(network)),
        }
    }

    /// Returns the denoiser with its type, when it is an `N`.
    pub fn get<N: Denoiser + Sync + 'static>(&self) -> Option<N> {
        let network = self.form.network(self.values());
        network.downcast::<N>().ok().map(|network| *network)
    }

    fn values(&self) -> Vec<Tensor<1>> {
        self.parameters.iter().map(|p| p.values.val()).collect()
    }

    fn each(mut self, change: impl Fn(Param<Tensor<1>>) -> Param<Tensor<1>>) -> Self {
        for parameter in &mut self.parameters {
            parameter.values = change(parameter.values.clone());
        }
        self
    }
}

impl fmt::Debug for Network {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str(&self.form.about())
    }
}

impl Module for Network {
    fn collect_devices(&self, devices: Devices) -> Devices {
        let parameters = self.parameters.iter();
        parameters.fold(devices, |all, p| p.values.collect_devices(all))
    }

    fn fork(self, device: &Device) -> Self {
        self.each(|p| p.fork(device))
    }

    fn to_device(self, device: &Device) -> Self {
        self.each(|p| p.to_device(device))
    }

    fn train(self) -> Self {
        self.each(Module::train)
    }

    fn valid(&self) -> Self {
        self.clone().each(|p| p.valid())
    }

    fn materialize(self) -> Self {
        self.each(Module::materialize)
    }

    fn visit<Visitor: ModuleVisitor>(&self, visitor: &mut Visitor) {
        for parameter in &self.parameters {
            for name in parameter.path.iter() {
                visitor.enter_module(name, "Struct:Network");
            }
            visitor.visit_float(&parameter.values);
            for name in parameter.path.iter().rev() {
                visitor.exit_module(name, "Struct:Network");
            }
        }
    }

    fn map<Mapper: ModuleMapper>(mut self, mapper: &mut Mapper) -> Self {
        for parameter in &mut self.parameters {
            for name in parameter.path.iter() {
                mapper.enter_module(name, "Struct:Network");
            }
            parameter.values = mapper.map_float(parameter.values.clone());
            for name in parameter.path.iter().rev() {
                mapper.exit_module(name, "Struct:Network");
            }
        }
        self
    }
}

impl Denoiser for Network {
    fn outputs(&self, query: &Query<'_>) -> Tensor<2> {
        self.form.outputs(self.values(), query)
    }

    fn outputs_at(
        &self,
        states: &Tensor<2>,
        steps: &[usize],
        num_steps: usize,
        condition: &Tensor<2>,
    ) -> Tensor<2> {
        let at = (steps, num_steps);
        self.form.outputs_at(self.values(), states, at, condition)
    }

    fn num_outputs(&self) -> usize {
        self.form.num_outputs()
    }

    fn with_outputs(&self, outputs: usize) -> Result<Self, TiltError> {
        self.form.with_outputs(self.values(), outputs)
    }

    fn with_condition_column(&self) -> Result<Self, TiltError> {
        self.form.with_condition_column(self.values())
    }

    fn at_condition_column(&self, value: f32) -> Result<Self, TiltError> {
        self.form.at_condition_column(self.values(), value)
    }

    fn compiled(&self, diffusion: Diffusion) -> Option<Compiled> {
        self.form.compiled(self.values(), diffusion)
    }
}
