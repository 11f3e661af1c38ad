//! MuJoCo through thirteen C functions and no struct layout, loaded at run time.
//!
//! State moves only through `mj_getState` and `mj_setState`, so one binary works with MuJoCo 2.3.7 … 4.0.0. Of the state's
//! components TIME = 1, QPOS = 2 and QVEL = 4 never moved; CTRL moved from 1 << 5 to 1 << 6 when another component was put at
//! 1 << 4, which shows in that component's size.
#![allow(unsafe_code)]

use crate::error::EnvError;
use libloading::{Library as SharedObject, Symbol};
use std::ffi::{CString, c_char, c_int, c_void};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};

pub(super) const TIME: c_int = 1;
pub(super) const POSITION: c_int = 1 << 1;
pub(super) const VELOCITY: c_int = 1 << 2;

pub(super) type Pointer = *mut c_void;
/// Data, place and rotation to write, place and quaternion in the body's frame, body, whether the frames are the same.
pub(super) type LocalToGlobal =
    unsafe extern "C" fn(Pointer, *mut f64, *mut f64, *const f64, *const f64, c_int, u8);

/// The functions of a loaded MuJoCo.
pub struct Library {
    load_xml: unsafe extern "C" fn(*const c_char, *const c_void, *mut c_char, c_int) -> Pointer,
    pub(super) make_data: unsafe extern "C" fn(Pointer) -> Pointer,
    pub(super) reset_data: unsafe extern "C" fn(Pointer, Pointer),
    pub(super) forward: unsafe extern "C" fn(Pointer, Pointer),
    pub(super) step: unsafe extern "C" fn(Pointer, Pointer),
    pub(super) state_size: unsafe extern "C" fn(Pointer, c_int) -> c_int,
    pub(super) get_state: unsafe extern "C" fn(Pointer, Pointer, *mut f64, c_int),
    pub(super) set_state: unsafe extern "C" fn(Pointer, Pointer, *const f64, c_int),
    pub(super) delete_data: unsafe extern "C" fn(Pointer),
    delete_model: unsafe extern "C" fn(Pointer),
    pub(super) local_to_global: LocalToGlobal,
    pub(super) rne_post_constraint: unsafe extern "C" fn(Pointer, Pointer),
    version: c_int,
    path: PathBuf,
    // Last, so that the code is unloaded after everything else is gone.
    pub(super) object: SharedObject,
}

/// `mj_loadXML` keeps global state: one model is loaded at a time.
static LOADING: Mutex<()> = Mutex::new(());

/// Bytes of stack for loading a model.
const LOADING_STACK: usize = 64 << 20;

impl Library {
    /// Loads MuJoCo from a file, or from the usual places.
    ///
    /// # Errors
    /// If there is no such library, or if it lacks a function; the error says how to get it.
    pub fn open(path: Option<&Path>) -> Result<Arc<Self>, EnvError> {
        let path = path.map(Path::to_path_buf).unwrap_or_else(usual_place);
        Self::load(&path)
            .map(Arc::new)
            .map_err(|error| EnvError::MujocoLibrary {
                path: path.clone(),
                reason: error.to_string(),
                hint: HINT.into(),
            })
    }

    fn load(path: &Path) -> Result<Self, libloading::Error> {
        // SAFETY: MuJoCo's library runs no code on loading that Rust must know of.
        let object = unsafe { SharedObject::new(path)? };
        macro_rules! function {
            ($name:literal) => {{
                // SAFETY: the signature is the one of mujoco.h, the same in every release since 2.3.7.
                let symbol: Symbol<_> = unsafe { object.get(concat!($name, "\0").as_bytes())? };
                *symbol
            }};
        }
        let version: unsafe extern "C" fn() -> c_int = function!("mj_version");
        Ok(Self {
            load_xml: function!("mj_loadXML"),
            make_data: function!("mj_makeData"),
            reset_data: function!("mj_resetData"),
            forward: function!("mj_forward"),
            step: function!("mj_step"),
            state_size: function!("mj_stateSize"),
            get_state: function!("mj_getState"),
            set_state: function!("mj_setState"),
            delete_data: function!("mj_deleteData"),
            delete_model: function!("mj_deleteModel"),
            local_to_global: function!("mj_local2Global"),
            rne_post_constraint: function!("mj_rnePostConstraint"),
            // SAFETY: takes nothing and returns a number.
            version: unsafe { version() },
            path: path.to_path_buf(),
            object,
        })
    }

