//! Classic control: small systems whose equations of motion are written out.

mod pendulum;

pub use pendulum::Pendulum;
