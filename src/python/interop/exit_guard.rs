//! Threads that are in here when the interpreter ends.

use std::mem;
use std::thread;

use arc_swap::Guard;

use crate::process::process;

/// Runs `body`, which calls into Python, so that an interpreter that ends meanwhile crashes nothing.
///
/// Until Python 3.13 a thread that wants to run Python after the end is unwound by `pthread_exit`,
/// and at the first Rust frame that catches panics the process aborts ("FATAL: exception not
/// rethrown"). `PyO3` stops such a thread where it attaches; below Python code that we call, which
/// attaches by itself, nobody does. So the end waits for `body` for a while ([`Runtime::stop`]), and
/// after that the thread stands still for what is left of the process, as Python 3.14 itself does.
///
/// [`Runtime::stop`]: crate::runtime::Runtime::stop
pub fn survived<T>(body: impl FnOnce() -> T) -> T {
    let process = Guard::into_inner(process());
    let _visit = process.runtime.visit();
    passed_through(body)
}

/// As [`survived`], but the end does not wait: for what callers run through us, of any length.
#[inline]
pub fn passed_through<T>(body: impl FnOnce() -> T) -> T {
    let unwound = Unwound;
    let value = body();
    mem::forget(unwound);
    value
}

/// Dropped only by an unwinding.
struct Unwound;

impl Drop for Unwound {
    fn drop(&mut self) {
        // A panic of our own goes on: PyO3 makes an exception of it.
        while !thread::panicking() {
            thread::park();
        }
    }
}
