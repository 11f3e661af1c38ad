//! Figures: what is drawn, and what is refused.

mod common;
mod figures;
mod refusals;
