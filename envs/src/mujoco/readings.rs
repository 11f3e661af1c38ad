//! Reads what no function of MuJoCo's returns (contact forces, link inertias and velocities) without knowing its structs.
//!
//! Where an array stands in `mjData` differs between releases. So once per model MuJoCo says itself: a simulation whose memory was
//! allocated here (`mju_user_malloc`) is brought into an arbitrary state and printed with all digits (`mj_printFormattedData`);
//! the word of the struct that leads to exactly the printed numbers is the array's pointer. If none does, or two do, that is an error.
#![allow(unsafe_code)]

use super::data::Data;
use super::library::{Model, Pointer};
use std::ffi::{CString, c_char, c_void};
use std::path::Path;
use std::sync::{Arc, Mutex};

/// An array that MuJoCo computes besides the state. Body 0 is the world.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reading {
    /// Centre of mass of each body and what hangs on it, m: [bodies, 3].
    SubtreeCentre,
    /// Each body's inertia about its tree's centre of mass, with mass: [bodies, 10].
    Inertia,
    /// Each body's velocity, rad/s, and that of its tree's centre of mass as if fixed to it, m/s: [bodies, 6].
    Velocity,
    /// Torque on each body from contacts about its tree's centre of mass, N·m, and force, N: [bodies, 6].
    ContactForce,
    /// The motors' force on each degree of freedom, N or N·m: `[velocities]`.
    MotorForce,
}

impl Reading {
    /// The name under which MuJoCo prints it.
    fn printed(self) -> &'static str {
        match self {
            Self::SubtreeCentre => "SUBTREE_COM",
            Self::Inertia => "CINERT",
            Self::Velocity => "CVEL",
            Self::ContactForce => "CFRC_EXT",
            Self::MotorForce => "QFRC_ACTUATOR",
        }
    }
}

/// Where a model's simulations keep a [`Reading`].
#[derive(Clone, Copy, Debug)]
pub struct Place {
    /// Offset of the array's pointer in mjData, bytes.
    offset: usize,
    /// Count of f64 in the array.
    pub len: usize,
}

impl Place {
    /// The numbers as MuJoCo last computed them.
    ///
    /// # Panics
    /// Never for a simulation of the model that the place was found for; only those may be given.
    pub(super) fn read<'a>(&self, data: &'a Data) -> &'a [f64] {
        // SAFETY: `find` saw that in simulations of this model this word is the pointer of an array of `len` numbers.
        unsafe {
            let word = data.pointer.byte_add(self.offset).cast::<*const f64>();
            std::slice::from_raw_parts(*word, self.len)
        }
    }
}

type Print = unsafe extern "C" fn(Pointer, Pointer, *const c_char, *const c_char);

/// Finds the readings in the model's simulations.
///
/// # Errors
/// Which of them is not where it can be found, and why.
pub(super) fn find(model: &Arc<Model>, wanted: &[Reading]) -> Result<Vec<Place>, String> {
    let (mut data, blocks) = allocate(model)?;
    stir(&mut data);
    let text = print(&data)?;
    let [own, arrays @ ..] = &blocks[..] else {
        return Err("it did not allocate its data here".into());
    };
    if own.start != data.pointer as usize {
        return Err("the first block that it allocated is not its data".into());
    }
    wanted
        .iter()
        .map(|&reading| {
            let numbers = section(&text, reading.printed())
                .ok_or_else(|| format!("it prints no {}", reading.printed()))?;
            match &search(*own, arrays, &numbers)[..] {
                &[offset] => Ok(Place {
                    offset,
                    len: numbers.len(),
                }),
                found => Err(format!(
                    "{} arrays hold the numbers of {}",
                    found.len(),
                    reading.printed()
                )),
            }
        })
        .collect()
}

/// A stretch of memory that MuJoCo asked for.
#[derive(Clone, Copy, Debug)]
struct Block {
    start: usize,
    len: usize,
}

thread_local! {
    /// What this thread's MuJoCo asked for since it was last set.
    static BLOCKS: std::cell::RefCell<Vec<Block>> = const { std::cell::RefCell::new(Vec::new()) };
}

#[cfg(unix)]
unsafe extern "C" {
    fn aligned_alloc(alignment: usize, size: usize) -> *mut c_void;
}

/// What MuJoCo itself does (its `free` fits), but it zeroes the memory and remembers where it is.
#[cfg(unix)]
unsafe extern "C" fn remembering_malloc(size: usize) -> *mut c_void {
    const ALIGNMENT: usize = 64;
    let size = size.next_multiple_of(ALIGNMENT);
    // SAFETY: the size is a multiple of the alignment, a power of two; what was allocated may be written.
    let block = unsafe {
        let block = aligned_alloc(ALIGNMENT, size);
        if !block.is_null() {
            block.cast::<u8>().write_bytes(0, size);
        }
        block
    };
    BLOCKS.with_borrow_mut(|blocks| {
        blocks.push(Block {
            start: block as usize,
            len: size,
        });
    });
    block
}

