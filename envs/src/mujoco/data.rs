//! One simulation of a loaded model.
#![allow(unsafe_code)]

use super::library::{Model, POSITION, Pointer, TIME, VELOCITY};
use std::sync::Arc;

/// The state of one simulation of a model.
pub struct Data {
    pub(super) model: Arc<Model>,
    pub(super) pointer: Pointer,
    /// Positions, then velocities, as last read.
    state: Vec<f64>,
}

// SAFETY: nothing in a data's memory belongs to a thread.
unsafe impl Send for Data {}

impl Data {
    /// A simulation in the model's drawn pose.
    pub fn new(model: &Arc<Model>) -> Self {
        // SAFETY: a live model.
        let pointer = unsafe { (model.library.make_data)(model.pointer) };
        assert!(!pointer.is_null(), "MuJoCo is out of memory");
        let state = vec![0.0; model.num_positions + model.num_velocities];
        let mut data = Self {
            model: model.clone(),
            pointer,
            state,
        };
        data.reset();
        data
    }

    /// Returns the model that is simulated.
    pub fn model(&self) -> &Model {
        &self.model
    }

    /// Goes back to the drawn pose and forgets everything.
    pub fn reset(&mut self) {
        // SAFETY: model and data are alive and belong together.
        unsafe { (self.model.library.reset_data)(self.model.pointer, self.pointer) }
        self.read();
    }

    /// Forgets everything and takes this state.
    pub fn set_state(&mut self, position: &[f64], velocity: &[f64]) {
        self.reset();
        self.state[..self.model.num_positions].copy_from_slice(position);
        self.state[self.model.num_positions..].copy_from_slice(velocity);
        let library = &self.model.library;
        // SAFETY: `state` holds as many numbers as positions and velocities together.
        unsafe {
            let bits = POSITION | VELOCITY;
            (library.set_state)(self.model.pointer, self.pointer, self.state.as_ptr(), bits);
            (library.forward)(self.model.pointer, self.pointer);
        }
    }

    /// Simulates `num_steps` steps under constant controls.
    ///
    /// # Panics
    /// If there is not one control per motor.
    pub fn step(&mut self, controls: &[f64], num_steps: usize) {
        assert_eq!(
            controls.len(),
            self.model.num_controls,
            "one control per motor"
        );
        let library = &self.model.library;
        // SAFETY: `controls` holds as many numbers as the model has controls.
        unsafe {
            let control = self.model.control;
            (library.set_state)(self.model.pointer, self.pointer, controls.as_ptr(), control);
            for _ in 0..num_steps {
                (library.step)(self.model.pointer, self.pointer);
            }
        }
        self.read();
    }

    fn read(&mut self) {
        let bits = POSITION | VELOCITY;
        // SAFETY: `state` holds as many numbers as positions and velocities together.
        unsafe {
            let library = &self.model.library;
            (library.get_state)(
                self.model.pointer,
                self.pointer,
                self.state.as_mut_ptr(),
                bits,
            );
        }
    }

    /// Simulated time since the reset, s.
    pub fn time(&self) -> f64 {
        let mut time = 0.0;
        // SAFETY: the component TIME is one number.
        unsafe {
            (self.model.library.get_state)(self.model.pointer, self.pointer, &mut time, TIME);
        }
        time
    }

    /// Where the frame of the first body was when the links' places were last computed, m: with Runge–Kutta that is before the
    /// step's last stage, so it lags behind the joints.
    ///
    /// The first body is the one that the root joint moves; a model without joints has none.
    ///
    /// # Panics
    /// If the model has no joint.
    pub fn first_body_place(&self) -> [f64; 3] {
        assert!(self.model.num_velocities > 0, "a model without a joint");
        let (mut place, mut rotation) = ([0.0; 3], [0.0; 9]);
        let (origin, upright) = ([0.0; 3], [1.0, 0.0, 0.0, 0.0]);
        // SAFETY: live data, and four buffers of the sizes that mujoco.h gives.
        unsafe {
            (self.model.library.local_to_global)(
                self.pointer,
                place.as_mut_ptr(),
                rotation.as_mut_ptr(),
                origin.as_ptr(),
                upright.as_ptr(),
                1,
                0,
            );
        }
        place
    }

    /// Has MuJoCo compute the contact forces of the last step, which it leaves out otherwise (Gymnasium does this after every step).
    pub fn compute_contact_forces(&mut self) {
        // SAFETY: model and data are alive and belong together.
        unsafe { (self.model.library.rne_post_constraint)(self.model.pointer, self.pointer) }
    }

    /// Pushes every body with a force and torque of arbitrary numbers until the next reset.
    pub(super) fn push_bodies(&mut self, number: &mut impl FnMut() -> f64) {
        let library = &self.model.library;
        // The pushes on bodies stand two places after the controls in every layout of the state.
        let bits = self.model.control << 2;
        // SAFETY: a live model, and as many numbers as MuJoCo says that the component has.
        unsafe {
            let count = (library.state_size)(self.model.pointer, bits) as usize;
            let pushes: Vec<f64> = (0..count).map(|_| number()).collect();
            (library.set_state)(self.model.pointer, self.pointer, pushes.as_ptr(), bits);
        }
    }

    /// Returns qpos: joint positions, in metres and radians.
    pub fn position(&self) -> &[f64] {
        &self.state[..self.model.num_positions]
    }

    /// Returns qvel: joint velocities, per second.
    pub fn velocity(&self) -> &[f64] {
        &self.state[self.model.num_positions..]
    }
}

impl Drop for Data {
    fn drop(&mut self) {
        // SAFETY: made by `mj_makeData`, freed once.
        unsafe { (self.model.library.delete_data)(self.pointer) }
    }
}
