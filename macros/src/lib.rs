//! The attribute macros of annulus.