/// A simulation and the blocks of its memory.
#[cfg(unix)]
fn allocate(model: &Arc<Model>) -> Result<(Data, Vec<Block>), String> {
    type Malloc = unsafe extern "C" fn(usize) -> *mut c_void;
    static HOOKED: Mutex<()> = Mutex::new(());
    // SAFETY: mujoco.h declares a variable of this type under this name.
    let hook = unsafe {
        model
            .library
            .object
            .get::<*mut Option<Malloc>>(b"mju_user_malloc\0")
    }
    .map_err(|error| error.to_string())?;
    let guard = HOOKED
        .lock()
        .unwrap_or_else(|poisoned| poisoned.into_inner());
    BLOCKS.take();
    // SAFETY: nobody else writes the variable while the lock is held; other threads that allocate meanwhile get memory from a
    // function that may be called anywhere.
    let before = unsafe { hook.replace(Some(remembering_malloc)) };
    let data = Data::new(model);
    // SAFETY: as above.
    unsafe { hook.write(before) };
    drop(guard);
    Ok((data, BLOCKS.take()))
}

#[cfg(not(unix))]
fn allocate(_: &Arc<Model>) -> Result<(Data, Vec<Block>), String> {
    Err("this is known for Unix only".into())
}

/// Brings the simulation into a state in which no two arrays look alike: moved, moving, driven and pushed.
fn stir(data: &mut Data) {
    let mut turns = 0.0_f64;
    let mut arbitrary = move || {
        turns = (turns + 0.618_033_988_749_895).fract();
        turns - 0.5
    };
    let position: Vec<f64> = data
        .position()
        .iter()
        .map(|x| x + 0.1 * arbitrary())
        .collect();
    let velocity: Vec<f64> = data.velocity().iter().map(|_| arbitrary()).collect();
    let controls: Vec<f64> = (0..data.model().num_controls)
        .map(|_| arbitrary())
        .collect();
    data.set_state(&position, &velocity);
    data.push_bodies(&mut arbitrary);
    data.step(&controls, 1);
    data.compute_contact_forces();
}

/// All of the simulation in MuJoCo's words.
fn print(data: &Data) -> Result<String, String> {
    static COUNT: std::sync::atomic::AtomicU64 = std::sync::atomic::AtomicU64::new(0);
    let number = COUNT.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
    let file = format!("tiltrl-{}-{number}-data.txt", std::process::id());
    let path = std::env::temp_dir().join(file);
    let text = print_to(data, &path);
    let _ = std::fs::remove_file(&path);
    text
}

fn print_to(data: &Data, path: &Path) -> Result<String, String> {
    let model = &data.model;
    // SAFETY: mujoco.h declares this function.
    let print = unsafe {
        model
            .library
            .object
            .get::<Print>(b"mj_printFormattedData\0")
    }
    .map_err(|error| error.to_string())?;
    let name = CString::new(path.to_string_lossy().as_bytes()).map_err(|e| e.to_string())?;
    // SAFETY: live model and data, two strings that end in zero.
    unsafe {
        print(
            model.pointer,
            data.pointer,
            name.as_ptr(),
            c"% .17g".as_ptr(),
        )
    };
    std::fs::read_to_string(path).map_err(|e| format!("cannot read {}: {e}", path.display()))
}

/// The numbers below a heading, up to the next empty line.
fn section(text: &str, heading: &str) -> Option<Vec<f64>> {
    let mut lines = text.lines().skip_while(|line| line.trim_end() != heading);
    lines.next()?;
    let words = lines
        .take_while(|line| !line.trim().is_empty())
        .flat_map(str::split_whitespace);
    let numbers: Option<Vec<f64>> = words.map(|word| word.parse().ok()).collect();
    numbers.filter(|numbers| !numbers.is_empty())
}

/// The offsets of all words in `own` that point to these numbers in one of the other blocks. Of words that point to the same
/// place only the last: the others belong to empty arrays before it, in every simulation of the model.
fn search(own: Block, arrays: &[Block], numbers: &[f64]) -> Vec<usize> {
    let bytes = size_of_val(numbers);
    // SAFETY: a word within the block, which is initialised and aligned.
    let word_at = |offset: usize| unsafe { *((own.start + offset) as *const usize) };
    let leads_to_them = |word: usize| {
        let inside = arrays
            .iter()
            .any(|array| word >= array.start && word + bytes <= array.start + array.len);
        // SAFETY: aligned, and all of it within a live, initialised block.
        inside
            && word.is_multiple_of(8)
            && unsafe { std::slice::from_raw_parts(word as *const f64, numbers.len()) } == numbers
    };
    let mut places = std::collections::BTreeMap::new();
    for offset in (0..own.len / 8).map(|word| 8 * word) {
        let word = word_at(offset);
        if leads_to_them(word) {
            places.insert(word, offset);
        }
    }
    places.into_values().collect()
}

#[test]
fn printed_sections_are_read_to_their_end() {
    let text = "TIME = 1\n\nCVEL\n  1 -2e-3\n  0 4\n\nCVEL_OTHER\n  7\n";
    assert_eq!(section(text, "CVEL"), Some(vec![1.0, -2e-3, 0.0, 4.0]));
    assert_eq!(section(text, "CINERT"), None);
    assert_eq!(section("CVEL\n  1 inf\n  x\n", "CVEL"), None);
}
