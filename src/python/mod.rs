//! The only files that know `PyO3`.
