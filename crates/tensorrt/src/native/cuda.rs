//! The NVIDIA driver, loaded at run time: GPUs, memory, streams. All unsafe code of the crate.
//!
//! Source: the driver's C interface (`cuda.h`), the same from CUDA 11 on. Compiled and compared with
//! the headers; beyond the error of a machine without a driver, not executed.

#![expect(unsafe_code, reason = "calls into C libraries that are loaded at run time")]

use std::{
    ffi::{CStr, c_char, c_int, c_uint, c_void},
    path::Path,
    ptr,
    sync::OnceLock,
};

use libloading::Library;
use trtx::ExecutionContext;

use crate::LibraryError;

type Status = c_int;
type Device = c_int;
type Address = u64;
type Handle = *mut c_void;

/// `CU_DEVICE_ATTRIBUTE_COMPUTE_CAPABILITY_MAJOR` and `_MINOR`.
const CAPABILITY: [c_int; 2] = [75, 76];

/// The driver's calls.
pub(super) struct Cuda {
    _library: Library,
    device_get: unsafe extern "C" fn(*mut Device, c_int) -> Status,
    device_attribute: unsafe extern "C" fn(*mut c_int, c_int, Device) -> Status,
    retain: unsafe extern "C" fn(*mut Handle, Device) -> Status,
    release: unsafe extern "C" fn(Device) -> Status,
    set_current: unsafe extern "C" fn(Handle) -> Status,
    alloc: unsafe extern "C" fn(*mut Address, usize) -> Status,
    free: unsafe extern "C" fn(Address) -> Status,
    upload: unsafe extern "C" fn(Address, *const c_void, usize) -> Status,
    download: unsafe extern "C" fn(*mut c_void, Address, usize) -> Status,
    stream_create: unsafe extern "C" fn(*mut Handle, c_uint) -> Status,
    stream_wait: unsafe extern "C" fn(Handle) -> Status,
    stream_destroy: unsafe extern "C" fn(Handle) -> Status,
    error_string: unsafe extern "C" fn(Status, *mut *const c_char) -> Status,
    /// How many GPUs there are.
    count: c_int,
}

