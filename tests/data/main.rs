//! Files of data: read, refused with the reason, written, and read back.

mod actor;
mod cases;
mod damage;
mod fixtures;
mod links;
mod reading;
mod recordings;
mod sample;
mod shared;
mod units;
mod write;
