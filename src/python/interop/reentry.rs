//! Calls from inside our own connect, which would wait for themselves.

use std::cell::Cell;

thread_local! {
    static CARRIES_OUT: Cell<bool> = const { Cell::new(false) };
}

/// Marks this thread as one that carries out a connect.
pub fn mark_connect_thread() {
    CARRIES_OUT.set(true);
}

/// Whether this thread carries out a connect.
pub fn is_connect_thread() -> bool {
    CARRIES_OUT.get()
}