impl Cuda {
    /// The driver, loaded and asked for GPUs once.
    pub(super) fn load() -> Result<&'static Cuda, LibraryError> {
        static CUDA: OnceLock<Result<Cuda, String>> = OnceLock::new();
        let loaded = CUDA.get_or_init(Cuda::open);
        loaded.as_ref().map_err(|said| LibraryError::NoGpu { said: said.clone() })
    }

    fn open() -> Result<Cuda, String> {
        // SAFETY: the driver's initialisers ask nothing of the process.
        let library = unsafe { Library::new("libcuda.so.1") };
        let library = library.map_err(|_| "no NVIDIA driver (libcuda.so.1)".to_owned())?;
        // SAFETY: every symbol has the type that `cuda.h` gives it.
        let symbols = unsafe {
            let init = symbol::<unsafe extern "C" fn(c_uint) -> Status>(&library, b"cuInit")?;
            let count = symbol::<unsafe extern "C" fn(*mut c_int) -> Status>(
                &library,
                b"cuDeviceGetCount",
            )?;
            (init, count)
        };
        // SAFETY: likewise; the library is kept, so they stay where they are.
        let mut cuda = unsafe {
            Cuda {
                device_get: symbol(&library, b"cuDeviceGet")?,
                device_attribute: symbol(&library, b"cuDeviceGetAttribute")?,
                retain: symbol(&library, b"cuDevicePrimaryCtxRetain")?,
                release: symbol(&library, b"cuDevicePrimaryCtxRelease_v2")?,
                set_current: symbol(&library, b"cuCtxSetCurrent")?,
                alloc: symbol(&library, b"cuMemAlloc_v2")?,
                free: symbol(&library, b"cuMemFree_v2")?,
                upload: symbol(&library, b"cuMemcpyHtoD_v2")?,
                download: symbol(&library, b"cuMemcpyDtoH_v2")?,
                stream_create: symbol(&library, b"cuStreamCreate")?,
                stream_wait: symbol(&library, b"cuStreamSynchronize")?,
                stream_destroy: symbol(&library, b"cuStreamDestroy_v2")?,
                error_string: symbol(&library, b"cuGetErrorString")?,
                count: 0,
                _library: library,
            }
        };
        let (init, count) = symbols;
        // SAFETY: the one value that is allowed.
        let status = unsafe { init(0) };
        if status != 0 {
            return Err(cuda.says(status));
        }
        // SAFETY: writes one number.
        let status = unsafe { count(&mut cuda.count) };
        match (status, cuda.count) {
            (0, 1..) => Ok(cuda),
            (0, _) => Err("the driver finds none".to_owned()),
            _ => Err(cuda.says(status)),
        }
    }

    /// What the driver calls a status.
    fn says(&self, status: Status) -> String {
        let mut text = ptr::null();
        // SAFETY: writes the address of a text that never goes away, or nothing.
        let known = unsafe { (self.error_string)(status, &mut text) };
        if known != 0 || text.is_null() {
            return format!("error {status}");
        }
        // SAFETY: such a text ends with a zero.
        let text = unsafe { CStr::from_ptr(text) };
        format!("{} ({status})", text.to_string_lossy())
    }

    fn check(&self, call: &'static str, status: Status) -> Result<(), LibraryError> {
        match status {
            0 => Ok(()),
            _ => Err(LibraryError::Cuda { call, said: self.says(status) }),
        }
    }

    fn device(&self, gpu: usize) -> Result<Device, LibraryError> {
        let wanted = c_int::try_from(gpu).ok().filter(|&gpu| gpu < self.count);
        let Some(wanted) = wanted else {
            let said = format!("number {gpu} is wanted, there are {}", self.count);
            return Err(LibraryError::NoGpu { said });
        };
        let mut device = 0;
        // SAFETY: writes one number.
        self.check("cuDeviceGet", unsafe { (self.device_get)(&mut device, wanted) })?;
        Ok(device)
    }

    /// `9.0`.
    pub(super) fn compute_capability(&self, gpu: usize) -> Result<String, LibraryError> {
        let device = self.device(gpu)?;
        let mut parts = [0; 2];
        for (part, attribute) in parts.iter_mut().zip(CAPABILITY) {
            // SAFETY: writes one number.
            let status = unsafe { (self.device_attribute)(part, attribute, device) };
            self.check("cuDeviceGetAttribute", status)?;
        }
        Ok(format!("{}.{}", parts[0], parts[1]))
    }

    /// The GPU's own context, which TensorRT uses too, current on this thread.
    pub(super) fn context(&'static self, gpu: usize) -> Result<Context, LibraryError> {
        let device = self.device(gpu)?;
        let mut handle = ptr::null_mut();
        // SAFETY: writes one address; given back when the value is dropped.
        let status = unsafe { (self.retain)(&mut handle, device) };
        self.check("cuDevicePrimaryCtxRetain", status)?;
        let context = Context { cuda: self, device, handle };
        context.make_current()?;
        Ok(context)
    }
}

/// A symbol of a library that is kept for as long as it is used.
///
/// # Safety
/// `T` must be the type that the symbol has in C.
unsafe fn symbol<T: Copy>(library: &Library, name: &[u8]) -> Result<T, String> {
    // SAFETY: promised by the caller.
    let found = unsafe { library.get::<T>(name) };
    found.map(|symbol| *symbol).map_err(|error| error.to_string())
}

/// A GPU in use.
pub(super) struct Context {
    cuda: &'static Cuda,
    device: Device,
    handle: Handle,
}

impl Context {
    /// Memory and streams belong to the context that is current on the thread.
    pub(super) fn make_current(&self) -> Result<(), LibraryError> {
        // SAFETY: the handle is retained.
        self.cuda.check("cuCtxSetCurrent", unsafe { (self.cuda.set_current)(self.handle) })
    }

    /// `size` bytes, of undefined content.
    pub(super) fn memory(&self, size: usize) -> Result<Memory, LibraryError> {
        let mut address = 0;
        // The driver gives no address for nothing.
        let taken = size.max(1);
        // SAFETY: writes one address; given back when the value is dropped.
        let status = unsafe { (self.cuda.alloc)(&mut address, taken) };
        self.cuda.check("cuMemAlloc", status)?;
        Ok(Memory { cuda: self.cuda, address, size })
    }

