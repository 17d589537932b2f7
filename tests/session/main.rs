//! The session and its flights on a paused clock: a scripted network, a scripted Ray. Half a
//! minute of waiting takes no time here, and every bound is exact.

mod abandoned_init;
mod breaker;
mod deadlines;
mod detector;
mod fallbacks;
mod forcing;
mod giving_up;
mod guard;
mod interleavings;
mod joining;
mod log_lines;
mod metrics;
mod monitor;
mod not_connected;
mod queue;
mod runtime;
mod scene;
mod shutdown;
mod standbys;
mod states;
mod storm;
mod strangers;