    /// Loads a model in a thread of its own: up to 3.1.6 MuJoCo puts more on the stack than a thread has by default.
    fn load_with_room(&self, name: &CString) -> Result<Pointer, String> {
        let guard = LOADING
            .lock()
            .unwrap_or_else(|poisoned| poisoned.into_inner());
        let load = || {
            let mut message = [0_u8; 1000];
            let (text, length) = (message.as_mut_ptr().cast(), message.len() as c_int);
            // SAFETY: a string that ends in zero, no virtual file system, and a buffer of the length given.
            let pointer = unsafe { (self.load_xml)(name.as_ptr(), std::ptr::null(), text, length) };
            // The address, since a pointer cannot leave the thread.
            (pointer as usize, message)
        };
        let (address, message) = std::thread::scope(|scope| {
            std::thread::Builder::new()
                .stack_size(LOADING_STACK)
                .spawn_scoped(scope, load)
                .map_err(|error| error.to_string())?
                .join()
                .map_err(|_| "the loader panicked".to_string())
        })?;
        drop(guard);
        if address == 0 {
            let text = String::from_utf8_lossy(&message);
            return Err(text.trim_end_matches('\0').trim().to_string());
        }
        Ok(address as Pointer)
    }

    /// The release, e.g. `3.2.7`. The number's encoding changed from three digits to seven.
    pub fn version(&self) -> String {
        let number = self.version;
        if number < 100_000 {
            format!("{}.{}.{}", number / 100, number / 10 % 10, number % 10)
        } else {
            format!(
                "{}.{}.{}",
                number / 1_000_000,
                number / 1_000 % 1_000,
                number % 1_000
            )
        }
    }

    /// Where it was loaded from.
    pub fn path(&self) -> &Path {
        &self.path
    }
}

const HINT: &str = "`python3 -m pip install --no-deps --target .mujoco mujoco==3.2.7` brings it; \
                    then use the engine `mujoco:.mujoco/mujoco/libmujoco.so.3.2.7`";

/// $MUJOCO_LIBRARY, what the hint's command leaves, or the system's.
fn usual_place() -> PathBuf {
    if let Some(path) = std::env::var_os("MUJOCO_LIBRARY") {
        return path.into();
    }
    let wheel = Path::new(".mujoco/mujoco");
    let mut found: Vec<PathBuf> = std::fs::read_dir(wheel)
        .into_iter()
        .flatten()
        .flatten()
        .map(|entry| entry.path())
        .filter(|path| path.to_string_lossy().contains("libmujoco"))
        .collect();
    found.sort();
    found.pop().unwrap_or_else(|| "libmujoco.so".into())
}

/// A compiled model.
pub struct Model {
    pub(super) library: Arc<Library>,
    pub(super) pointer: Pointer,
    /// Number of positions.
    pub num_positions: usize,
    /// Number of velocities.
    pub num_velocities: usize,
    /// Number of controls.
    pub num_controls: usize,
    /// Where the controls stand in the state.
    pub(super) control: c_int,
}

// SAFETY: MuJoCo never writes to a model while simulating; different threads may use it with data of their own.
unsafe impl Send for Model {}
// SAFETY: as above.
unsafe impl Sync for Model {}

impl Model {
    /// Loads a model from an MJCF file.
    ///
    /// # Errors
    /// What MuJoCo says of the file.
    pub fn from_file(library: &Arc<Library>, path: &Path) -> Result<Arc<Self>, EnvError> {
        let refused = |reason: String| EnvError::MujocoModel {
            id: path.display().to_string(),
            reason,
        };
        let name = CString::new(path.to_string_lossy().as_bytes())
            .map_err(|_| refused("the path holds a zero byte".into()))?;
        let pointer = library.load_with_room(&name).map_err(refused)?;
        // SAFETY: a live model; unknown bits count nothing.
        let size = |bits: c_int| unsafe { (library.state_size)(pointer, bits) } as usize;
        let num_velocities = size(VELOCITY);
        // 1 << 4 is the warm start (one number per velocity) in the old layout.
        let control = if size(1 << 4) == num_velocities {
            1 << 5
        } else {
            1 << 6
        };
        Ok(Arc::new(Self {
            num_positions: size(POSITION),
            num_velocities,
            num_controls: size(control),
            control,
            pointer,
            library: library.clone(),
        }))
    }

    /// Loads a model from MJCF text.
    ///
    /// # Errors
    /// What MuJoCo says of the text, or that no temporary file could be written.
    pub fn from_text(
        library: &Arc<Library>,
        name: &str,
        text: &str,
    ) -> Result<Arc<Self>, EnvError> {
        static COUNT: std::sync::atomic::AtomicU64 = std::sync::atomic::AtomicU64::new(0);
        let number = COUNT.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
        let file = format!("tiltrl-{}-{number}-{name}.xml", std::process::id());
        let path = std::env::temp_dir().join(file);
        let written = std::fs::write(&path, text).map_err(|error| EnvError::MujocoModel {
            id: name.into(),
            reason: format!("cannot write {}: {error}", path.display()),
        });
        let model = written.and_then(|()| Self::from_file(library, &path));
        let _ = std::fs::remove_file(&path);
        model
    }

    /// The library that made it.
    pub fn library(&self) -> &Library {
        &self.library
    }
}

impl Drop for Model {
    fn drop(&mut self) {
        // SAFETY: every `Data` holds an `Arc` of its model, so none is left.
        unsafe { (self.library.delete_model)(self.pointer) }
    }
}
