//! A Python Gymnasium environment in a process of its own: any task that `gymnasium.make` knows, without linking Python.
//!
//! A subprocess instead of an embedded interpreter, so that the crate builds without Python, and many environments run on
//! many cores. A step costs a round trip through two pipes.

mod environment;

pub use environment::PythonEnv;
