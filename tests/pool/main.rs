//! The pool on a paused clock: who gets a connection and when, and what the keeper is told to do.

mod growing;
mod lending;
mod scene;