    /// An order of work.
    pub(super) fn stream(&self) -> Result<Stream, LibraryError> {
        let mut handle = ptr::null_mut();
        // SAFETY: writes one address; given back when the value is dropped. 0 waits for the default
        // stream, on which memory is filled.
        let status = unsafe { (self.cuda.stream_create)(&mut handle, 0) };
        self.cuda.check("cuStreamCreate", status)?;
        Ok(Stream { cuda: self.cuda, handle })
    }
}

impl Drop for Context {
    fn drop(&mut self) {
        // SAFETY: retained once.
        let _ = unsafe { (self.cuda.release)(self.device) };
    }
}

/// Memory of a GPU.
pub(super) struct Memory {
    cuda: &'static Cuda,
    address: Address,
    size: usize,
}

impl Memory {
    /// Copies `bytes`, as many as it holds, there.
    pub(super) fn fill(&self, bytes: &[u8]) -> Result<(), LibraryError> {
        assert_eq!(bytes.len(), self.size);
        // SAFETY: both sides hold as many bytes.
        let status = unsafe { (self.cuda.upload)(self.address, bytes.as_ptr().cast(), self.size) };
        self.cuda.check("cuMemcpyHtoD", status)
    }

    /// Copies all of it back.
    pub(super) fn read(&self, bytes: &mut [u8]) -> Result<(), LibraryError> {
        assert_eq!(bytes.len(), self.size);
        // SAFETY: both sides hold as many bytes.
        let status =
            unsafe { (self.cuda.download)(bytes.as_mut_ptr().cast(), self.address, self.size) };
        self.cuda.check("cuMemcpyDtoH", status)
    }

    /// Makes it the place of a tensor of `context`. It must be as large as the tensor and outlive
    /// the launch: `Engine::launch` takes its size from the tensor and keeps it until the end.
    pub(super) fn bind(&self, context: &mut ExecutionContext<'_>, name: &str) -> trtx::Result<()> {
        // SAFETY: memory of the GPU that is current; size and life as said above.
        unsafe { context.set_tensor_address(name, self.address as *mut c_void) }
    }
}

impl Drop for Memory {
    fn drop(&mut self) {
        // SAFETY: taken once; nothing runs on it, since every launch is waited for.
        let _ = unsafe { (self.cuda.free)(self.address) };
    }
}

/// An order of work on a GPU.
pub(super) struct Stream {
    cuda: &'static Cuda,
    handle: Handle,
}

impl Stream {
    /// Starts an engine whose tensors all have their places.
    pub(super) fn launch(&self, context: &mut ExecutionContext<'_>) -> Result<(), LibraryError> {
        // SAFETY: the stream lives, and so do the places, until the wait that follows.
        let started = unsafe { context.enqueue_v3(self.handle) };
        started.map_err(|error| LibraryError::Failed { doing: error.to_string(), said: Vec::new() })
    }

    /// Until everything is done.
    pub(super) fn wait(&self) -> Result<(), LibraryError> {
        // SAFETY: the stream lives.
        self.cuda.check("cuStreamSynchronize", unsafe { (self.cuda.stream_wait)(self.handle) })
    }
}

impl Drop for Stream {
    fn drop(&mut self) {
        // Work that was started and not waited for uses memory that is about to go.
        let _ = self.wait();
        // SAFETY: made once.
        let _ = unsafe { (self.cuda.stream_destroy)(self.handle) };
    }
}

/// The version that a library of TensorRT says it has. The library stays loaded: it does not survive
/// being closed.
pub(super) fn library_version(path: &Path) -> Result<u32, LibraryError> {
    let missing = |error: libloading::Error| LibraryError::NotFound {
        name: path.display().to_string(),
        said: error.to_string(),
    };
    // SAFETY: the user named a folder of TensorRT, whose initialisers ask nothing of the process.
    let library = unsafe { Library::new(path.as_os_str()) }.map_err(missing)?;
    let library = Box::leak(Box::new(library));
    // SAFETY: the type that `NvInferRuntime.h` gives it.
    let version = unsafe { library.get::<unsafe extern "C" fn() -> i32>(b"getInferLibVersion") };
    // SAFETY: it takes nothing and reads a constant.
    let version = unsafe { version.map_err(missing)?() };
    Ok(u32::try_from(version).unwrap_or(0))
}

/// The version that this program was compiled for.
pub(super) fn header_version() -> u32 {
    // SAFETY: reads a constant.
    unsafe { trtx_sys::get_tensorrt_version() }
}
