//! Files of data: read, refused with the reason, written, and read back.

mod actor;
mod cases;
mod convert;
mod damage;
mod fixtures;
mod formats;
mod links;
mod npz;
mod reading;
mod recordings;
mod sample;
mod scratch;
mod shared;
mod tables;
mod units;
mod write;
